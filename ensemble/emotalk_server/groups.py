"""Groups of models: a server loads what it was asked for; the first command starts what it needs and no more."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from emotalk_contract import repository as repositories
from emotalk_contract import tensors
from emotalk_contract.speech import SPEECH
from emotalk_server.errors import InvalidRepository

Group: TypeAlias = Literal["core", "live", "speech"]
DEFAULT_GROUPS: tuple[Group, ...] = ("core", "live")
MODELS: dict[str, Group] = {tensors.LIVE.name: "live", SPEECH.name: "speech"}
"""The group of a model; all others are the core."""


def groups_of(text: str) -> tuple[Group, ...]:
    """Return the groups that ``--models`` names.

    Raises:
        argparse.ArgumentTypeError: one is unknown, or the core is missing.
    """
    named = [name.strip() for name in text.split(",")]
    known = get_args(Group)
    if unknown := [name for name in named if name not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r}; accepted: {', '.join(known)}, separated by commas")
    if "core" not in named:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: core, and others beside it")
    return tuple(group for group in known if group in named)


def serve(repository: Path, groups: Iterable[Group], folder: Path) -> list[str]:
    """Return Triton's options that serve the models of ``groups``: those of ``repository``, and those beside it.

    Where a group of the repository is not wanted, its other models are served through links: a Triton that is told
    which models to load would also load others for whoever asks.

    Args:
        folder: an empty one, for such links.

    Raises:
        InvalidRepository: the models of a group are not installed.
    """
    wanted = set(groups)
    here = sorted(path.parent for path in repository.glob("*/config.pbtxt"))
    chosen = [path for path in here if MODELS.get(path.name, "core") in wanted]
    options = [f"--model-repository={repository}"]
    if chosen != here:
        for path in chosen:
            (folder / path.name).symlink_to(path)
        options = [f"--model-repository={folder}"]
    if "speech" in wanted and not any(path.name == SPEECH.name for path in chosen):
        options.append(f"--model-repository={beside()}")
    return options


def beside() -> Path:
    """Return the repository of the model ``speech``, which belongs to no network.

    Raises:
        InvalidRepository: it is not installed.
    """
    path = repositories.speech_repository()
    if path is None:
        raise InvalidRepository("the models of speech are not installed; reinstall emotalk-triton")
    return path

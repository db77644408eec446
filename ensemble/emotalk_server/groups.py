"""Groups of models: a server loads what it was asked for; the first command starts what it needs and no more."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from emotalk_contract import avatar, tensors
from emotalk_contract import repository as repositories
from emotalk_contract.recipe import MANIFEST_NAME
from emotalk_contract.speech import SPEECH
from emotalk_server.errors import InvalidRepository
from emotalk_server.integrity import check_graphs

Group: TypeAlias = Literal["core", "live", "speech", "avatar"]
DEFAULT_GROUPS: tuple[Group, ...] = ("core", "live")
MODELS: dict[str, Group] = {
    tensors.LIVE.name: "live",
    SPEECH.name: "speech",
    **{model.name: "avatar" for model in avatar.MODELS},
}
"""The group of a model; all others are the core."""
BESIDE: dict[Group, Callable[[], Path | None]] = {
    "speech": repositories.speech_repository,
    "avatar": repositories.avatar_repository,
}
"""Groups whose models lie in a repository of their own."""


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
    served = {MODELS.get(path.name, "core") for path in chosen}
    return options + [
        f"--model-repository={beside(group)}" for group in BESIDE if group in wanted and group not in served
    ]


def beside(group: Group) -> Path:
    """Return the repository of ``group``, whose models belong to no network.

    Raises:
        InvalidRepository: it is not installed.
        CorruptRepository: its graphs are not those of its manifest.
    """
    path = BESIDE[group]()
    if path is None:
        raise InvalidRepository(f"the models of {group} are not installed; reinstall emotalk-triton")
    if (path / MANIFEST_NAME).exists():  # it has graphs
        check_graphs(path)
    return path

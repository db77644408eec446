"""A folder of neural renderers beside the models: checked as they are, and served."""

from __future__ import annotations

from pathlib import Path

from emotalk_contract.renderers import MANIFEST_NAME, RenderersError, load_manifest
from emotalk_contract.repository import VERSION
from emotalk_server.errors import CorruptRepository, InvalidRepository, MissingGraph
from emotalk_server.integrity import DescribedFile, check_file


def served_renderers(folder: Path | None) -> list[str]:
    """Return Triton's options that serve ``folder``; none without one."""
    return [] if folder is None else [f"--model-repository={folder}"]


def check_renderers(folder: Path | None) -> None:
    """Say what is missing or damaged in ``folder`` before Triton does.

    Raises:
        InvalidRepository: it is not a folder of renderers, or holds other models.
        MissingGraph: a model that it names is not there.
        CorruptRepository: its manifest is damaged, or a graph is not the one that was exported.
    """
    if folder is None:
        return
    try:
        named = load_manifest(folder)
    except RenderersError as error:
        kind = CorruptRepository if (folder / MANIFEST_NAME).exists() else InvalidRepository
        raise kind(str(error)) from error
    there = {path.parent.name for path in folder.glob("*/config.pbtxt")}
    if others := sorted(there - named.keys()):
        raise InvalidRepository(
            f"{folder} holds the model {others[0]}, which its {MANIFEST_NAME} does not name; accepted: a folder that "
            "`emotalk-export renderer --output DIR` wrote"
        )
    for name, facts in named.items():
        path = folder / name / VERSION / "model.onnx"
        if name not in there or not path.is_file():
            raise MissingGraph(f"{path} or its config is missing; `emotalk-export renderer` writes them")
        check_file(DescribedFile(path, facts.sha256, facts.bytes, MANIFEST_NAME))

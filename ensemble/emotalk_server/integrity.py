"""Checks a repository's graphs against the checksums in its manifest.

A flipped bit in a graph gives wrong faces, or none, without a word from anybody. So nothing is served that is not what
was exported: every file that the manifest's ``provenance.graphs`` names must have its size and its SHA-256. A graph
that the manifest does not name (a plan that somebody built in place) is served unchecked, with a warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import MANIFEST_NAME, Manifest, ManifestError
from emotalk_contract.repository import VERSION
from emotalk_contract.tensors import LIVE
from emotalk_server.errors import CorruptRepository, InvalidRepository

logger = logging.getLogger(__name__)

BLOCK_BYTES = 2**20
WORTH_TELLING_BYTES = 2**28
"""Checking as many bytes takes about as long as a person waits without wondering."""


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """A file as the manifest says that it is."""

    path: Path
    sha256: str
    bytes: int
    manifest: str = MANIFEST_NAME
    """Name of the file that says so."""


_checked: dict[Path, tuple[str, int, int, int]] = {}
"""Digest, inode, size and time of change of the files that were right: a restart does not read them again."""


def check_manifest(repository: Path, suffix: str) -> Manifest:
    """Return the manifest of ``repository``; raise unless the graphs are those that it describes.

    Args:
        suffix: of the graphs that will be served, ``.onnx`` or ``.plan``; files beside them are checked too.

    Raises:
        InvalidRepository: there is no manifest.
        CorruptRepository: the manifest is damaged, or a file is not what it says.
    """
    try:
        manifest = Manifest.load(repository)
    except ManifestError as error:
        kind = CorruptRepository if (repository / MANIFEST_NAME).exists() else InvalidRepository
        raise kind(str(error)) from error
    other = {".onnx": ".plan", ".plan": ".onnx"}[suffix]
    described = [
        file
        for file in _described(repository, manifest.provenance)
        if other not in file.path.suffixes or LIVE.name in file.path.parts  # that one is never a plan
    ]
    size = sum(file.bytes for file in described)
    if size >= WORTH_TELLING_BYTES:
        logger.info("checking %.1f GB of graphs against %s", size / 1e9, repository / MANIFEST_NAME)
    for file in described:
        check_file(file)
    for model in pipeline(manifest.recipe).graphs:
        path = repository / model.name / VERSION / f"model{suffix}"
        if path not in {file.path for file in described}:
            logger.warning("%s is served unchecked: %s does not name it", path, repository / MANIFEST_NAME)
    return manifest


def check_graphs(repository: Path) -> None:
    """Raise :class:`CorruptRepository` unless the graphs of ``repository`` are those that its manifest names.

    It belongs to no network: its manifest has ``provenance.graphs`` and nothing that :func:`check_manifest` asks for.
    """
    try:
        provenance = json.loads((repository / MANIFEST_NAME).read_text("utf-8"))["provenance"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptRepository(f"{repository / MANIFEST_NAME} is damaged: {type(error).__name__}: {error}") from error
    for file in _described(repository, provenance):
        check_file(file)


def check_file(described: DescribedFile) -> None:
    """Raise :class:`CorruptRepository` unless the file is what is said of it."""
    path, digest, size = described.path, described.sha256, described.bytes
    try:
        status = path.stat()
    except OSError as error:
        raise CorruptRepository(
            f"{path}, which its {described.manifest} names, cannot be read ({error.strerror})"
        ) from error
    if status.st_size != size:
        raise CorruptRepository(
            f"{path} has {status.st_size} bytes; its {described.manifest} says {size}. Export or copy it again"
        )
    seen = (digest, status.st_ino, status.st_size, status.st_mtime_ns)
    if _checked.get(path) == seen:
        return
    found = sha256_of(path)
    if found != digest:
        raise CorruptRepository(
            f"{path} is damaged: its SHA-256 is {found[:16]}…, its {described.manifest} says {digest[:16]}…. "
            "Export or copy it again"
        )
    _checked[path] = seen


def sha256_of(path: Path) -> str:
    """Return the digest of a file, as ``hashlib.file_digest`` does, which Python 3.10 lacks."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


def _described(repository: Path, provenance: Mapping[str, Any]) -> Iterator[DescribedFile]:
    """Yield every file that a manifest's ``provenance`` names."""
    try:
        for model, files in provenance.get("graphs", {}).items():
            for name, facts in files.items():
                yield DescribedFile(repository / model / VERSION / name, str(facts["sha256"]), int(facts["bytes"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptRepository(
            f"{repository / MANIFEST_NAME} is damaged: provenance.graphs: {type(error).__name__}: {error}"
        ) from error

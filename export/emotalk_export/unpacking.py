"""A downloaded checkpoint as it came: the torch file itself, or the archive around it.

Rule that this module guards: **a file is judged by its first bytes, not by its name.** LAM-A2E's weights come as a
gzipped tar that holds a torch file whose name ends in ``.tar`` and which is not one, so that they are easily unpacked
once too little or once too often. Once too little is made good here; the rest gets words of its own.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from emotalk_export.errors import (
    CheckpointNotFound,
    CheckpointTruncated,
    CheckpointUnpacked,
    CheckpointUnreadable,
    WebPage,
)

GZIP = b"\x1f\x8b"
ZIP = b"PK"
"""Of torch files, since torch 1.6."""
PICKLE = b"\x80"
TAR_AT, TAR = 257, b"ustar"
HEAD = TAR_AT + len(TAR)
"""Bytes by which a file is known."""
POINTER = b"version https://git-lfs"
INDEX = "data.pkl"
"""The part of a torch file that names its tensors; the numbers lie beside it."""

_CUT_OFF = "a download that was cut off? Fetch it again and compare its size"


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the torch file in ``path``: itself, or what an archive holds, in a file that is gone after the block.

    Who maps the file into memory may keep the mapping.

    Raises:
        CheckpointNotFound: there is no such file.
        CheckpointUnpacked: it is a part of a torch file, which was unpacked once too often.
        CheckpointTruncated: the archive or the torch file ends too soon.
        WebPage: it is a page, not a file.
        CheckpointUnreadable: the archive holds no torch file.
    """
    if path.is_dir() and (path / INDEX in path.iterdir() or any(path.glob(f"*/{INDEX}"))):
        raise CheckpointUnpacked(
            f"{path} is a folder with {INDEX} in it: a torch file that was unpacked once too often; accepted: the file "
            "as it was before that, whose name may end in .tar although it is not one"
        )
    if not path.is_file():
        raise CheckpointNotFound(f"{path} is not a file; accepted: a checkpoint such as EmoTalk.pth")
    head = _head(path)
    named = f"{path} ({path.stat().st_size} bytes)"
    _refuse_pages(head, named)
    if head.startswith(GZIP) or _is_tar(head):
        with tempfile.TemporaryDirectory(prefix="emotalk-checkpoint-") as folder:
            inner = Path(folder, "checkpoint")
            _extract(path, head, inner, named)
            yield inner
        return
    if head.startswith(ZIP) and not zipfile.is_zipfile(path):
        raise CheckpointTruncated(f"{named} is not a checkpoint that can be loaded: its end is missing; {_CUT_OFF}")
    if path.name == INDEX:
        raise CheckpointUnpacked(
            f"{named} is the index of a torch file that was unpacked once too often; accepted: the file as it was "
            "before that, whose name may end in .tar although it is not one"
        )
    yield path


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise CheckpointUnreadable(f"{path} ({path.stat().st_size} bytes) cannot be read: {error.strerror}") from error


def _is_tar(head: bytes) -> bool:
    return head[TAR_AT:HEAD] == TAR


def _refuse_pages(head: bytes, named: str) -> None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WebPage(
            f"{named} is not a checkpoint that can be loaded: it is a web page, as a download without a login or a "
            "confirmation gives; accepted: the file itself"
        )
    if text.startswith(POINTER):
        raise WebPage(
            f"{named} is not a checkpoint that can be loaded: it is a Git LFS pointer; accepted: the file that it "
            "points at (`git lfs pull`)"
        )


def _extract(path: Path, head: bytes, target: Path, named: str) -> None:
    """Write the torch file within the archive ``path`` to ``target``."""
    try:
        if head.startswith(GZIP):
            with gzip.open(path) as stream:
                inner_head = stream.read(HEAD)
            if not _is_tar(inner_head):  # one file, compressed by itself
                if not inner_head.startswith((ZIP, PICKLE)):
                    raise CheckpointUnreadable(
                        f"{named} is a gzip file of something else than a checkpoint; accepted: a gzipped tar with a "
                        "torch file in it, or that file"
                    )
                with gzip.open(path) as stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
                return
        with tarfile.open(path, "r:*") as archive:
            _extract_member(archive, target, named)
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.ReadError) as error:
        raise CheckpointTruncated(
            f"{named} is not a checkpoint that can be loaded: the archive ends too soon or is damaged "
            f"({type(error).__name__}); {_CUT_OFF}"
        ) from error
    except OSError as error:
        raise CheckpointUnreadable(f"{named} cannot be unpacked: {error}") from error


def _extract_member(archive: tarfile.TarFile, target: Path, named: str) -> None:
    seen = []
    for member in archive:
        seen.append(member.name)
        if PurePosixPath(member.name).name == INDEX:
            raise CheckpointUnpacked(
                f"{named} is an archive of a torch file that was unpacked once too often (it holds {member.name}); "
                "accepted: the archive as it was downloaded"
            )
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None and content.read(len(ZIP)) == ZIP:
            content.seek(0)
            _copy(content, target, member.size)
            return
    holds = ", ".join(seen[:5]) or "nothing"
    raise CheckpointUnreadable(f"{named} is an archive that holds {holds}; accepted: one with a torch file in it")


def _copy(source: IO[bytes], target: Path, size: int) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)
    if target.stat().st_size != size:
        raise EOFError(f"{target.stat().st_size} of {size} bytes")

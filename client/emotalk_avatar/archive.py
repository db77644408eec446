"""A package in one file (``.avatar``), to be taken elsewhere: a zip of the files of :mod:`emotalk_avatar.package`.

Rule that this module guards: **of a file from elsewhere, nothing is believed but its bytes.** A fixed list of names; no
folders, links, passwords, comments or 64-bit sizes; every size is known and within its bound before anything is read,
and every file is read no further than that and has the checksum that the metadata say.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from emotalk_avatar.errors import InvalidPackage
from emotalk_avatar.face import LANDMARKS
from emotalk_avatar.package import (
    CLIP,
    FILES,
    GLB,
    MAX_METADATA_BYTES,
    METADATA,
    MIB,
    PICTURE,
    POINTS,
    PREVIEW,
    Avatar,
    Draft,
    Facts,
    Metadata,
    Unfit,
    parsed,
)
from emotalk_client.faces.head.container import BrokenContainer, Container
from emotalk_contract.quoting import quoted

SUFFIX = ".avatar"
MAX_BYTES = 128 * MIB
"""Of the whole file."""
_END = struct.Struct("<4s4H2LH")
"""The end of the central directory (PKWARE's APPNOTE, 4.3.16)."""
_LOCATOR_BYTES = 20
_MAX_DIRECTORY = 64 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_JPEG = b"\xff\xd8\xff"
_PACKED = frozenset({GLB, METADATA, POINTS})
"""Files that shrink."""


def exported(avatar: Avatar, out: BinaryIO) -> None:
    """Write ``avatar`` into ``out``; the same avatar gives the same bytes.

    Raises:
        DamagedAvatar, UnknownAvatar: a file is not what was written, or was deleted meanwhile.
    """
    with zipfile.ZipFile(out, "w") as archive:
        _add(archive, METADATA, avatar.metadata.dumped())
        for name in sorted(avatar.metadata.files):
            _add(archive, name, avatar.read(name))


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED if name in _PACKED else zipfile.ZIP_STORED
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    archive.writestr(entry, content)


def imported(file: BinaryIO) -> tuple[str, Draft]:
    """Return the id and the draft of the package in ``file``, which is seekable.

    Raises:
        InvalidPackage: it is not one.
    """
    _check_end(file)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _entries(archive)
            metadata = _metadata(archive, entries)
            files = {name: _content(archive, entries, metadata, name) for name in metadata.files}
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        EOFError,
        ValueError,
        OSError,
        RuntimeError,
        struct.error,
        zlib.error,
    ) as error:
        raise InvalidPackage(f"the zip is broken ({error}); accepted: a file of `emotalk avatar export`") from error
    for name, content in files.items():
        _check_kind(name, content, metadata)
    facts = Facts(**{name: getattr(metadata, name) for name in Facts.__dataclass_fields__})
    return metadata.id, Draft(facts, files)


def _check_end(file: BinaryIO) -> None:
    """Refuse what :class:`zipfile.ZipFile` would read without a bound: the list of a million files."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_BYTES:
        raise InvalidPackage(f"the file has {size} bytes; accepted: at most {MAX_BYTES}")
    if size < _END.size:
        raise InvalidPackage(f"the file has {size} bytes; accepted: a zip")
    file.seek(max(0, size - _END.size - _LOCATOR_BYTES))
    tail = file.read()
    signature, *_, entries, directory, _, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\5\6" or comment:
        raise InvalidPackage(
            "the file does not end as a zip without a comment; accepted: one of `emotalk avatar export`"
        )
    if tail.startswith(b"PK\6\7"):
        raise InvalidPackage("the zip has 64-bit sizes; accepted: 32-bit ones")
    if entries > len(FILES) + 1 or directory > _MAX_DIRECTORY:
        raise InvalidPackage(
            f"the zip has {entries} files; accepted: {METADATA}, and of {', '.join(FILES)} those that it has"
        )
    file.seek(0)


def _entries(archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.orig_filename
        most = MAX_METADATA_BYTES if name == METADATA else FILES.get(name, 0)
        mode = entry.external_attr >> 16
        if not most or name in found:
            said = "twice" if name in found else "which no package has"
            raise InvalidPackage(f"the zip has {quoted(name)}, {said}; accepted: {METADATA}, {', '.join(FILES)}")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):  # 0: not said, as some write it
            raise InvalidPackage(f"{name} is a link or a folder; accepted: a file")
        if entry.flag_bits & 1:
            raise InvalidPackage(f"{name} is encrypted; accepted: a file without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidPackage(f"{name} is compressed by method {entry.compress_type}; accepted: stored, deflated")
        if entry.file_size > most:
            raise InvalidPackage(f"{name} has {entry.file_size} bytes; accepted: at most {most}")
        found[name] = entry
    return found


def _metadata(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> Metadata:
    if METADATA not in entries:
        raise InvalidPackage(f"the zip has no {METADATA}; accepted: a file of `emotalk avatar export`")
    try:
        metadata = parsed(_read(archive, entries[METADATA]))
    except Unfit as error:
        raise InvalidPackage(f"{METADATA} is not that of an avatar: {error}") from error
    if missing := set(metadata.files) ^ (set(entries) - {METADATA}):
        raise InvalidPackage(
            f"the zip and its {METADATA} differ in {', '.join(sorted(missing))}; accepted: the same files in both"
        )
    return metadata


def _content(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], metadata: Metadata, name: str) -> bytes:
    stored = metadata.files[name]
    content = _read(archive, entries[name])
    if len(content) != stored.bytes or hashlib.sha256(content).hexdigest() != stored.sha256:
        raise InvalidPackage(f"{name} is not the one that {METADATA} describes; accepted: its SHA-256 and size")
    return content


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        content = file.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise InvalidPackage(f"{entry.filename} has not the {entry.file_size} bytes that the zip says")
    return content


def _check_kind(name: str, content: bytes, metadata: Metadata) -> None:
    """Raise :class:`InvalidPackage` where a file is not of the kind that its name says."""
    if name == GLB:
        _check_glb(content)
    elif name in (PREVIEW, PICTURE) and not content.startswith(_JPEG):
        raise InvalidPackage(f"{name} is not a JPEG")
    elif name == CLIP and content[4:8] != b"ftyp":
        raise InvalidPackage(f"{name} is not an MP4")
    elif name == POINTS and len(content) != metadata.frames * LANDMARKS * 3 * 4:
        raise InvalidPackage(f"{name} has {len(content)} bytes; accepted: {metadata.frames} x {LANDMARKS} x 3 float32")


def _check_glb(content: bytes) -> None:
    try:
        document = Container.unpacked(content).document
    except BrokenContainer as error:
        raise InvalidPackage(f"{GLB} is not a glTF: {error}") from error
    for kind in ("buffers", "images"):
        named = document.get(kind, [])
        if not isinstance(named, list) or any(not isinstance(one, dict) or "uri" in one for one in named):
            raise InvalidPackage(f"{GLB} names other files in its {kind}; accepted: one that holds all of it")


def packed(avatar: Avatar) -> bytes:
    """Return ``avatar`` as the bytes of a file; raises as :func:`exported`."""
    out = io.BytesIO()
    exported(avatar, out)
    return out.getvalue()

"""The package of an avatar: a folder with an ordinary glTF, and all that is known of it.

::

    <id>/metadata.json    Metadata: who, when, from which picture, and the size and SHA-256 of every other file
    <id>/avatar.glb       what a browser draws
    <id>/preview.jpg      the face, 256 x 256
    <id>/source.jpg|mp4   the picture or clip, encoded again by us; never the upload
    <id>/landmarks.f32    [frames, 478, 3] little-endian float32: pixels of the source
    <id>/fit.f16          of a clip: what its frames need beside the landmarks
    <id>/crops.npz        what a neural renderer needs, made at registration

Rule that this module guards: **a package is what was written, or it is damaged.** No file is read but those in
:data:`FILES`, none beyond its bound, and none whose checksum is another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.errors import DamagedAvatar, InvalidAvatarName, UnknownAvatar
from emotalk_avatar.face import LANDMARKS
from emotalk_avatar.naming import checked_name
from emotalk_contract.quoting import quoted

FORMAT, VERSION = "emotalk-avatar", 1
MIB = 2**20
METADATA, GLB, PREVIEW, POINTS = "metadata.json", "avatar.glb", "preview.jpg", "landmarks.f32"
PICTURE, CLIP = "source.jpg", "source.mp4"
FIT = "fit.f16"
MAX_METADATA_BYTES = MIB
FILES: Mapping[str, int] = {
    GLB: 16 * MIB,
    PREVIEW: MIB,
    PICTURE: 32 * MIB,
    CLIP: 64 * MIB,
    POINTS: 4 * MIB,
    FIT: 64 * MIB,
    "crops.npz": 64 * MIB,
}
"""Names of what may lie beside the metadata, and the most bytes of each."""
Kind: TypeAlias = Literal["image", "video"]
NEEDED: Mapping[Kind, tuple[str, ...]] = {"image": (GLB, PREVIEW, PICTURE, POINTS), "video": (PREVIEW, CLIP)}
MAX_FRAMES = 600
MAX_NUMBER = 1e12
"""Of anything measured; JSON can hold integers that no float can."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Unfit(ValueError):
    """A document that is not the metadata of a package; says why."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a package, as its metadata has it."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of an avatar before it is stored."""

    name: str
    owner: str
    created: str
    """UTC, ``2026-11-27T21:52:00Z``."""
    kind: Kind
    width: int
    """Pixels of the source, as :attr:`height`."""
    height: int
    source_sha256: str
    """Of the upload, which is not kept."""
    frames: int = 1
    fps: float = 0.0
    """Of a clip; 0 for a picture."""
    models: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the networks that look at pictures, of the release that registered it, by name."""
    head_sha256: str = ""
    """Of the head that was fitted to it."""
    quality: Mapping[str, float] = field(default_factory=dict)
    """Measures of :mod:`emotalk_avatar.quality`, by name."""
    warnings: tuple[str, ...] = ()
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """The face in the first frame: left, top, right, bottom, pixels."""
    neutral: tuple[float, ...] = ()
    """[52]: the picture's own expression, which was subtracted; empty: none."""
    fit: Mapping[str, Any] = field(default_factory=dict)
    """More that the fit says of itself, as JSON."""
    consent: bool = False
    """True where whoever registered it said that the person agreed."""


@dataclass(frozen=True, slots=True)
class Metadata(Facts):
    """``metadata.json``."""

    id: str = ""
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    """By name; all but the metadata itself."""

    @property
    def size(self) -> int:
        """Bytes of all files that it names."""
        return sum(file.bytes for file in self.files.values())

    def dumped(self) -> bytes:
        """Return the file's bytes."""
        document = {"format": FORMAT, "version": VERSION, "id": self.id, **asdict(self)}
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Draft:
    """An avatar that is about to be stored."""

    facts: Facts
    files: Mapping[str, bytes]
    """By name, those of :data:`FILES` that it has."""

    def metadata(self, avatar_id: str) -> Metadata:
        """Return what describes it as ``avatar_id``."""
        files = {
            name: StoredFile(hashlib.sha256(content).hexdigest(), len(content)) for name, content in self.files.items()
        }
        given = {name: getattr(self.facts, name) for name in Facts.__dataclass_fields__}
        return Metadata(**given, id=avatar_id, files=files)


@dataclass(frozen=True, slots=True)
class Avatar:
    """A stored one."""

    folder: Path
    metadata: Metadata

    @property
    def id(self) -> str:
        """As its registration gave it."""
        return self.metadata.id

    def path(self, name: str) -> Path:
        """Return where the file ``name`` lies; not whether it is what was written."""
        if name not in self.metadata.files:
            raise UnknownAvatar(f"avatar {self.id} has no {quoted(name)}; accepted: {', '.join(self.metadata.files)}")
        return self.folder / name

    def read(self, name: str) -> bytes:
        """Return the bytes of the file ``name``.

        Raises:
            UnknownAvatar: it has no such file, or was deleted meanwhile.
            DamagedAvatar: they are not what was written.
        """
        path, stored = self.path(name), self.metadata.files[name]
        try:
            with path.open("rb") as file:
                content = file.read(stored.bytes + 1)
        except FileNotFoundError as error:
            if self.folder.exists():
                raise DamagedAvatar(f"avatar {self.id} lacks {name}; register it again") from error
            raise UnknownAvatar(f"avatar {self.id} was deleted") from error
        except OSError as error:
            raise DamagedAvatar(f"avatar {self.id}: {name} cannot be read ({error.strerror or error})") from error
        if len(content) != stored.bytes or hashlib.sha256(content).hexdigest() != stored.sha256:
            raise DamagedAvatar(f"avatar {self.id}: {name} is not what was written; register it again")
        return content

    def landmarks(self) -> NDArray[np.float32]:
        """Return [frames, 478, 3]: pixels of the source; raises as :meth:`read`."""
        return points(self.read(POINTS))


def points(content: bytes) -> NDArray[np.float32]:
    """Return the landmarks [frames, 478, 3] that ``landmarks.f32`` holds."""
    return np.frombuffer(content, "<f4").reshape(-1, LANDMARKS, 3)


def read_avatar(folder: Path) -> Avatar:
    """Return the package in ``folder``; its files are looked at when they are read.

    Raises:
        UnknownAvatar: there is none.
        DamagedAvatar: its metadata are not what was written.
    """
    try:
        with (folder / METADATA).open("rb") as file:
            content = file.read(MAX_METADATA_BYTES + 1)
    except FileNotFoundError as error:
        if folder.is_dir():
            raise DamagedAvatar(f"avatar {folder.name} has no {METADATA}; register it again") from error
        raise UnknownAvatar(f"no avatar has the id {folder.name!r}") from error
    except OSError as error:
        raise DamagedAvatar(f"avatar {folder.name}: {METADATA} cannot be read ({error.strerror or error})") from error
    try:
        metadata = parsed(content)
    except Unfit as error:
        raise DamagedAvatar(f"avatar {folder.name}: {METADATA} is not what was written ({error})") from error
    if metadata.id != folder.name:
        raise DamagedAvatar(f"avatar {folder.name}: {METADATA} is that of {metadata.id}")
    return Avatar(folder, metadata)


def parsed(content: bytes) -> Metadata:
    """Return the metadata in ``content``.

    Raises:
        Unfit: they are not those of a package.
    """
    if len(content) > MAX_METADATA_BYTES:
        raise Unfit(f"more than {MAX_METADATA_BYTES} bytes")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unfit("it is not JSON") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise Unfit(f"it is not an object whose format is {FORMAT!r}")
    if found.get("version") != VERSION:
        raise Unfit(f"its version is {quoted(found.get('version'))}; accepted: {VERSION}")
    return _metadata(_Reader(found))


class _Reader:
    """Values of a document, each of its kind or :class:`Unfit`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def wrong(self, name: str, accepted: str) -> Unfit:
        return Unfit(f"{name} is {quoted(self._document.get(name))}; accepted: {accepted}")

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self._document.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.wrong(name, f"text as {pattern.pattern}")
        return value

    def label(self, name: str) -> str:
        value = self._document.get(name)
        try:
            return checked_name(value if isinstance(value, str) else "", name)
        except InvalidAvatarName as error:
            raise Unfit(str(error)) from error

    def whole(self, name: str, low: int, high: int) -> int:
        value = self._document.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"{low}..{high}")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        value = self._document.get(name)
        if not _is_number(value) or not low <= float(cast("float", value)) <= high:
            raise self.wrong(name, f"{low:g}..{high:g}")
        return float(cast("float", value))

    def numbers(self, name: str, lengths: tuple[int, ...]) -> tuple[float, ...]:
        value = self._document.get(name)
        if not isinstance(value, list) or len(value) not in lengths or not all(map(_is_number, value)):
            raise self.wrong(name, f"a list of {' or '.join(map(str, lengths))} numbers")
        return tuple(map(float, value))

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._document.get(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._document.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.wrong(name, "a list of text")
        return tuple(value)

    def is_true(self, name: str) -> bool:
        return self._document.get(name) is True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER


def _metadata(document: _Reader) -> Metadata:
    kind = document.text("kind", re.compile("|".join(get_args(Kind))))
    models, quality = document.mapping("models"), document.mapping("quality")
    if not all(isinstance(value, str) for value in models.values()):
        raise document.wrong("models", "SHA-256 by name")
    if not all(map(_is_number, quality.values())):
        raise document.wrong("quality", "numbers by name")
    found = Metadata(
        id=document.text("id", re.compile("[a-z2-7]{26}")),
        name=document.label("name"),
        owner=document.label("owner"),
        created=document.text("created", _TIME),
        kind=cast("Kind", kind),
        width=document.whole("width", 1, 2**16),
        height=document.whole("height", 1, 2**16),
        frames=document.whole("frames", 1, MAX_FRAMES),
        fps=document.number("fps", 0.0, 1000.0),
        source_sha256=document.text("source_sha256", _SHA256),
        head_sha256=document.text("head_sha256", re.compile(f"({_SHA256.pattern})?")),
        models=models,
        quality={name: float(value) for name, value in quality.items()},
        warnings=document.texts("warnings"),
        box=cast("tuple[float, float, float, float]", document.numbers("box", (4,))),
        neutral=document.numbers("neutral", (0, 52)),
        fit=document.mapping("fit"),
        consent=document.is_true("consent"),
        files={name: _file(name, value) for name, value in document.mapping("files").items()},
    )
    if missing := [name for name in NEEDED[found.kind] if name not in found.files]:
        raise Unfit(f"it names no {missing[0]}")
    return found


def _file(name: str, value: object) -> StoredFile:
    if name not in FILES:
        raise Unfit(f"it names the file {quoted(name)}; accepted: {', '.join(FILES)}")
    found = _Reader(value if isinstance(value, dict) else {})
    return StoredFile(found.text("sha256", _SHA256), found.whole("bytes", 1, FILES[name]))

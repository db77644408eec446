"""Animation files, one module a format; the suffix decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emotalk_client.errors import UnknownFormat, UnreadableAnimation
from emotalk_client.faces.formats import audio2face, gltf, jsonl, livelink, npy, usd
from emotalk_client.faces.formats.files import make_folder_of as make_folder_of
from emotalk_client.faces.formats.files import writing as writing
from emotalk_client.faces.track import Track


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of file is written and read."""

    name: str
    _write: Callable[[Track, Path], None]
    _read: Callable[[Path, float | None], Track]
    _check: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Raise :class:`MissingExtra` if a library that this format needs is not installed."""
        self._check()

    def write(self, track: Track, path: Path) -> None:
        """Write ``track`` into ``path``; :class:`UnwritableFile` if that cannot be."""
        with writing(path):
            self._write(track, path)

    def read(self, path: Path, fps: float | None = None) -> Track:
        """The animation in ``path``, at ``fps`` where it says none; :class:`UnreadableAnimation` if it has none."""
        try:
            return self._read(path, fps)
        except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise UnreadableAnimation(
                f"{path} is no {self.name} file of this project ({type(error).__name__}: {error})"
            ) from error


_USD = Format("OpenUSD", usd.write, usd.read, usd.check)
FORMATS = {
    ".npy": Format("NumPy", npy.write, npy.read),
    ".csv": Format("Live Link Face", livelink.write, livelink.read),
    ".json": Format("Audio2Face", audio2face.write, audio2face.read),
    ".jsonl": Format("JSON lines", jsonl.write, jsonl.read),
    ".glb": Format("glTF", gltf.write, gltf.read),
    ".usd": _USD,
    ".usda": _USD,
    ".usdc": _USD,
}
"""By suffix."""


def format_of(path: Path) -> Format:
    """The format of ``path``; :class:`UnknownFormat` if its suffix is none of ours."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise UnknownFormat(f"{path.name} has the suffix {path.suffix!r}; accepted: {', '.join(FORMATS)}")
    return found

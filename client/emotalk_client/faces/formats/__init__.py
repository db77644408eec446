"""Animation files, one module a format; the suffix decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emotalk_client.errors import EmoTalkError, UnknownFormat, UnreadableAnimation
from emotalk_client.faces.formats import audio2face, gltf, jsonl, livelink, npy, usd
from emotalk_client.faces.formats.faults import Fault, shortened
from emotalk_client.faces.formats.files import make_folder_of as make_folder_of
from emotalk_client.faces.formats.files import writing as writing
from emotalk_client.faces.head.container import BrokenContainer
from emotalk_client.faces.head.own import OwnHead
from emotalk_client.faces.track import Track
from emotalk_client.faces.vocabularies import Vocabulary
from emotalk_contract.errors import InvalidOption


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its writer and its reader."""

    name: str
    _write: Callable[..., None]
    """Of a track and a path, and of what it ``takes``."""
    _read: Callable[[Path, float | None], Track]
    _check: Callable[[], None] = lambda: None
    takes: str | None = None
    """``head`` or ``vocabulary``, where it has one."""

    def check(self) -> None:
        """Raise :class:`MissingExtra` if a library that this format needs is not installed."""
        self._check()

    def check_look(self, head: OwnHead | None, vocabulary: Vocabulary | None) -> None:
        """Raise :class:`InvalidOption` where a head or a vocabulary is given to a format that has none."""
        for given, value in (("head", head), ("vocabulary", vocabulary)):
            if value is not None and self.takes != given:
                takers = [suffix for suffix, one in FORMATS.items() if one.takes == given]
                raise InvalidOption(f"a {self.name} file has no {given} of one's own; accepted: {', '.join(takers)}")

    def write(
        self, track: Track, path: Path, *, head: OwnHead | None = None, vocabulary: Vocabulary | None = None
    ) -> None:
        """Write ``track`` into ``path``, with a head or a vocabulary of one's own.

        Raises:
            UnwritableFile: the file cannot be written.
            InvalidOption: as :meth:`check_look`.
        """
        self.check_look(head, vocabulary)
        given = [value for value in (head, vocabulary) if value is not None]
        with writing(path):
            self._write(track, path, *given)

    def read(self, path: Path, fps: float | None = None) -> Track:
        """Read ``path``, at ``fps`` where it does not say its rate; :class:`UnreadableAnimation` if it cannot be."""
        try:
            return self._read(path, fps)
        except EmoTalkError:
            raise
        except (Fault, BrokenContainer) as fault:
            raise UnreadableAnimation(f"{path} is not a {self.name} file that can be read: {fault}") from fault
        except OSError as error:
            raise UnreadableAnimation(f"{path} cannot be read: {error.strerror or error}") from error
        except Exception as error:  # a stranger's file: whatever a reader stumbles over is the file's fault
            why = f"{type(error).__name__}: {shortened(str(error))}"
            raise UnreadableAnimation(f"{path} is not a {self.name} file that can be read ({why})") from error


_USD = Format("OpenUSD", usd.write, usd.read, usd.check)
FORMATS = {
    ".npy": Format("NumPy", npy.write, npy.read),
    ".csv": Format("Live Link Face", livelink.write, livelink.read, takes="vocabulary"),
    ".json": Format("Audio2Face", audio2face.write, audio2face.read),
    ".jsonl": Format("JSON lines", jsonl.write, jsonl.read),
    ".glb": Format("glTF", gltf.write, gltf.read, takes="head"),
    ".usd": _USD,
    ".usda": _USD,
    ".usdc": _USD,
}
"""By suffix."""


def format_of(path: Path) -> Format:
    """Return the format of ``path``; raise :class:`UnknownFormat` if its suffix is not one of ours."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise UnknownFormat(f"{path.name} has the suffix {path.suffix!r}; accepted: {', '.join(FORMATS)}")
    return found

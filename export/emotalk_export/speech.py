"""Speech on which a precision is judged: the user's own, or the sample voice that comes with this package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emotalk_contract.timing import SAMPLE_RATE
from emotalk_export.errors import CalibrationUnreadable

PIECE_S = 5.0
"""Seconds of each piece; long enough for a transformer to look around in."""
MOST_PIECES = 12
"""A minute, whoever speaks it; every run of the network counts."""


def sample_voice() -> Path:
    """The voice that comes with this package: inside it in a wheel, in the documentation in a checkout.

    Raises:
        FileNotFoundError: neither is there (a broken installation).
    """
    package = Path(__file__).resolve().parent
    for path in (package / "voice.flac", package.parents[1] / "docs" / "demo" / "voice.flac"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no voice.flac inside or beside {package}; reinstall emotalk-triton")


def pieces(paths: Sequence[Path]) -> list[NDArray[np.float32]]:
    """Speech at 16 kHz, mono, in pieces [80000]: evenly chosen from all files, at most :data:`MOST_PIECES`.

    Raises:
        CalibrationUnreadable: a file that is not audio, or no piece in all of them.
    """
    size = round(PIECE_S * SAMPLE_RATE)
    found = []
    for path in paths:
        clip = _read(path)
        found += [clip[i : i + size] for i in range(0, len(clip) - size + 1, size)]
    if not found:
        names = ", ".join(path.name for path in paths)
        raise CalibrationUnreadable(f"{names}: less than {PIECE_S:g} s of speech; accepted: a file of at least that")
    chosen = np.unique(np.linspace(0, len(found) - 1, min(MOST_PIECES, len(found))).round().astype(int))
    return [found[i] for i in chosen]


def at_speeds(clips: Sequence[NDArray[np.float32]], speeds: Sequence[float]) -> list[NDArray[np.float32]]:
    """``clips`` once more at each of ``speeds`` (1.2: a fifth faster, and as much higher): other voices of one."""
    return [
        soxr.resample(clip, SAMPLE_RATE, SAMPLE_RATE / speed).astype(np.float32) for speed in speeds for clip in clips
    ]


def _read(path: Path) -> NDArray[np.float32]:
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise CalibrationUnreadable(f"{path} cannot be read as audio: {error}") from error
    clip: NDArray[np.float32] = soxr.resample(samples.mean(1), rate, SAMPLE_RATE).astype(np.float32)
    if not np.isfinite(clip).all():
        raise CalibrationUnreadable(f"{path} has samples that are not numbers; accepted: -1..1")
    return clip

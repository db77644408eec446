"""Arrays of samples: their shape, type and values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import InvalidAudio
from emotalk_contract.errors import AudioNotFinite, AudioOutOfRange
from emotalk_contract.limits import MAX_AMPLITUDE

MAX_CHANNELS = 256
"""More than that is an array whose axes were swapped."""

MOST_AT_ONCE = 1 << 20
"""Samples of all channels together that are read at once, at most: a small file may claim hundreds of channels."""


def check_shape(array: NDArray[Any], name: str) -> None:
    """Raise :class:`InvalidAudio` for an array that is neither [samples] nor [samples, channels]."""
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= MAX_CHANNELS):
        raise InvalidAudio(
            f"the {name} has shape {list(array.shape)}; accepted: [samples] or [samples, channels] with at most "
            f"{MAX_CHANNELS} channels"
        )


def scaled(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return integers of full scale as float32 -1..1, and floats as they are.

    Raises:
        InvalidAudio: the type is not one of audio.
    """
    kind = samples.dtype.kind
    if samples.dtype == np.float32:
        return samples.copy()
    if kind == "f":
        with np.errstate(over="ignore"):  # what overflows is infinite, which check_values refuses
            return samples.astype(np.float32)
    if kind in "iu" and samples.dtype.itemsize <= 4:
        full = 2.0 ** (8 * samples.dtype.itemsize - 1)
        zero = full if kind == "u" else 0.0  # unsigned audio rests at half scale
        return ((samples.astype(np.float64) - zero) / full).astype(np.float32)
    raise InvalidAudio(f"the array's type is {samples.dtype}; accepted: floats, and integers of 8, 16 and 32 bits")


def check_values(samples: NDArray[np.float32], place: int) -> None:
    """Raise :class:`AudioNotFinite` or :class:`AudioOutOfRange` for samples that are not sound.

    Args:
        samples: [n].
        place: how many samples of the clip came before, for the message.
    """
    peak = float(np.abs(samples).max(initial=0))  # NaN if there is one
    if not math.isfinite(peak):
        wrong = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise AudioNotFinite(
            f"the audio is {samples[wrong]} at sample {place + wrong}; accepted: finite numbers in -1..1"
        )
    if peak > MAX_AMPLITUDE:
        raise AudioOutOfRange(f"the audio reaches {peak:g}; accepted: -1..1 (divide 16-bit integers by 32768)")

"""``.npy``: weights [F, 52] float32 in EmoTalk order, and nothing else: the rate is the reader's to know."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from emotalk_client.faces.formats.faults import Fault, check_finite
from emotalk_client.faces.resampling import on_grid
from emotalk_client.faces.track import MAX_FRAMES, Track
from emotalk_contract.arkit import BLENDSHAPE_COUNT, BLENDSHAPES
from emotalk_contract.timing import FPS


def write(track: Track, path: Path) -> None:
    """Write the weights, gaps filled."""
    with path.open("wb") as file:  # given a path, NumPy would add a suffix of its own to `.NPY`
        np.save(file, on_grid(track))


def read(path: Path, fps: float | None = None) -> Track:
    """Read weights, at ``fps`` (default 30) from 0."""
    with path.open("rb") as file:
        _check(file, path.stat().st_size)
        file.seek(0)
        try:
            values = np.load(file, allow_pickle=False)
        except ValueError as error:
            raise Fault(str(error)) from error
    with np.errstate(over="ignore"):  # what overflows is infinite, which is refused
        weights = values.astype(np.float32)
    check_finite(weights, BLENDSHAPES)
    rate = fps or FPS
    return Track(weights, np.arange(len(weights)) / rate, rate)


def _check(file: BinaryIO, size: int) -> None:
    """Raise :class:`Fault` unless the header in ``file`` promises weights, and the file is as long as it says."""
    if size == 0:
        raise Fault("it is empty")
    shape, dtype = _header(file)
    if len(shape) != 2 or shape[1] != BLENDSHAPE_COUNT or shape[0] < 0:
        raise Fault(f"the array has shape {_shown(shape)}; accepted: [frames, {BLENDSHAPE_COUNT}]")
    if shape[0] > MAX_FRAMES:
        raise Fault(f"the array has {_shown(shape[:1])} frames; accepted: at most {MAX_FRAMES}")
    if dtype.kind not in "fiu":
        raise Fault(f"the array is of {dtype}; accepted: real numbers")
    if size - file.tell() < math.prod(shape) * dtype.itemsize:
        raise Fault(f"it ends before its {shape[0]} frames do")


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type that the header in ``file`` tells."""
    readers: dict[tuple[int, int], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version: tuple[int, int] = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
        shape, _, dtype = readers[version](file)
    except Exception as error:  # its header is a Python literal: NumPy's parsers raise what they like
        raise Fault("its header is not that of a NumPy array") from error
    return shape, dtype


def _shown(shape: tuple[int, ...]) -> str:
    return str(list(shape)) if len(shape) < 8 and all(abs(n) < 1 << 63 for n in shape) else f"{len(shape)} axes"

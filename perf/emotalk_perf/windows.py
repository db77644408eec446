"""perf_analyzer's input data: windows of real speech, as the ensemble takes them.

Rule that this module guards: **what is sent is the speech, to the bit.** Samples travel as base64 of their float32
bytes; decimal numbers would be rounded and five times as long.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats import writing
from emotalk_contract.errors import AudioTooLong, AudioTooShort
from emotalk_contract.limits import MAX_SAMPLES, MIN_SAMPLES
from emotalk_contract.tensors import AUDIO
from emotalk_contract.timing import SAMPLE_RATE

MAX_WINDOWS = 16
"""Different windows of one input file; perf_analyzer takes them in turn."""


def cut(clip: NDArray[np.float32], seconds: float) -> list[NDArray[np.float32]]:
    """``clip`` [samples, 16 kHz] in windows of ``seconds`` seconds, one after the other; a clip that is shorter than
    one window is repeated.

    Raises:
        AudioTooShort: the clip has no sample, or a window is shorter than one request may be.
        AudioTooLong: a window is longer than one request may be.
    """
    if not seconds * SAMPLE_RATE >= MIN_SAMPLES or not len(clip):  # NaN fails too
        raise AudioTooShort(
            f"a window of {seconds:g} s of a clip of {len(clip)} samples; "
            f"accepted: windows of at least {MIN_SAMPLES / SAMPLE_RATE:g} s of some speech"
        )
    if seconds * SAMPLE_RATE > MAX_SAMPLES:
        raise AudioTooLong(f"a window of {seconds:g} s; accepted: at most {MAX_SAMPLES / SAMPLE_RATE:.1f} s")
    samples = round(seconds * SAMPLE_RATE)
    speech = clip if len(clip) >= samples else np.resize(clip, samples)
    count = min(MAX_WINDOWS, len(speech) // samples)
    return [speech[number * samples : (number + 1) * samples] for number in range(count)]


def write(windows: list[NDArray[np.float32]], path: Path) -> None:
    """Write ``windows`` [samples] each as the JSON that perf_analyzer's ``--input-data`` reads.

    Raises:
        UnwritableFile: ``path`` cannot be written.
    """
    data = [
        {
            AUDIO.name: {
                "content": {"b64": base64.b64encode(window.astype("<f4").tobytes()).decode("ascii")},
                "shape": list(window.shape),
            }
        }
        for window in windows
    ]
    with writing(path):
        path.write_text(json.dumps({"data": data}), "ascii")

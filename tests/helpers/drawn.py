"""Faces for drawings, and pictures read back from videos."""

from contextlib import contextmanager

import av
import numpy as np
import psutil
import pytest

from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.errors import NoDisplay
from emotalk_contract.arkit import INDEX


def face(**weights):
    """[52]; ``eyeBlink`` is both eyes'."""
    out = np.zeros(52, np.float32)
    for name, value in weights.items():
        for each in [name] if name in INDEX else [f"{name}Left", f"{name}Right"]:
            out[INDEX[each]] = value
    return out


@contextmanager
def drawing(*arguments, **named):
    """A drawing; the test is skipped where nothing can be drawn."""
    try:
        found = Drawing(*arguments, **named)
    except NoDisplay as error:
        pytest.skip(str(error))
    try:
        yield found
    finally:
        found.close()


def pictures(path):
    """``(seconds, RGB)`` of each picture of a video."""
    with av.open(str(path)) as file:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]


def sound(path):
    """Seconds of the first sample, rate, and the samples [n] of a video's sound, channels mixed."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    rate = frames[0].sample_rate
    start = frames[0].time
    samples = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])
    return start, rate, samples


def processes():
    """Pids of processes that draw for this one."""
    return [child.pid for child in psutil.Process().children() if _draws(child)]


def _draws(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE and any("drawing_process" in word for word in process.cmdline())
    except psutil.NoSuchProcess:  # it ended since
        return False

"""Live Link Face recordings made by hand: any clock, any spelling, any damage."""

import math

import numpy as np

from emotalk_contract.arkit import HEAD_AND_EYE_ROTATIONS, LIVE_LINK_CSV_ORDER

NAMES = [name[0].upper() + name[1:] for name in (*LIVE_LINK_CSV_ORDER, *HEAD_AND_EYE_ROTATIONS)]


def table(times, *, header=("Timecode", "BlendShapeCount"), names=NAMES, separator=",", decimal=".", end="\r\n"):
    """The text of a recording with a row for each of ``times``: row r has the weight (r % 10) / 10 everywhere."""
    lines = [separator.join([*header, *names])]
    for row, time in enumerate(times):
        cell = f"{row % 10 / 10:.10f}".replace(".", decimal)
        middle = ["61"] * (len(header) - 1)
        lines.append(separator.join([time, *middle, *[cell] * len(names)]))
    return end.join(lines) + end


def on_clock(frames, count, *, start=0.0, fraction="000", last=":"):
    """Timecodes of frame numbers (``count`` to a second) from ``start`` seconds of the day on."""
    out = []
    for frame in np.asarray(frames) + round(start * count):
        total, number = divmod(int(frame), count)
        total %= 86_400
        out.append(f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}{last}{number:02d}.{fraction}")
    return out


def as_once_written(frames, fps):
    """Timecodes as this project wrote them before it counted 60ths: frames of the file's own rate."""
    out = []
    for frame in range(frames):
        total, number = divmod(frame, math.ceil(fps - 1e-6))
        out.append(f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}:{number:02d}.000")
    return out


def drop_frame(frames, count, *, start=0):
    """SMPTE drop-frame timecodes of the running frame numbers ``start`` to ``start + frames``: by counting labels."""
    out, label, skipped = [], 0, count // 15
    for running in range(start + frames):
        if label % (60 * count) == 0 and (label // (60 * count)) % 10:
            label += skipped
        if running >= start:
            total, number = divmod(label, count)
            out.append(f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d};{number:02d}")
        label += 1
    return out

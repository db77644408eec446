"""A picture of a face over time: spectrogram, jaw, lips, brows and lids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import MissingExtra, UnknownFormat
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats.files import writing
from emotalk_contract.timing import SAMPLE_RATE

PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "jaw": {"jawOpen": ("jawOpen",)},
    "lips": {
        "pressed": ("mouthPressLeft", "mouthPressRight"),
        "funnel": ("mouthFunnel",),
        "pucker": ("mouthPucker",),
        "stretched": ("mouthStretchLeft", "mouthStretchRight"),
        "smile": ("mouthSmileLeft", "mouthSmileRight"),
    },
    "brows, lids": {
        "brows up": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
        "brows down": ("browDownLeft", "browDownRight"),
        "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    },
}
"""Panel to curve to the blendshapes whose mean it shows."""

IMAGES = (".png", ".svg", ".pdf", ".jpg")
"""Suffixes of pictures."""
COLOURS = ("#2563a8", "#c2502e", "#3a8f5c", "#8657a8", "#b8860b")
WINDOW = 512
"""Samples (32 ms) of a spectrum."""
HOP = 160
"""Samples (10 ms) between spectra."""
RANGE_DB = 70
"""Decibels below its loudest point that the spectrogram shows."""


def plot(animation: Animation, path: str | os.PathLike[str], audio: NDArray[np.float32] | None = None) -> None:
    """Draw ``animation`` into the image ``path``, over the spectrogram of ``audio`` (16 kHz, mono) if it is given.

    Raises:
        MissingExtra: matplotlib is not installed.
        UnknownFormat: the suffix is not that of an image.
        UnwritableFile: the image cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("plots need matplotlib; install `emotalk-triton[plot]`") from error

    check_image(Path(path))
    with_audio = audio is not None and len(audio) >= WINDOW
    rows = len(PANELS) + with_audio
    figure = Figure(figsize=(12, 2.0 * rows + 0.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(rows, 1, sharex=True)))
    if with_audio:
        _spectrogram(axes.pop(0), audio)
    for axis, (title, curves) in zip(axes, PANELS.items(), strict=True):
        for colour, (label, names) in zip(COLOURS, curves.items(), strict=False):
            mean = np.mean([animation.channel(name) for name in names], axis=0)
            axis.plot(animation.seconds, mean, color=colour, linewidth=1.4, label=label)
        axis.set_ylabel(title)
        axis.set_ylim(-0.03, max(0.6, float(axis.get_ylim()[1])))
        axis.grid(color="#e6e6e6", linewidth=0.7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=len(curves), frameon=False, fontsize=9)
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(0, animation.duration_s)
    with writing(Path(path)):
        figure.savefig(path)


def check_image(path: Path) -> None:
    """Raise :class:`UnknownFormat` unless the suffix of ``path`` is one of :data:`IMAGES`."""
    if path.suffix.lower() not in IMAGES:
        raise UnknownFormat(f"{path.name} has the suffix {path.suffix!r}; accepted: {', '.join(IMAGES)}")


def _spectrogram(axis: Any, audio: NDArray[np.float32] | None) -> None:
    assert audio is not None  # noqa: S101  # for the type checker
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    decibels = 10 * np.log10(power + 1e-10)
    axis.imshow(
        decibels.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=decibels.max() - RANGE_DB,
        extent=(0, len(audio) / SAMPLE_RATE, 0, SAMPLE_RATE / 2000),
    )
    axis.set_ylabel("kHz")

"""Samples, features and frames: every rate of the project and the exact arithmetic between them.

Rule that this module guards: **time is counted in integers** (samples, features, absolute frames); seconds are derived
last, by one division. 16000 / 30 is not an integer, but 3 frames = 5 features = 1600 samples = 100 ms: windows start on
that grid (:data:`GRID_SAMPLES`), and there a window's frames and features fall on its clip's own.

Theory of operation. The networks resample wav2vec features (50 Hz) to frames (30 Hz) at *fractional feature indices*
that they take as inputs; :func:`frame_grid` makes them. For a whole clip they are those of EmoTalk's ``align_corners``
interpolation. For a window they are the clip's own positions, shifted: a window knows where in its clip it lies, so
cutting moves no frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hertz: rate of the audio that the networks take."""
FPS = 30
"""Frames per second: rate of the faces that the networks give."""

CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""wav2vec 2.0's convolutional frontend, no padding."""

FEATURE_HOP = math.prod(CONV_STRIDES)
"""320 samples between two features: 50 Hz."""
FEATURE_SPAN = 1 + sum((kernel - 1) * math.prod(CONV_STRIDES[:i]) for i, kernel in enumerate(CONV_KERNELS))
"""400 samples, 25 ms: what one feature hears."""

GRID_SAMPLES = math.lcm(SAMPLE_RATE // math.gcd(SAMPLE_RATE, FPS), FEATURE_HOP)
"""1600 samples, 100 ms: the shortest step that is whole in samples, features and frames."""
GRID_FRAMES = GRID_SAMPLES * FPS // SAMPLE_RATE
"""3 frames."""
GRID_FEATURES = GRID_SAMPLES // FEATURE_HOP
"""5 features."""

FrameGrid: TypeAlias = Literal["align_corners", "uniform"]
"""A model's way to lay frames over features.

``align_corners``: EmoTalk's: the first frame on the clip's first feature, the last on its last, the rest evenly.
``uniform``: frame f at feature f * 5/3, whatever the clip's length (what ``align_corners`` tends to as clips grow).
"""


def frame_count(samples: int) -> int:
    """Frames of a clip: ceil(samples * 30 / 16000), in exact arithmetic.

    EmoTalk's authors evaluate it in floats and get a phantom frame at a few lengths (n = 132800: 250 for 249).
    """
    return -(-samples * FPS // SAMPLE_RATE)


def feature_count(samples: int) -> int:
    """Features of ``samples`` samples after the convolutional frontend (0 when there are too few for one)."""
    return max(0, (samples - FEATURE_SPAN) // FEATURE_HOP + 1)


def emotion_frame_count(features: int) -> int:
    """Length of the emotion encoder's own time axis: the authors' float expression, truncated (205 gives 122)."""
    return int(features / 50 * 30)


def frame_to_sample(frame: int) -> int:
    """First sample of ``frame``, which must lie on the 3-frame grid.

    Raises:
        ValueError: ``frame`` is not a multiple of 3, so its start is not a whole sample.
    """
    if frame % GRID_FRAMES:
        raise ValueError(f"frame {frame} is not a multiple of {GRID_FRAMES}, so its start is not a whole sample")
    return frame // GRID_FRAMES * GRID_SAMPLES


def timecodes(first_frame: int, frames: int) -> NDArray[np.float64]:
    """Seconds of ``frames`` frames from absolute frame ``first_frame``: ``timecode[i] = (first_frame + i) / 30``."""
    return np.arange(first_frame, first_frame + frames, dtype=np.int64) / FPS


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of audio and where it lies in its clip."""

    samples: int
    """Samples of the window itself."""
    start_frame: int = 0
    """Absolute frame at which the window starts: a multiple of 3."""
    clip_samples: int | None = None
    """Samples of the whole clip; None: not known (a live stream)."""

    @classmethod
    def whole(cls, samples: int) -> Window:
        """The window that is the whole clip."""
        return cls(samples, 0, samples)

    @property
    def start_sample(self) -> int:
        """The clip's sample at which the window starts."""
        return frame_to_sample(self.start_frame)

    @property
    def frames(self) -> int:
        """Frames that start within the window, none beyond the clip's last."""
        end = frame_count(self.start_sample + self.samples)
        if self.clip_samples is not None:
            end = min(end, frame_count(self.clip_samples))
        return end - self.start_frame


@dataclass(frozen=True, slots=True)
class Positions:
    """Places at which the networks look: fractional indices, float32, local to the window."""

    content: NDArray[np.float32]
    """[F] feature index of each frame."""
    emotion: NDArray[np.float32]
    """[E] feature index of each step of the emotion encoder's own time axis."""
    emotion_frame: NDArray[np.float32]
    """[F] index into that axis of each frame."""


FLOAT32_STEPS = 5000
"""Up to here positions are rounded to float32 as torch's interpolation rounds them, which the authors use.

Exact positions would move the weights of a 36 s clip by up to 6e-5 from theirs; these by 9e-7. The authors go no
further than 5000 frames; beyond, float32 would be coarser than a thousandth of a feature.
"""


def _aligned(index: NDArray[np.integer[Any]], source: int, target: int) -> NDArray[np.float64]:
    """Source step of each target step in ``index``, both ends aligned: ``index * (source - 1) / (target - 1)``."""
    real: Any = np.float32 if target <= FLOAT32_STEPS else np.float64
    ratio = real((source - 1) / (target - 1) if target > 1 else 0.0)
    aligned: NDArray[np.float64] = (index.astype(real) * ratio).astype(np.float64)
    return aligned


def _clamped(index: NDArray[np.floating[Any]], length: int) -> NDArray[np.float32]:
    return np.clip(index, 0, length - 1).astype(np.float32)


def frame_grid(window: Window, grid: FrameGrid = "align_corners") -> Positions:
    """The positions at which the networks resample ``window``.

    For a clip of T features, F frames and E = int(T / 50 * 30) emotion steps, ``align_corners`` gives
    ``content[f] = f (T-1)/(F-1)``, ``emotion[e] = e (T-1)/(E-1)``, ``emotion_frame[f] = f (E-1)/(F-1)``, with the f and
    e that lie in the window, less the window's own first feature and first e. A window of a clip of unknown length
    gets the ``uniform`` grid: content[f] = f * 5/3, emotion the same, emotion_frame[f] = f. Positions are clamped to
    the features that the window has.
    """
    features = feature_count(window.samples)
    frames = window.frames
    if grid == "uniform" or window.clip_samples is None:
        content = _clamped(np.arange(frames) * (GRID_FEATURES / GRID_FRAMES), features)
        return Positions(content, content, np.arange(frames, dtype=np.float32))

    clip_features = feature_count(window.clip_samples)
    clip_frames = frame_count(window.clip_samples)
    clip_steps = emotion_frame_count(clip_features)
    first_feature = window.start_sample // FEATURE_HOP
    frame = np.arange(window.start_frame, window.start_frame + frames)
    content = _aligned(frame, clip_features, clip_frames) - first_feature

    step = _aligned(frame, clip_steps, clip_frames)
    first_step, last_step = math.floor(step[0]), min(math.ceil(step[-1]), clip_steps - 1)
    emotion = _aligned(np.arange(first_step, last_step + 1), clip_features, clip_steps) - first_feature
    return Positions(
        _clamped(content, features), _clamped(emotion, features), _clamped(step - first_step, len(emotion))
    )


def borrowed_emotion(window: Window, emotion_samples: int, first_feature: int, grid: FrameGrid) -> Positions:
    """The positions of ``window`` when its emotion comes from another clip.

    The other clip's features start at ``first_feature`` on the network's feature axis. Its emotion steps are laid over
    it as over any whole clip, and stretched over the speech's clip: the first frame takes the first step, the last
    frame the last. A live stream, whose last frame is not known, takes one step a frame and holds the last.
    """
    features = feature_count(emotion_samples)
    if grid == "uniform":
        steps = frame_count(emotion_samples)
        own = np.arange(steps) * (GRID_FEATURES / GRID_FRAMES)
    else:
        steps = emotion_frame_count(features)
        own = _aligned(np.arange(steps), features, steps)
    emotion = _clamped(own, features) + np.float32(first_feature)
    frame = np.arange(window.start_frame, window.start_frame + window.frames)
    if window.clip_samples is None:
        step = frame.astype(np.float64)
    else:
        step = _aligned(frame, steps, frame_count(window.clip_samples))
    return Positions(frame_grid(window, grid).content, emotion, _clamped(step, steps))

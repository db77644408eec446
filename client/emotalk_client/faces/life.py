"""Life that speech does not say: nods, a gaze that wanders, and a body that breathes.

Rule that this module guards: **everything is a function of (seed, absolute frame, energy of the last second and a
half).** So any piece of a clip moves as the whole does, to the last bit, however it was cut and wherever it begins: a
live stream equals a file.

Theory of operation. Nothing is drawn in order: a hash of (seed, stream, number) gives each random number by itself.

* *Idle*: smooth noise turns the head slowly, breath lifts it, and brows and lids stir once in a while. The mouth is the
  speech's and is left alone.
* *Gaze*: one saccade falls into each slot of 1.5 s, 0.5 to 2.5 s after the one before. It leads to a point near the
  listener, or away; its duration follows the main sequence, 21 ms + 2.2 ms a degree (Carpenter, Movements of the Eyes,
  1988). Between saccades the eyes hold their point while the head moves (the vestibulo-ocular reflex).
* *Head*: a syllable that stands out from the last 1.5 s is nodded at, and who speaks sways more than who listens.
  Energy is read from the mouth: it opens wider where speech is louder.

``client/emotalk_gateway/page/static/life.js`` has the same formulas for the page, which has to move before anything is
said; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT, HEAD_AND_EYE_ROTATIONS, INDEX
from emotalk_contract.checking import is_number
from emotalk_contract.errors import InvalidOption
from emotalk_contract.limits import DEFAULT_SEED, MAX_SEED
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import FPS

DEGREE = np.pi / 180

HISTORY = 45
"""Frames before a frame whose energy it depends on."""
ENERGY_GAIN = 2.5
"""Of a mouth's opening: the sample voice has 0.5 at its upper quartile."""

NOD = 10 * DEGREE
"""Downwards, for a syllable that stands out by 1."""
NOD_FRAMES = 11
"""Frames of a nod (0.37 s): a raised cosine."""
NOD_SOFT = 0.1
"""Prominence below which nods fade."""
SPEAKING = (7 * DEGREE, 3.5 * DEGREE, 3.5 * DEGREE)
"""Most yaw, pitch and roll of who speaks, beside nods."""
SPEAKING_FRAMES = (38, 29, 47)
"""Frames from one posture to the next, for each."""
SPEAKS = 4.0
"""Gain of the mean energy, after which 1 is speech."""

SWAY = (3 * DEGREE, 1.6 * DEGREE, 1.8 * DEGREE)
"""Most yaw, pitch and roll of who idles."""
SWAY_FRAMES = (81, 97, 113)
BREATH = 0.5 * DEGREE
BREATH_FRAMES = 120
"""15 breaths a minute."""
STIRS = {
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"): 0.12,
    ("browDownLeft", "browDownRight"): 0.08,
    ("eyeSquintLeft", "eyeSquintRight"): 0.15,
}
"""Blendshapes that stir together, and their most."""
STIR_PERIOD, STIR_FRAMES = 150, 40
"""Frames: each group stirs once in a period, for so long."""

SACCADE_PERIOD, SACCADE_SPREAD = 45, 30
"""Frames: saccade k starts in ``[PERIOD * k, PERIOD * k + SPREAD]``."""
AWAY = 0.35
"""Share of the points that lie away from the listener."""
NEAR_DEG = 1.5
"""Most degrees of the others, either way."""
AWAY_YAW_DEG, AWAY_PITCH_DEG = (5.0, 14.0), (-6.0, 7.0)
SACCADE_S, SACCADE_S_PER_DEG = 0.021, 0.0022
HOLDS_FROM = 0.2
"""Amount of gaze from which the eyes hold their point fully."""
LOOK_OUT_IN, LOOK_UP, LOOK_DOWN = 33.6 * DEGREE, 17.4 * DEGREE, 28.6 * DEGREE
"""Turn of an eye that the blendshapes eyeLook… stand for at 1, measured on the client's head."""

AMOUNTS = ("head", "gaze", "idle")
"""The kinds of life."""

_STREAMS = {"speaking": 0, "sway": 3, "breath": 6, "stir": 7, "saccade": 16}
"""First number of each family of random numbers."""
_MASK = 0xFFFFFFFF
_JAW, _CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]
_EYES = {name: [INDEX[f"eyeLook{name}Left"], INDEX[f"eyeLook{name}Right"]] for name in ("In", "Out", "Up", "Down")}


@dataclass(frozen=True, slots=True, eq=False)
class Lived:
    """A face with life in it."""

    weights: NDArray[np.float32]
    """[F, 52] in EmoTalk order."""
    rotations: NDArray[np.float32]
    """[F, 9] radians, as :mod:`emotalk_client.faces.rotations` has them."""


@dataclass(frozen=True, slots=True)
class Life:
    """Amounts of life, each 0 to 1, and the seed of all chance.

    Raises:
        InvalidOption: a value is out of range.
    """

    head: float = 0.0
    """Nods and sways of who speaks."""
    gaze: float = 0.0
    """Saccades, and eyes that hold their point."""
    idle: float = 0.0
    """Slow sway, breath, brows and lids."""
    seed: int = DEFAULT_SEED

    def __post_init__(self) -> None:
        for name in AMOUNTS:
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= 1):  # NaN fails too
                raise InvalidOption(f"{name} is {quoted(value)}; accepted: 0..1")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed <= MAX_SEED:
            raise InvalidOption(f"seed is {quoted(self.seed)}; accepted: an integer in 0..{MAX_SEED}")

    @property
    def still(self) -> bool:
        """True if it moves nothing."""
        return not (self.head or self.gaze or self.idle)

    def of(
        self,
        weights: NDArray[np.float32],
        first_frame: int = 0,
        before: NDArray[np.floating[Any]] | None = None,
    ) -> Lived:
        """Return the face ``weights`` [F, 52] of the absolute frames from ``first_frame`` on with life in it.

        ``before`` is the :func:`energy` of the :data:`HISTORY` frames before them (default: silence).
        """
        if before is None:
            before = np.zeros(HISTORY)
        heard = np.concatenate([before, energy(weights)])
        frames = len(weights)
        head = self.head * speaking_rotation(self.seed, first_frame, heard)
        head = head + self.idle * idle_rotation(self.seed, first_frame, frames)
        eyes = self.gaze * gaze_rotation(self.seed, first_frame, frames)
        eyes = eyes - min(1.0, self.gaze / HOLDS_FROM) * head[:, :2]
        rotations = np.zeros((frames, len(HEAD_AND_EYE_ROTATIONS)))
        rotations[:, 0:3] = head
        rotations[:, 3:5] = rotations[:, 6:8] = eyes
        moved = weights + self.idle * idle_weights(self.seed, first_frame, frames) + looking(eyes)
        lived = np.where(moved == weights, weights, np.clip(moved, 0, 1))  # what life leaves alone stays as it is
        return Lived(lived.astype(np.float32), rotations.astype(np.float32))


SMALL = Life(head=0.4, gaze=0.4, idle=0.4)
"""Amounts that are seen and not noticed: the page's and videos'."""


class LiveLife:
    """Life for a face that comes in pieces, in order."""

    def __init__(self, life: Life, first_frame: int = 0) -> None:
        self._life = life
        self._frame = first_frame
        self._before = np.zeros(HISTORY)

    def push(self, weights: NDArray[np.float32]) -> Lived:
        """Return the next frames ``weights`` [F, 52] with life in them, as :meth:`Life.of` gives the whole clip's."""
        lived = self._life.of(weights, self._frame, self._before)
        self._before = np.concatenate([self._before, energy(weights)])[len(weights) :]
        self._frame += len(weights)
        return lived


def energy(weights: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return how much is said in each frame, [F] in 0..1: ``2.5 (jawOpen - mouthClose)`` of ``weights`` [F, 52]."""
    opening: NDArray[np.float64] = weights[:, _JAW].astype(np.float64) - weights[:, _CLOSE]
    return np.clip(ENERGY_GAIN * opening, 0, 1)


def speaking_rotation(seed: int, first_frame: int, heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return yaw, pitch and roll of a head that speaks, [F, 3] radians.

    ``heard`` [:data:`HISTORY` + F] is the energy of the frames and of those before them. With e its raised-cosine mean
    over :data:`NOD_FRAMES` and m its mean over :data:`HISTORY` + 1 frames, p = max(0, e - m) is nodded at by
    ``NOD p^2 / (p + NOD_SOFT)``.
    """
    frames = len(heard) - HISTORY
    mean = _weighted(heard, np.full(HISTORY + 1, 1 / (HISTORY + 1)))
    prominence = np.maximum(0, _weighted(heard, _nod_taps()) - mean)
    speaks = np.minimum(1, SPEAKS * mean)
    frame = np.arange(first_frame, first_frame + frames, dtype=np.float64)
    stream = _STREAMS["speaking"]
    out: NDArray[np.float64] = np.stack(
        [
            speaks * most * _noise(seed, stream + axis, frame, period)
            for axis, (most, period) in enumerate(zip(SPEAKING, SPEAKING_FRAMES, strict=True))
        ],
        axis=1,
    )
    out[:, 1] += NOD * prominence * prominence / (prominence + NOD_SOFT)
    return out


def idle_rotation(seed: int, first_frame: int, frames: int) -> NDArray[np.float64]:
    """Return yaw, pitch and roll of a head at rest, [F, 3] radians."""
    frame = np.arange(first_frame, first_frame + frames, dtype=np.float64)
    out: NDArray[np.float64] = np.stack(
        [
            most * _noise(seed, _STREAMS["sway"] + axis, frame, period)
            for axis, (most, period) in enumerate(zip(SWAY, SWAY_FRAMES, strict=True))
        ],
        axis=1,
    )
    phase = _uniform(seed, _STREAMS["breath"], np.zeros(1))[0]
    out[:, 1] += BREATH * np.sin(2 * np.pi * (frame / BREATH_FRAMES + phase))
    return out


def idle_weights(seed: int, first_frame: int, frames: int) -> NDArray[np.float64]:
    """Return what a face at rest adds to its weights, [F, 52]: brows and lids that stir."""
    frame = np.arange(first_frame, first_frame + frames, dtype=np.float64)
    number = np.floor(frame / STIR_PERIOD)
    out = np.zeros((frames, BLENDSHAPE_COUNT))
    for group, (names, most) in enumerate(STIRS.items()):
        stream = _STREAMS["stir"] + 2 * group
        start = number * STIR_PERIOD + _uniform(seed, stream, number) * (STIR_PERIOD - STIR_FRAMES)
        place = np.clip((frame - start) / STIR_FRAMES, 0, 1)
        amount = most * _uniform(seed, stream + 1, number) * 0.5 * (1 - np.cos(2 * np.pi * place))
        for name in names:
            out[:, INDEX[name]] = amount
    return out


def gaze_rotation(seed: int, first_frame: int, frames: int) -> NDArray[np.float64]:
    """Return yaw and pitch of the point that is looked at, [F, 2] radians from straight ahead."""
    frame = np.arange(first_frame, first_frame + frames, dtype=np.float64)
    number = np.floor(frame / SACCADE_PERIOD)
    start = number * SACCADE_PERIOD + SACCADE_SPREAD * _uniform(seed, _STREAMS["saccade"], number)
    before, after = _point(seed, number - 1), _point(seed, number)
    degrees = np.sqrt(np.sum(np.square(after - before), axis=1))
    duration = FPS * (SACCADE_S + SACCADE_S_PER_DEG * degrees)
    done = _smooth((frame - start) / duration)[:, None]
    return DEGREE * (before + (after - before) * done)


def looking(eyes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of eyes that are turned by ``eyes`` [F, 2] (yaw, pitch in radians), [F, 52]."""
    out = np.zeros((len(eyes), BLENDSHAPE_COUNT))
    left, right = np.maximum(0, eyes[:, 0]) / LOOK_OUT_IN, np.maximum(0, -eyes[:, 0]) / LOOK_OUT_IN
    out[:, _EYES["Out"]] = np.stack([left, right], axis=1)
    out[:, _EYES["In"]] = np.stack([right, left], axis=1)
    out[:, _EYES["Down"]] = np.maximum(0, eyes[:, 1:]) / LOOK_DOWN
    out[:, _EYES["Up"]] = np.maximum(0, -eyes[:, 1:]) / LOOK_UP
    return out


def _point(seed: int, number: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yaw and pitch in degrees of the point after saccade ``number`` [F], [F, 2]; straight ahead before the first."""
    stream = _STREAMS["saccade"] + 1
    away, side, yaw, pitch = (_uniform(seed, stream + i, np.maximum(0, number)) for i in range(4))
    far = np.where(side < 0.5, -1, 1) * (AWAY_YAW_DEG[0] + (AWAY_YAW_DEG[1] - AWAY_YAW_DEG[0]) * yaw)
    high = AWAY_PITCH_DEG[0] + (AWAY_PITCH_DEG[1] - AWAY_PITCH_DEG[0]) * pitch
    near = np.stack([NEAR_DEG * (2 * yaw - 1), NEAR_DEG * (2 * pitch - 1)], axis=1)
    point = np.where((away < AWAY)[:, None], np.stack([far, high], axis=1), near)
    return np.where((number < 0)[:, None], 0.0, point)


def _nod_taps() -> NDArray[np.float64]:
    """Weights of the newest frames, newest first, sum 1."""
    taps = 1 - np.cos(2 * np.pi * np.arange(1, NOD_FRAMES + 1) / (NOD_FRAMES + 1))
    return np.asarray(taps / taps.sum())


def _weighted(heard: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """``sum(taps[i] * heard[f - i])`` for the frames behind the history; summed one by one, in an order of its own."""
    frames = len(heard) - HISTORY
    out = np.zeros(frames)
    for lag, tap in enumerate(taps):
        out += tap * heard[HISTORY - lag : HISTORY - lag + frames]
    return out


def _noise(seed: int, stream: int, frame: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """Smooth noise in -1..1: a number every ``period`` frames, and the fifth-order ease between them (Perlin,
    Improving Noise, SIGGRAPH 2002).
    """
    place = frame / period
    number = np.floor(place)
    t = place - number
    before, after = (2 * _uniform(seed, stream, number + i) - 1 for i in (0, 1))
    eased: NDArray[np.float64] = t * t * t * (t * (6 * t - 15) + 10)
    return before + (after - before) * eased


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _uniform(seed: int, stream: int, number: NDArray[np.float64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each of ``number`` [F]: MurmurHash3's 32-bit finaliser (A. Appleby, public domain), for
    JavaScript has no wider integers.
    """
    start = (seed & _MASK) ^ ((seed >> 32) * 0x9E3779B1 & _MASK)
    h = (np.uint64(start + stream * 0x85EBCA77 & _MASK) ^ (number.astype(np.uint64) * 0xC2B2AE3D & _MASK)) & _MASK
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, None)):
        h = h ^ (h >> np.uint64(shift))
        if factor is not None:
            h = h * np.uint64(factor) & np.uint64(_MASK)
    return h.astype(np.float64) / 2.0**32

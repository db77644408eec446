"""Emotions over time: keys, and the way from one to the next.

Rules that this module guards: **nothing moves before its key**, and **a frame's emotions depend on its absolute time
alone**, so that a live stream, a window and the whole clip give the same, to the last bit.

Theory of operation. A key says which emotions hold from its time on, until the next. They are not there at once: the
change from the amounts before it is spread over the ``transition`` T that follows the key's time, by the smoothstep
S(x) = 3x^2 - 2x^3 (0 before 0, 1 after 1). With a_0 the beginning emotion and a_i the amounts of the key at t_i

    amounts(t) = a_0 + sum_i (a_i - a_(i-1)) S((t - t_i) / T)

which is the step curve, filtered by a causal kernel of length T: each value lies between those of the keys, also where
keys follow each other faster than T. A key counts as a constant from t_i + T on, so that of a long list a window needs
only what :meth:`EmotionCurve.restricted` leaves.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.checking import is_number
from emotalk_contract.emotions import amounts_row, check_amounts
from emotalk_contract.errors import InvalidEmotionKey, InvalidOption
from emotalk_contract.limits import MAX_CLIP_SAMPLES, MAX_EMOTION_KEYS
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import FPS, SAMPLE_RATE

LATEST_S = MAX_CLIP_SAMPLES / SAMPLE_RATE
"""Seconds: the last moment of any clip."""
EXAMPLE = '[{"time": 1.5, "emotions": {"joy": 0.8}}]'
"""Keys as they travel."""

EmotionKey = Mapping[str, Any]
"""``{"time": seconds from the clip's start, "emotions": {name: 0..1}}``; an emotion that is not named is 0."""


def check_keys(keys: Sequence[EmotionKey]) -> None:
    """Check the option ``emotion_keys``.

    Raises:
        InvalidOption: too many.
        InvalidEmotionKey: one without a time or emotions, or with anything else.
        UnknownEmotion, EmotionOutOfRange: as of ``emotions``.
    """
    check_count(len(keys))
    for number, key in enumerate(keys):
        where = f"emotion_keys[{number}]"
        if not isinstance(key, Mapping) or set(key) != {"time", "emotions"} or not isinstance(key["emotions"], Mapping):
            raise InvalidEmotionKey(f"{where} is {quoted(key)}; accepted: a key such as {EXAMPLE[1:-1]}")
        if not (is_number(key["time"]) and 0 <= key["time"] <= LATEST_S):  # NaN fails too
            raise InvalidEmotionKey(f"{where} has the time {quoted(key['time'])}; accepted: seconds, 0..{LATEST_S:.0f}")
        check_amounts(f"{where}.emotions", key["emotions"])


def check_count(keys: int) -> None:
    """Raise InvalidOption for more keys than a clip may have."""
    if keys > MAX_EMOTION_KEYS:
        raise InvalidOption(f"emotion_keys has {keys} keys; accepted: at most {MAX_EMOTION_KEYS}")


@dataclass(frozen=True, slots=True)
class EmotionCurve:
    """The emotions of a clip at every moment."""

    beginning: Mapping[str, float]
    """Emotion to amount, before the first key."""
    keys: tuple[EmotionKey, ...]
    """By time, each at its own."""
    transition_s: float

    @classmethod
    def of(cls, beginning: Mapping[str, float], keys: Sequence[EmotionKey], transition_s: float) -> EmotionCurve:
        """Return the curve through ``keys``, checked and in any order; of equal times the last one counts."""
        by_time = {float(key["time"]): key for key in keys}
        return cls(beginning, tuple(by_time[time] for time in sorted(by_time)), float(transition_s))

    def with_keys(self, keys: Sequence[EmotionKey]) -> EmotionCurve:
        """Return the curve with ``keys`` too, which count where there are such of the same time."""
        return EmotionCurve.of(self.beginning, [*self.keys, *keys], self.transition_s)

    def at(self, first_frame: int, frames: int) -> NDArray[np.float64]:
        """Return the amounts in the frames from ``first_frame`` on, [frames, 10] in the order of the ten names."""
        time = np.arange(first_frame, first_frame + frames) / FPS
        amounts = np.stack([amounts_row(self.beginning), *(amounts_row(key["emotions"]) for key in self.keys)])
        begins = np.array([key["time"] for key in self.keys], np.float64)
        ends = begins + self.transition_s
        out: NDArray[np.float64] = amounts[np.searchsorted(ends, time, "right")]
        first = np.searchsorted(time, begins, "left")
        last = np.searchsorted(time, ends, "left")
        for key in np.flatnonzero(first < last):
            moving = slice(first[key], last[key])
            share = (time[moving] - begins[key]) / self.transition_s
            out[moving] += (share * share * (3 - 2 * share))[:, None] * (amounts[key + 1] - amounts[key])
        return out

    def restricted(self, first_frame: int, end_frame: int) -> EmotionCurve:
        """Return the curve with the fewest keys that is the same in the frames ``first_frame .. end_frame - 1``."""
        done = bisect_right(self.keys, first_frame / FPS, key=lambda key: key["time"] + self.transition_s)
        begun = bisect_left(self.keys, end_frame / FPS, key=lambda key: key["time"])
        beginning = self.keys[done - 1]["emotions"] if done else self.beginning
        return EmotionCurve(beginning, self.keys[done:begun], self.transition_s)

"""Emotions of a call: what the caller sends, with time codes, and what the face shows of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emotalk_contract.emotion_curve import LATEST_S, EmotionCurve, EmotionKey
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.limits import MAX_EMOTION_KEYS, MAX_START_FRAME
from emotalk_contract.timing import FPS
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service.errors import InvalidMessage

if TYPE_CHECKING:
    from emotalk_gateway.grpc.audio2face.parameters import Notices

AGGREGATE = "nvidia_ace.emotion_aggregate.v1.EmotionAggregate"
TOLD_EVERY = 10
"""Frames between two that tell of the emotions which are shown, where there are any."""
MOST_NAMES = 256
"""Of emotions, shapes or parameters in one list: many more than there are, and few enough to look at."""
OTHER_NAMES = {"out_of_breath": "outofbreath"}
"""As older clients spell them."""
NEUTRAL = "neutral"
"""Sent as an emotion by some: the absence of all."""


def check_names(what: str, values: Mapping[str, Any]) -> None:
    """Raise :class:`InvalidMessage` where ``values`` has more names than anybody has a use for."""
    if len(values) > MOST_NAMES:
        raise InvalidMessage(f"{what} has {len(values)} names; accepted: at most {MOST_NAMES}")


def amounts(emotions: Mapping[str, float], notices: Notices) -> dict[str, float]:
    """Return ``emotions`` as the contract takes them: the ten names, 0..1."""
    out = {}
    for said, amount in emotions.items():
        name = OTHER_NAMES.get(said, said)
        if name in EMOTIONS and not math.isnan(amount):
            out[name] = min(max(amount, 0.0), 1.0)
        elif name != NEUTRAL:
            notices.ignored("emotion", said)
    return out


def given(parameters: Any, name: str, default: float, most: float) -> float:
    """Return the optional field ``name``, within 0..``most``; ``default`` where it is not there."""
    value = getattr(parameters, name) if parameters.HasField(name) else default
    return default if math.isnan(value) else min(max(value, 0.0), most)


class Emotions:
    """The emotions of one call over time.

    Args:
        beginning: before the first time code.
        transition_s: that a change takes.
        strength: of all.
    """

    def __init__(self, beginning: Mapping[str, float], transition_s: float, strength: float) -> None:
        self._curve = EmotionCurve.of(beginning, (), transition_s)
        self._any = bool(beginning)
        self._strength = strength
        self._untold: list[tuple[float, dict[str, float]]] = []
        self._heard = 0
        self.keys: list[EmotionKey] = []
        """In the order in which they came."""

    def hear(self, emotions: Any, notices: Notices) -> list[EmotionKey]:
        """Take in the EmotionWithTimeCodes of one message; return those that change anything.

        Raises:
            InvalidMessage: the call has more of them than are kept.
        """
        self._heard += len(emotions)
        if self._heard > MAX_EMOTION_KEYS:
            raise InvalidMessage(
                f"the call has {self._heard} emotions with time codes; accepted: at most {MAX_EMOTION_KEYS}"
            )
        new: list[EmotionKey] = []
        for one in emotions:
            check_names("an emotion with a time code", one.emotion)
            if not math.isfinite(one.time_code):
                notices.ignored("the time code", str(one.time_code))
                continue
            self._untold.append((one.time_code, dict(one.emotion)))
            key = {"time": min(max(one.time_code, 0.0), LATEST_S), "emotions": amounts(one.emotion, notices)}
            last = self.keys[-1] if self.keys else None
            if last is None or key["emotions"] != last["emotions"] or key["time"] < last["time"]:
                self.keys.append(key)
                new.append(key)
        if new:
            self._curve = self._curve.with_keys(new)
            self._any = True
        return new

    def told(self, frame: int) -> Any:
        """Return the EmotionAggregate that goes with ``frame``; None with most of them.

        What the caller sent is told once: some clients make a row of a table of each. ``a2e_output`` stays empty: there
        is nothing that was detected, and some clients fail where it is there.
        """
        if frame % TOLD_EVERY or not (frame == 0 or self._any):
            return None
        out = message(AGGREGATE)()
        for time_code, sent in self._untold:
            out.input_emotions.add(time_code=time_code, emotion=sent)
        self._untold = []
        shown = out.a2f_smoothed_output.add(time_code=frame / FPS)
        self._curve = self._curve.restricted(frame, MAX_START_FRAME)
        for name, amount in zip(EMOTIONS, self._curve.restricted(frame, frame + 1).at(frame, 1)[0], strict=True):
            shown.emotion[name] = amount * self._strength
        return out

"""The emotions of a live stream, which its caller may change while it runs. Pure: no I/O.

Rule that this module guards: **what was handed out stays true.** A change acts from the first frame on that has not
been asked for, however late it comes, and every request carries what its frames need of the past.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emotalk_client.settings import plain_keys
from emotalk_contract.emotion_curve import EmotionKey, check_count, check_keys
from emotalk_contract.limits import MAX_START_FRAME
from emotalk_contract.options import Options, Parameter
from emotalk_contract.regions import reach
from emotalk_contract.timing import FPS


class EmotionTrack:
    """The emotions of one stream, from its options and from what is said later.

    Args:
        options: of the stream.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._curve = options.curve()
        self._back = reach(options.region)
        self._fixed = options.parameters()
        self._new: list[EmotionKey] = []

    def set(self, emotions: Mapping[str, float], at_s: float) -> None:
        """Say that ``emotions`` hold from ``at_s`` seconds of the stream's own time on; where that has been asked for
        by then, from the next frame on.

        Raises:
            InvalidEmotionKey: a time that no stream has.
            InvalidOption: more keys lie ahead than a clip may have.
            UnknownEmotion, EmotionOutOfRange: as of the option.
        """
        new = [*self._new, one_key(emotions, at_s)]
        check_count(len(self._curve.keys) + len(new))
        self._new = new

    def begin(self, emotions: Mapping[str, float]) -> None:
        """Say that ``emotions`` are there from the beginning, before the first request; errors as of :meth:`set`."""
        self._curve = replace(self._curve, beginning=one_key(emotions, 0.0)["emotions"])

    def parameters(self, next_frame: int, end_frame: int) -> dict[str, Parameter]:
        """Return the parameters of a request that gives frames from ``next_frame`` on, and none from ``end_frame`` on.

        Keys that came since the last one begin at ``next_frame``, where they lie before it.
        """
        if self._new:
            earliest = next_frame / FPS
            moved = [{**key, "time": max(key["time"], earliest)} for key in self._new]
            self._curve = self._curve.with_keys(moved)
            self._new = []
        if not self._curve.keys and self._curve.beginning is self._options.emotions:
            return self._fixed
        first = max(0, next_frame - self._back)
        self._curve = self._curve.restricted(first, MAX_START_FRAME)
        part = self._curve.restricted(first, end_frame)
        return replace(self._options, emotions=part.beginning, emotion_keys=part.keys).parameters()


def one_key(emotions: Mapping[str, float], at_s: float) -> EmotionKey:
    """Return a key, checked; errors as of :meth:`EmotionTrack.set`."""
    keys = plain_keys([{"time": at_s, "emotions": emotions}])
    check_keys(keys)
    return keys[0]

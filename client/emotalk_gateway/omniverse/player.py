"""The one player, instance and solver, and what callers have set of them. No I/O.

Rule that this module guards: **what is set is small, and an export keeps what it began with.** The interface names no
callers, so all of a port share one state, as they do in Omniverse: a root, a track, a range and ten emotions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import NoTrack, UnknownObject

PLAYER = "/World/audio2face/Player"
INSTANCE = "/World/audio2face/CoreFullface"
SOLVER = "/World/audio2face/BlendshapeSolve"
TO_THE_END = -1.0
"""As the end of a range."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The settings that an export goes by."""

    root: str = ""
    """Folder of the tracks; none was set yet where it is empty."""
    track: str = ""
    """File in it; likewise."""
    start_s: float = 0.0
    end_s: float = TO_THE_END
    emotions: Mapping[str, float] = field(default_factory=dict)
    """Amount 0..1 by emotion, those of 0 left out."""

    def span(self, duration_s: float) -> tuple[float, float]:
        """Return start and end, in seconds, within a clip of ``duration_s``."""
        end = duration_s if self.end_s < 0 else min(self.end_s, duration_s)
        start = min(max(0.0, self.start_s), duration_s)
        return start, max(start, end)


def frames_of(start_s: float, end_s: float, fps: float) -> int:
    """Return how many frames the half-open range has: ``ceil((end - start) * fps)``."""
    return math.ceil((end_s - start_s) * fps - 1e-6)  # a float's error is not a frame


class Scene:
    """State of one port."""

    def __init__(self) -> None:
        self._asked = Asked()

    def asked(self) -> Asked:
        """Return what an export that begins now goes by.

        Raises:
            NoTrack: none was set.
        """
        if not self._asked.track:
            raise NoTrack("no track is set; accepted: an export after /A2F/Player/SetTrack")
        return self._asked

    @property
    def root(self) -> str:
        """Folder of the tracks; empty where none was set."""
        return self._asked.root

    @property
    def track(self) -> str:
        """The track that is set; empty where none is."""
        return self._asked.track

    def set_root(self, folder: str) -> None:
        """Tracks are in ``folder``; none of it is set yet."""
        self._asked = replace(self._asked, root=folder, track="")

    def set_track(self, track: str, start_s: float, end_s: float) -> None:
        """``track`` is what exports are of."""
        self._asked = replace(self._asked, track=track, start_s=start_s, end_s=end_s)

    def set_range(self, start_s: float, end_s: float) -> None:
        """Exports are of this range."""
        self._asked = replace(self._asked, start_s=start_s, end_s=end_s)

    def set_emotions(self, emotions: Mapping[str, float]) -> None:
        """Those that are named are set, within 0..1; names that are not ours are left out."""
        merged = {**self._asked.emotions, **{name: min(max(0.0, amount), 1.0) for name, amount in emotions.items()}}
        kept = {name: merged[name] for name in EMOTIONS if merged.get(name, 0.0) > 0}
        self._asked = replace(self._asked, emotions=kept)


def check_object(found: str, accepted: str) -> None:
    """Raise :class:`UnknownObject` where a caller names another object than the one that is here."""
    if found != accepted:
        raise UnknownObject(f"there is no {quoted(found)}; accepted: {accepted}")

"""Cuts a growing clip into windows of one length. Pure arithmetic, no I/O: push samples, cut when there is time.

Rule that this module guards: **a frame is cut once, and only when what it looks ahead at has been spoken.**

Theory of operation. A window carries ``before`` frames of the past, the frames that count, and ``look_ahead`` samples
of the future. All windows that count equally many frames have one length, so that the server batches those of all its
streams: at the start of a stream, where there is no past yet, silence takes its place, *after* what has been
spoken, beyond what any frame that counts looks at. Windows start on the grid of 3 frames; frames that count need not.

Normally a window counts ``hop`` frames. One that comes late counts more, up to ``most``, in the few sizes of
:meth:`LiveLayout.sizes`: catching up costs fewer windows, and those of several late streams still have equal lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emotalk_client.windows.planner import PlannedWindow
from emotalk_contract.errors import InvalidWindow
from emotalk_contract.limits import MIN_SAMPLES
from emotalk_contract.timing import FPS, GRID_FRAMES, GRID_SAMPLES, SAMPLE_RATE, frame_count, frame_to_sample

_SLACK = GRID_FRAMES - 1
"""Frames by which a window may have to start earlier to start on the grid."""


@dataclass(frozen=True, slots=True)
class LiveLayout:
    """The layout of a live stream's windows."""

    before: int
    """Frames of the past in each."""
    hop: int
    """Frames that count, when on time."""
    look_ahead: int
    """Samples that a frame waits for, from its own moment on; at least 1: without it there is not such a frame."""
    most: int
    """Frames that count, at most."""

    def __post_init__(self) -> None:
        if self.before < 0 or self.hop < 1 or self.look_ahead < 1:
            raise InvalidWindow(f"{self} cannot be; accepted: before of 0 or more, a hop and a look-ahead of 1 or more")

    def sizes(self) -> Iterator[int]:
        """Yield the numbers of frames that a window may count: ``hop`` times 1, 1.5, 2, 3, 4, 6 …, where whole, up to
        ``most``.
        """
        size = self.hop
        while size <= max(self.hop, self.most):
            yield size
            if size % 2 == 0 and size * 3 // 2 <= self.most:
                yield size * 3 // 2
            size *= 2

    def samples(self, frames: int) -> int:
        """Return the length of a window that counts ``frames`` frames."""
        return _moment(self.before + _SLACK + frames - 1) + self.look_ahead


class LivePlanner:
    """The windows of one stream, of the frames from ``first`` on."""

    def __init__(self, layout: LiveLayout, first: int = 0) -> None:
        self._layout = layout
        self._samples = 0
        self._next = first

    @property
    def samples(self) -> int:
        """Samples that were pushed."""
        return self._samples

    @property
    def next_frame(self) -> int:
        """Absolute frame of the first that was not cut yet."""
        return self._next

    @property
    def needed_from(self) -> int:
        """The first sample that a window to come may still ask for; what lies before can be let go of."""
        return frame_to_sample(_grid_floor(max(0, self._next - max(self._layout.before, _LAST_WINDOW_FRAMES))))

    @property
    def due(self) -> int:
        """Samples that must have been spoken before :meth:`cut` has a window."""
        return _moment(self._next + self._layout.hop - 1) + self._layout.look_ahead

    def push(self, samples: int) -> None:
        """Say that ``samples`` more samples were spoken."""
        self._samples += samples

    def cut(self) -> PlannedWindow | None:
        """Return the next window, as large as what was spoken allows; None if that is less than one hop.

        Its ``samples`` may reach beyond what was spoken: there it is to be filled with silence.
        """
        ready = self._ready() - self._next
        if ready < self._layout.hop:
            return None
        frames = max(size for size in self._layout.sizes() if size <= ready)
        return self._window(frames, self._layout.samples(frames))

    def flush(self) -> PlannedWindow | None:
        """Return the last window, once :meth:`cut` has no more: it counts what is left, and ends where speech does.

        None if nothing is left.
        """
        frames = frame_count(self._samples) - self._next
        if frames <= 0:
            return None
        # Too short a rest is sent with more of the past.
        start = min(self._start, _grid_floor(max(0, self._samples - MIN_SAMPLES) * FPS // SAMPLE_RATE))
        return self._window(frames, max(MIN_SAMPLES, self._samples - frame_to_sample(start)), start)

    @property
    def _start(self) -> int:
        return _grid_floor(max(0, self._next - self._layout.before))

    def _ready(self) -> int:
        """Absolute frame after the last whose look-ahead has been spoken."""
        heard = self._samples - self._layout.look_ahead
        return heard * FPS // SAMPLE_RATE + 1 if heard >= 0 else 0

    def _window(self, frames: int, samples: int, start: int | None = None) -> PlannedWindow:
        first = self._next
        self._next += frames
        start = _grid_floor(max(0, first - self._layout.before)) if start is None else start
        return PlannedWindow(start, samples, first, first + frames)


def _moment(frame: int) -> int:
    """Sample at which ``frame`` is, rounded up."""
    return -(-frame * SAMPLE_RATE // FPS)


def _grid_floor(frame: int) -> int:
    return frame // GRID_FRAMES * GRID_FRAMES


_LAST_WINDOW_FRAMES = -(-MIN_SAMPLES // GRID_SAMPLES) * GRID_FRAMES
"""Frames of the past that the last window may need to be long enough."""

"""Distance of windows and live streams from the whole clip: the share of weights that are off, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_client.settings import Settings
from emotalk_client.windows.planner import Layout, PlannedWindow, plan
from emotalk_contract.limits import MAX_SAMPLES, MIN_SAMPLES
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_count
from emotalk_perf.report import table

THRESHOLDS = (0.02, 0.05, 0.1)
"""Differences of a weight that are counted."""
A2F_SHARE, A2F_DIFFERENCE = 0.01, 0.1
"""Equal for clients of NVIDIA Audio2Face: at most this share of weights off by more than that."""
WHOLE_S = MAX_SAMPLES / SAMPLE_RATE - 1
"""Seconds: the longest clip that goes through in one piece."""
NAIVE_WINDOW_S, NAIVE_OVERLAP_S = 25.0, 0.5
"""Windows as existing services cut them."""
FIRST_S = 1.0
"""A live stream's first second is counted by itself: it has no past."""
PUSH = SAMPLE_RATE // 100
"""Samples of one push of a live stream."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way of cutting, against the whole."""

    way: str
    off: tuple[float, ...]
    """Share of all weights, 0..1, that differ by more than each of :data:`THRESHOLDS`."""
    largest: float
    cost: float
    """Frames computed for each frame of the clip."""
    off_in_window: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Share off by more than the first threshold, for each kept frame of a window, mean over the windows."""

    @property
    def a2f(self) -> bool:
        """True where Audio2Face's clients would call it equal."""
        return self.off[THRESHOLDS.index(A2F_DIFFERENCE)] <= A2F_SHARE


def difference(
    way: str, weights: NDArray[np.float32], whole: NDArray[np.float32], cost: float, windows: Sequence[slice] = ()
) -> Difference:
    """Compare [F, 52] with [F, 52]; ``windows`` are the frames that each window kept."""
    off = np.abs(weights - whole)
    shares = tuple(float((off > threshold).mean()) for threshold in THRESHOLDS)
    return Difference(way, shares, float(off.max()), cost, _folded((off > THRESHOLDS[0]).mean(axis=1), windows))


def _folded(off: NDArray[np.float64], windows: Sequence[slice]) -> NDArray[np.float64]:
    """Mean of ``off`` [F] over windows, by place in the window."""
    length = max((window.stop - window.start for window in windows), default=0)
    rows = np.full((len(windows), length), np.nan)
    for row, window in zip(rows, windows, strict=True):
        row[: window.stop - window.start] = off[window]
    return np.nanmean(rows, axis=0) if length else np.zeros(0)


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of one way of cutting."""

    model: str
    seconds: float
    raw: bool
    rows: tuple[Difference, ...]


async def measure(
    client: AsyncEmoTalkClient,
    clip: NDArray[np.float32],
    *,
    raw: bool,
    windows: Sequence[tuple[float | None, float | None]],
    lives: Sequence[tuple[float | None, float | None]],
) -> Measured:
    """Cut ``clip`` [samples, 16 kHz] in every way, and compare each with the clip in one piece.

    Args:
        client: of a running server.
        clip: speech, at most :data:`WHOLE_S` seconds.
        raw: without post-processing; otherwise smoothed, without blinks, unclamped.
        windows: (window, overlap) in seconds; None: what the served model needs.
        lives: (context, look-ahead) in seconds of live streams; None likewise.

    Raises:
        ValueError: the clip is longer than one request can be.
    """
    if not MIN_SAMPLES <= len(clip) <= WHOLE_S * SAMPLE_RATE:
        raise ValueError(f"the audio has {len(clip) / SAMPLE_RATE:.1f} s; accepted: 0.045 to {WHOLE_S:.0f} s")
    model = await client.describe()
    recipe = Recipe.from_strings(model)
    face = _Faces(client, raw)
    whole = await face.windows(clip, WHOLE_S, 0.0)
    rows = [await _naive(face, clip, whole)]
    for window_s, overlap_s in windows:
        layout = Settings(raw=raw, window=window_s, overlap=overlap_s).layout(recipe)
        cut = list(plan(len(clip), layout))
        weights = await face.windows(clip, window_s, overlap_s)
        before, after = layout.before / FPS, layout.after / FPS
        way = f"windows of {layout.window / FPS:g} s that know their clip, {before:g} s before and {after:g} s after"
        way += " (the default)" if window_s is None and overlap_s is None else ""
        rows.append(difference(way, weights, whole, _cost(cut, len(clip)), [slice(w.first, w.end) for w in cut]))
    for context_s, look_ahead_s in lives:
        rows += await _live(face, clip, whole, context_s, look_ahead_s)
    return Measured(model.get("model", "unknown"), len(clip) / SAMPLE_RATE, raw, tuple(rows))


class _Faces:
    def __init__(self, client: AsyncEmoTalkClient, raw: bool) -> None:
        self._client = client
        self._raw = raw

    async def windows(
        self, clip: NDArray[np.float32], window_s: float | None, overlap_s: float | None
    ) -> NDArray[np.float32]:
        face = await self._client.animate(
            clip,
            sample_rate=SAMPLE_RATE,
            raw=self._raw,
            blink=False,
            clamp=False,
            window=window_s,
            overlap=overlap_s,
        )
        return face.weights

    async def live(
        self, clip: NDArray[np.float32], context_s: float | None, look_ahead_s: float | None
    ) -> tuple[NDArray[np.float32], int]:
        """The weights, and how many windows they took; pushed only as fast as the server answers, so that no window
        comes late and is larger than a stream's usually are.
        """
        frames, seen = [], 0
        async with self._client.live(
            sample_rate=SAMPLE_RATE,
            raw=self._raw,
            blink=False,
            clamp=False,
            context=context_s,
            look_ahead=look_ahead_s,
        ) as session:
            for start in range(0, len(clip), PUSH):
                await session.feed(clip[start : start + PUSH])
                if session.status.windows > seen:
                    seen = session.status.windows
                    frames += await session.receive()
            frames += await session.flush()
            return np.stack([frame.weights for frame in frames]), session.status.windows


async def _naive(face: _Faces, clip: NDArray[np.float32], whole: NDArray[np.float32]) -> Difference:
    layout = Layout.of_seconds(NAIVE_WINDOW_S, NAIVE_OVERLAP_S, 0.0)
    cut = list(plan(len(clip), layout))
    parts = [
        (await face.windows(clip[w.start_sample : w.start_sample + w.samples], None, None))[w.kept]
        for w in cut  # one by one: each is a clip of its own
    ]
    way = (
        f"chunks of {NAIVE_WINDOW_S:g} s, each a clip of its own, {NAIVE_OVERLAP_S:g} s of overlap (existing services)"
    )
    kept = [slice(w.first, w.end) for w in cut]
    return difference(way, np.concatenate(parts), whole, _cost(cut, len(clip)), kept)


async def _live(
    face: _Faces,
    clip: NDArray[np.float32],
    whole: NDArray[np.float32],
    context_s: float | None,
    look_ahead_s: float | None,
) -> list[Difference]:
    weights, _windows = await face.live(clip, context_s, look_ahead_s)
    context = "the default context" if context_s is None else f"{context_s:g} s of context"
    ahead = "the default look-ahead" if look_ahead_s is None else f"{look_ahead_s:g} s of look-ahead"
    way = f"live, {context}, {ahead}"
    first = round(FIRST_S * FPS)
    return [
        difference(f"{way}, after the first second", weights[first:], whole[first:], float("nan")),
        difference(f"{way}, within it", weights[:first], whole[:first], float("nan")),
    ]


def _cost(windows: Sequence[PlannedWindow], samples: int) -> float:
    return sum(frame_count(window.samples) for window in windows) / frame_count(samples)


def markdown(measured: Measured) -> str:
    """A table, and a line that says of what."""
    head = ["", *(f"off by more than {t:g}" for t in THRESHOLDS), "largest", "compute", "equal for Audio2Face clients"]
    rows = [
        [
            row.way,
            *(f"{100 * share:.3f} %" for share in row.off),
            f"{row.largest:.2g}",
            "" if np.isnan(row.cost) else f"{row.cost:.2f}x",
            "yes" if row.a2f else "no",
        ]
        for row in measured.rows
    ]
    kind = "raw weights" if measured.raw else "smoothed weights, unclamped, without blinks"
    return f"{measured.model}; {measured.seconds:.0f} s of speech; {kind}.\n\n{table(head, rows)}"


def plot(measured: Measured, path: Path) -> None:
    """Draw where in the window weights are off: an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    for row in measured.rows:
        if len(row.off_in_window):
            axis.plot(np.arange(len(row.off_in_window)) / FPS, 100 * row.off_in_window, label=row.way, linewidth=1)
    axis.set_xlabel("seconds since the first frame that the window keeps")
    axis.set_ylabel(f"% of weights off by more than {THRESHOLDS[0]:g}")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(path)


def run(url: str, clip: NDArray[np.float32], **ways: object) -> Measured:
    """:func:`measure` against the server at ``url``."""

    async def main() -> Measured:
        async with AsyncEmoTalkClient(url) as client:
            return await measure(client, clip, **ways)  # type: ignore[arg-type]  # passed on as they are

    return asyncio.run(main())

"""How near windows come to the whole clip: the share of raw weights that are off, and what the context costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient
from emotalk_client.planner import Layout, plan
from emotalk_ensemble.contract.limits import MAX_SAMPLES, MIN_SAMPLES
from emotalk_ensemble.timing import SAMPLE_RATE, frame_count

THRESHOLDS = (0.02, 0.05, 0.1)
"""Differences of a weight that are counted; Audio2Face's clients allow 1 % of them to exceed the last."""
WHOLE_S = MAX_SAMPLES / SAMPLE_RATE - 1
"""Seconds: the longest clip that goes through in one piece."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way of cutting, against the whole."""

    way: str
    off: tuple[float, ...]
    """Share of all weights, 0..1, that differ by more than each of :data:`THRESHOLDS`."""
    largest: float
    cost: float
    """Frames computed for each frame of the clip."""


def difference(way: str, weights: NDArray[np.float32], whole: NDArray[np.float32], cost: float) -> Difference:
    """Compare [F, 52] with [F, 52]."""
    off = np.abs(weights - whole)
    return Difference(way, tuple(float((off > t).mean()) for t in THRESHOLDS), float(off.max()), cost)


def measure(
    client: EmoTalkClient, clip: NDArray[np.float32], window_s: float, overlaps_s: Sequence[float]
) -> list[Difference]:
    """Cut ``clip`` [samples, 16 kHz] in the published way (each chunk a clip of its own, 0.5 s of overlap dropped), and
    into windows that know their clip, with each overlap of ``overlaps_s``, shared out as the served model needs.

    Raises:
        ValueError: the clip is longer than one request can be.
    """
    if not MIN_SAMPLES <= len(clip) <= WHOLE_S * SAMPLE_RATE:
        raise ValueError(f"the audio has {len(clip) / SAMPLE_RATE:.1f} s; accepted: 0.045 to {WHOLE_S:.0f} s")
    whole = client.animate(clip, sample_rate=SAMPLE_RATE, raw=True, window=WHOLE_S, overlap=0.0).weights
    rows = [_chunks(client, clip, window_s, whole)]
    for overlap_s in overlaps_s:
        face = client.animate(clip, sample_rate=SAMPLE_RATE, raw=True, window=window_s, overlap=overlap_s).weights
        way = f"windows of {window_s:g} s that know their clip, {overlap_s:g} s of overlap"
        # How the overlap is shared out between before and after changes nothing in their number.
        cost = _cost(Layout.of_seconds(window_s, overlap_s, 0.0), len(clip))
        rows.append(difference(way, face, whole, cost))
    return rows


def _chunks(
    client: EmoTalkClient, clip: NDArray[np.float32], window_s: float, whole: NDArray[np.float32]
) -> Difference:
    layout = Layout.of_seconds(window_s, 0.5, 0.0)
    joined = []
    for window in plan(len(clip), layout):
        part = clip[window.start_sample : window.start_sample + window.samples]
        joined.append(client.animate(part, sample_rate=SAMPLE_RATE, raw=True).weights[window.kept])
    way = f"chunks of {window_s:g} s, each a clip of its own, 0.5 s of overlap"
    return difference(way, np.concatenate(joined), whole, _cost(layout, len(clip)))


def _cost(layout: Layout, samples: int) -> float:
    return sum(frame_count(window.samples) for window in plan(samples, layout)) / frame_count(samples)


def markdown(rows: Sequence[Difference]) -> str:
    """A table."""
    head = " | ".join(f"off by more than {t:g}" for t in THRESHOLDS)
    lines = [f"| | {head} | largest | compute |", "|---|" + "---|" * (len(THRESHOLDS) + 2)]
    for row in rows:
        shares = " | ".join(f"{100 * share:.2f} %" for share in row.off)
        lines.append(f"| {row.way} | {shares} | {row.largest:.2g} | {row.cost:.2f}x |")
    return "\n".join(lines)

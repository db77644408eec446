"""Speech as one request, however long that takes to answer: what the comparisons send."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_client import Animation, EmoTalkClient
from emotalk_client.windows.planner import MAX_WINDOW_S
from emotalk_contract.timing import SAMPLE_RATE

TIMEOUT_S = 3600.0
"""Seconds of one call: nothing here may fail for being slow."""


def patient(url: str) -> EmoTalkClient:
    """A client that waits."""
    return EmoTalkClient(url, timeout_s=TIMEOUT_S)


def in_one(client: EmoTalkClient, clip: NDArray[np.float32]) -> Animation:
    """Raw weights of ``clip`` [n, 16 kHz], which is sent as a single window."""
    return client.animate(clip, sample_rate=SAMPLE_RATE, raw=True, window=MAX_WINDOW_S)


def excerpt(speech: NDArray[np.float32], seconds: float, from_s: float = 0.0) -> NDArray[np.float32]:
    """``seconds`` of ``speech`` [n] from ``from_s`` on; speech that is shorter is repeated."""
    return np.resize(np.roll(speech, -round(from_s * SAMPLE_RATE)), round(seconds * SAMPLE_RATE))

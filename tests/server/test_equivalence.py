"""The measure itself, on a fake whose faces are known."""

import numpy as np
import pytest

from emotalk_client import EmoTalkClient
from emotalk_perf.equivalence import difference, markdown, measure


def test_shares_and_the_largest_difference_are_counted():
    whole = np.zeros((10, 52), np.float32)
    weights = whole.copy()
    weights[0, :26] = 0.06  # half of a frame: 5 % of all
    weights[1, 0] = -0.3
    row = difference("x", weights, whole, 1.25)
    assert row.off == pytest.approx((27 / 520, 27 / 520, 1 / 520))
    assert row.largest == pytest.approx(0.3)
    assert "| x | 5.19 % | 5.19 % | 0.19 % | 0.3 | 1.25x |" in markdown([row])


def test_through_a_real_server_windows_that_know_their_clip_are_nearer(server, speech):
    with EmoTalkClient(server.grpc_url) as client:
        chunks, narrow, wide = measure(client, speech[: 16_000 * 20], 8.0, (0.5, 3.0))
    assert chunks.off[0] > narrow.off[0] > 0
    assert narrow.off[2] > wide.off[2]
    assert wide.cost > narrow.cost > 1


def test_audio_that_cannot_go_through_whole_is_refused(server, speech):
    with EmoTalkClient(server.grpc_url) as client, pytest.raises(ValueError, match=r"182\.0 s; accepted"):
        measure(client, np.tile(speech, 7), 8.0, (0.5,))

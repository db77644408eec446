"""The measurements themselves: on faces that are known, and against a real server."""

import asyncio

import numpy as np
import pytest

from emotalk_client import AsyncEmoTalkClient
from emotalk_perf import equivalence, streams
from emotalk_perf.report import NoSuchBlock, renew

pytestmark = pytest.mark.server


def measure(url, clip, **ways):
    return equivalence.run(url, clip, raw=True, **ways).rows


def test_shares_and_the_largest_difference_are_counted():
    whole = np.zeros((10, 52), np.float32)
    weights = whole.copy()
    weights[0, :26] = 0.06  # half of a frame: 5 % of all
    weights[1, 0] = -0.3
    row = equivalence.difference("x", weights, whole, 1.25, [slice(0, 4), slice(4, 10)])
    assert row.off == pytest.approx((27 / 520, 27 / 520, 1 / 520))
    assert row.largest == pytest.approx(0.3)
    assert row.a2f
    assert row.off_in_window == pytest.approx([0.25, 1 / 104, 0, 0, 0, 0])  # halves of two windows, then of one
    text = equivalence.markdown(equivalence.Measured("a model", 12.0, True, (row,)))
    assert "| x | 5.192 % | 5.192 % | 0.192 % | 0.3 | 1.25x | yes |" in text


def test_more_than_a_hundredth_off_by_a_tenth_is_not_equal_for_audio2faces_clients():
    whole = np.zeros((10, 52), np.float32)
    weights = whole.copy()
    weights[0, :6] = 0.11
    assert not equivalence.difference("x", weights, whole, 1.0).a2f


def test_through_a_real_server_windows_that_know_their_clip_are_nearer(server, speech):
    clip = np.concatenate([speech, speech[: 16_000 * 10]])
    chunks, narrow, wide = measure(server.grpc_url, clip, windows=[(8.0, 0.5), (8.0, 3.0)], lives=[])
    assert chunks.off[0] > 0
    assert narrow.off[0] > wide.off[0] > 0
    assert wide.cost > narrow.cost > 1
    assert len(narrow.off_in_window) > len(wide.off_in_window) > 0


def test_a_live_stream_is_compared_too(bundled_server, speech):
    _, after, within = measure(bundled_server.grpc_url, speech[: 16_000 * 6], windows=[], lives=[(None, None)])
    assert after.off[0] <= 0.001
    assert within.off[0] <= 0.01
    assert 0 < after.largest < 0.05  # not the same numbers twice


def test_audio_that_cannot_go_through_whole_is_refused(server, speech):
    with pytest.raises(ValueError, match=r"182\.0 s; accepted"):
        measure(server.grpc_url, np.tile(speech, 7), windows=[], lives=[])


def test_paced_streams_lose_nothing_and_come_after_what_they_wait_for(bundled_server, speech):
    async def run():
        async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
            return await streams.load(client, speech, 2, 3.0)

    one = asyncio.run(run())
    assert one.missing == 0
    assert len(one.latencies) == 2 * 90
    assert np.median(one.latencies) > 0.126  # the model's look-ahead: sooner would be a mistake of the measure
    assert (one.first_frames > 0.126).all()
    text = streams.markdown([one])
    assert text.splitlines()[2].startswith("| 2 | ")


def test_a_block_of_a_page_is_renewed_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\nlines\n<!-- /table -->\nafter\n")
    renew(page, "table", "new")
    assert page.read_text() == "before\n<!-- table -->\nnew\n<!-- /table -->\nafter\n"
    with pytest.raises(NoSuchBlock, match="0 blocks <!-- other -->"):
        renew(page, "other", "new")

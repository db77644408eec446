"""The measurements themselves: on faces that are known, and against a real server."""

import asyncio

import numpy as np
import pytest

from emotalk_perf import audio2face, barge_in, equivalence, most_streams
from emotalk_perf import streams as perf_streams
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


def test_barge_in_is_measured_at_both_doors(bundled_server, speech):
    measured = barge_in.run(bundled_server.grpc_url, speech, 1)
    assert list(measured) == ["thin client", "WebSocket"]
    for (cut,) in measured.values():
        assert 0 < cut.answered_s < 0.3
        assert cut.answered_s < cut.next_s < 1.2
    assert "| WebSocket | 1 | " in barge_in.markdown(measured)


def test_a_live_stream_is_compared_too(bundled_server, speech):
    _, after, within = measure(bundled_server.grpc_url, speech[: 16_000 * 6], windows=[], lives=[(None, None)])
    assert after.off[0] <= 0.001
    assert within.off[0] <= 0.01
    assert 0 < after.largest < 0.05  # not the same numbers twice


def test_audio_that_cannot_go_through_whole_is_refused(server, speech):
    with pytest.raises(ValueError, match=r"182\.0 s; accepted"):
        measure(server.grpc_url, np.tile(speech, 7), windows=[], lives=[])


@pytest.mark.parametrize("over_gateway", [False, True])
def test_paced_streams_lose_nothing_and_come_after_what_they_wait_for(bundled_server, speech, over_gateway):
    plan = most_streams.Plan((2,), ("windows",), (2,), 3.0, over_gateway)
    told = []
    (one,) = most_streams.run(bundled_server.grpc_url, speech, plan, 2, bundled_server.process.pid, told.append)
    assert told == [one]
    assert one.missing == 0
    assert len(one.latencies) == 2 * 90
    assert np.median(one.latencies) > 0.126  # the model's look-ahead: sooner would be a mistake of the measure
    assert (one.first_frames > 0.126).all()
    assert {"caller", "triton", "stub wav2vec_content"} | ({"gateway"} if over_gateway else set()) <= set(one.cpu)
    assert 0.1 < one.cpu_ms("stub wav2vec_content") < one.cpu_ms() < 200
    most, latencies, costs = most_streams.markdown([one]).split("\n\n")
    assert most.splitlines()[2].startswith("| windows | 67 ms | 2 | " if one.holds else "| windows | 67 ms | none | ")
    assert latencies.splitlines()[2].startswith("| windows | 67 ms | 2 | ")
    assert "| wav2vec_content |" in costs


def test_the_door_for_audio2faces_clients_beside_the_thin_client(bundled_server, speech):
    (one,) = audio2face.run(bundled_server.grpc_url, speech, [2], 2.0, 1)
    for load in (*one.thin, *one.door):
        assert load.missing == 0
        assert len(load.latencies) == 2 * 60
        assert np.median(load.latencies) > 0.126  # the model's look-ahead: sooner would be a mistake of the measure
    assert one.door_ms > 0
    rows = audio2face.markdown([one]).splitlines()
    assert rows[2].startswith("| 2 | the thin client | ")
    assert rows[3].startswith("| 2 | the door | ")
    assert rows[-1].endswith("Frames that never came: 0.")


def loaded(streams, latency):
    asked = perf_streams.Asked(streams)
    return perf_streams.Load(asked, np.full(100, latency), np.full(streams, latency), 0, 100, {"caller": 1.0})


@pytest.mark.parametrize(("holds", "most", "found"), [(0, 64, 0), (1, 64, 1), (3, 64, 3), (23, 64, 23), (99, 64, 64)])
def test_the_most_streams_that_hold_are_found(holds, most, found):
    tried = []

    async def run(streams):
        tried.append(streams)
        return loaded(streams, 0.1 if streams <= holds else 0.5)

    loads = asyncio.run(most_streams.search(run, most))
    counts = [one.asked.streams for one in loads]
    assert counts == sorted(set(tried))
    assert max(tried) <= most
    assert max((count for count, one in zip(counts, loads, strict=True) if one.holds), default=0) == found
    assert len(tried) < 20


def test_one_bad_run_does_not_make_a_number_too_many():
    tried = []

    async def run(streams):
        tried.append(streams)
        return loaded(streams, 0.5 if len(tried) == 2 else 0.1)

    loads = asyncio.run(most_streams.search(run, 8))
    assert tried == [1, 2, 2, 4, 8]
    assert all(one.holds for one in loads)


def test_a_block_of_a_page_is_renewed_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\nlines\n<!-- /table -->\nafter\n")
    renew(page, "table", "new")
    assert page.read_text() == "before\n<!-- table -->\nnew\n<!-- /table -->\nafter\n"
    with pytest.raises(NoSuchBlock, match="0 blocks <!-- other -->"):
        renew(page, "other", "new")

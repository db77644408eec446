"""Its parts by themselves."""

import asyncio
import base64
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import GUARD_S, steps

from emotalk_client import Animation
from emotalk_client.errors import InvalidRate
from emotalk_contract.arkit import INDEX
from emotalk_contract.errors import InvalidRequest
from emotalk_gateway.http.uploads import decoded
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.errors import (
    DEAD_LETTER,
    FEW_TRIES,
    TABLE,
    TRY_AGAIN_LATER,
    GatewayFull,
    InvalidUpload,
    problem_of,
)
from emotalk_gateway.service.rate import FORGET_S, LEAST, HeldRate
from emotalk_gateway.service.retiming import Retimer, check_whole_rate
from emotalk_gateway.service.settings import GatewaySettings
from emotalk_gateway.service.spool import Budget, Spool
from emotalk_gateway.service.tasks import within

pytestmark = pytest.mark.unit


def speaking_face(frames, seed):
    """Random, with short closures of lips and lids that a lower rate would miss."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0, 1, (frames, 52)).astype(np.float32)
    shut = rng.random(frames) < 0.2
    weights[shut, INDEX["jawOpen"]] = 0
    weights[shut, INDEX["mouthClose"]] = 0
    weights[~shut, INDEX["jawOpen"]] = 1
    return weights


@settings(max_examples=200, deadline=None)
@given(
    fps=st.integers(1, 240),
    frames=st.integers(1, 200),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    seed=st.integers(0, 99),
)
def test_blocks_cut_anywhere_are_the_whole_clip_resampled(fps, frames, cuts, seed):
    weights = speaking_face(frames, seed)
    edges = [0, *sorted(cut for cut in cuts if cut <= frames), frames]
    retimer = Retimer(fps)
    blocks = []
    for start, end in pairwise(edges):
        blocks.append(retimer.push(weights[start:end]))
    blocks.append(retimer.flush())
    given = [block for block in blocks if block is not None]
    whole = Animation(weights, np.arange(frames) / 30).resampled(fps)
    np.testing.assert_allclose(np.concatenate([b.weights for b in given]), whole.weights, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([b.timecodes for b in given]), whole.timecodes, rtol=0, atol=1e-9)
    assert all(block.fps == fps for block in given)


@pytest.mark.parametrize("fps", [12, 24, 25, 48, 60])
def test_frames_at_another_rate_come_as_soon_as_they_are_final(fps):
    retimer = Retimer(fps)
    given = sum(len(block) for _ in range(10) if (block := retimer.push(_second())) is not None)
    assert given >= 9 * fps


def _second():
    return np.zeros((30, 52), np.float32)


@pytest.mark.parametrize("fps", ["x", "29.97", "0", 241, None, "inf", "nan", [30]])
def test_a_rate_that_is_none(fps):
    with pytest.raises(InvalidRate, match=r"accepted: whole numbers in 1\.\.240"):
        check_whole_rate(fps)
    assert check_whole_rate("24") == check_whole_rate(24.0) == 24


def test_the_held_rate_falls_and_recovers():
    now = 0.0
    rate = HeldRate(lambda: now)
    assert rate.fps == 30
    rate.heard(30, 0.1)
    assert rate.fps == 30
    for _ in range(5):
        rate.heard(30, 1.5)
    assert 20 <= rate.fps <= 21
    for _ in range(9):
        rate.heard(30, 60)
    assert rate.fps == LEAST
    for _ in range(9):
        rate.heard(30, 0.1)
    assert rate.fps == 30
    rate.heard(30, 60)
    now += FORGET_S + 1
    assert rate.fps == 30
    rate.heard(0, 60)
    assert rate.fps == 30


async def test_as_many_are_admitted_as_may_be_and_run_in_order():
    capacity = Capacity("uploads", 3, 1)
    order = []
    done = asyncio.Event()

    async def caller(name):
        with capacity.admit():
            async with capacity.run():
                order.append(name)
                await done.wait()

    callers = [asyncio.create_task(caller(name)) for name in "abc"]
    await asyncio.sleep(0)
    assert (capacity.admitted, capacity.waiting, capacity.full) == (3, 2, True)
    with pytest.raises(GatewayFull, match="3 uploads are being served; accepted: 3 at once"), capacity.admit():
        pass
    callers[1].cancel()  # one that waits leaves the line, too
    done.set()
    await asyncio.gather(*callers, return_exceptions=True)
    assert order == ["a", "c"]
    assert (capacity.admitted, capacity.waiting, capacity.full) == (0, 0, False)


async def test_one_that_pauses_lets_another_run_and_be_admitted():
    capacity = Capacity("uploads", 1, 1)
    read = asyncio.Event()
    resumed = asyncio.Event()

    async def never_reads():
        with capacity.admit():
            async with capacity.run() as running:
                async with running.paused_after(0):
                    await read.wait()
                assert capacity.admitted == 1
                resumed.set()

    blocked = asyncio.create_task(never_reads())
    await asyncio.sleep(0)
    while capacity.full:
        await asyncio.sleep(0)
    with capacity.admit():
        async with capacity.run():
            read.set()
            await steps()
            assert not resumed.is_set()  # it waits until this one is done
    await asyncio.wait_for(blocked, GUARD_S)
    assert resumed.is_set()
    assert (capacity.admitted, capacity.waiting) == (0, 0)


async def test_those_who_are_new_and_those_who_run_on_take_turns():
    capacity, order = Capacity("uploads", 9, 1), []

    async def caller(name, rounds):
        async with capacity.run() as running:
            for number in range(rounds):
                order.append(f"{name}{number}")
                await asyncio.sleep(0)
                await running.share(0)

    callers = [asyncio.create_task(caller(name, 4)) for name in "ab"]
    for _ in range(4):
        await asyncio.sleep(0)
    callers += [asyncio.create_task(caller(name, 1)) for name in "xyz"]
    await asyncio.wait_for(asyncio.gather(*callers), 10)
    new = [place for place, name in enumerate(order) if name in ("x0", "y0", "z0")]
    assert sorted(order) == [f"{name}{n}" for name in "ab" for n in range(4)] + ["x0", "y0", "z0"]
    assert new[0] <= 5  # not after all that is long
    assert all(later - sooner > 1 for sooner, later in pairwise(new))  # nor all before it
    assert (capacity.waiting, capacity.admitted) == (0, 0)


async def test_as_many_as_are_admitted_may_be_paused_without_counting():
    capacity = Capacity("uploads", 2, 2)
    over = asyncio.Event()

    async def never_reads():
        with capacity.admit():
            async with capacity.run() as running, running.paused_after(0):
                await over.wait()

    callers = []
    for admitted in (0, 0, 1, 2):  # of those that count, once each has been paused
        callers.append(asyncio.create_task(never_reads()))
        await asyncio.sleep(0.05)
        assert capacity.admitted == admitted
    with pytest.raises(GatewayFull), capacity.admit():
        pass
    over.set()
    await asyncio.wait_for(asyncio.gather(*callers), 10)
    assert (capacity.admitted, capacity.waiting) == (0, 0)


async def test_one_that_leaves_as_it_may_run_lets_the_next_run():
    capacity = Capacity("uploads", 9, 1)
    async with capacity.run():
        leaving = asyncio.create_task(_runs(capacity))
        await asyncio.sleep(0)
    leaving.cancel()  # it was told that it may run, and has not run yet
    await asyncio.gather(leaving, return_exceptions=True)
    await asyncio.wait_for(_runs(capacity), 10)


async def test_one_that_leaves_while_it_is_paused_leaves_nothing_behind():
    capacity = Capacity("uploads", 1, 1)
    paused = asyncio.Event()

    async def leaves():
        with capacity.admit():
            async with capacity.run() as running, running.paused_after(0):
                while capacity.full:
                    await asyncio.sleep(0)
                paused.set()
                await asyncio.Event().wait()

    caller = asyncio.create_task(leaves())
    await asyncio.wait_for(paused.wait(), GUARD_S)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    assert capacity.admitted == 0
    await asyncio.wait_for(_runs(capacity), GUARD_S)


async def _runs(capacity):
    async with capacity.run():
        pass


async def test_a_cancellation_is_not_lost_as_the_work_is_done():
    went_on = []

    async def waits(work):
        await within(work, 10)
        went_on.append(True)

    work = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(waits(work))
    await asyncio.sleep(0)
    work.set_result(None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert went_on == []


async def test_what_takes_too_long_is_cancelled():
    work = asyncio.get_running_loop().create_future()
    with pytest.raises(asyncio.TimeoutError):
        await within(work, 0.01)
    assert work.cancelled()
    assert await within(asyncio.sleep(0, "done"), 10) == "done"


def test_audio_is_found_raw_and_in_base64():
    raw = bytes(range(256)) * 400
    for text in (
        raw,
        base64.b64encode(raw),
        base64.encodebytes(raw),
        b"data:audio/wav;base64," + base64.b64encode(raw),
        b" ".join(bytes([letter]) for letter in base64.b64encode(raw)),
    ):
        with Spool(Budget(2**20, 2**20)) as spool:
            assert decoded(io.BytesIO(text), lambda: spool).read() == raw
    for wrong in (b"QUJ", b"QQ==QQ==", b"Q===", b"QUJD="):
        with Spool(Budget(2**20, 2**20)) as spool, pytest.raises(InvalidUpload, match="not base64"):
            decoded(io.BytesIO(wrong), lambda: spool)
    assert decoded(io.BytesIO(b""), None).read() == b""


def test_what_is_said_of_an_error_tells_no_internals():
    for row in TABLE:
        derived = type("Derived", (row.kind,), {})  # of InvalidRequest itself, only what is derived is the caller's
        problem = problem_of(derived("10.0.0.7:8001 secret"))
        assert (problem.codes, problem.error) == (row.codes, "Derived")
        assert problem.message == (row.words or "10.0.0.7:8001 secret")
    for unknown in (RuntimeError("secret"), InvalidRequest("secret of Triton's")):
        problem = problem_of(unknown)
        assert problem.status >= 500
        assert "secret" not in problem.message


def test_an_error_is_the_same_in_every_protocol():
    for row in TABLE:
        passes = row.codes.http in (429, 503, 504)
        callers = row.codes.http < 500 and not passes
        assert row.codes.kafka == (DEAD_LETTER if callers else TRY_AGAIN_LATER if passes else FEW_TRIES)
        assert (row.codes.websocket == 1008) == callers
        assert (row.codes.websocket == 1013) == (row.codes.http in (429, 503))
        assert row.codes.grpc.isupper()
        # What the caller did wrong is said in the error's own words.
        assert row.words is None or row.codes.http >= 500


def test_a_long_value_is_cut_in_its_middle():
    problem = problem_of(InvalidUpload("the seed is " + "7" * 6000 + "; accepted: less"))
    assert len(problem.message) < 700
    assert problem.message.startswith("the seed is 777")
    assert problem.message.endswith("7; accepted: less")


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("EMOTALK_GATEWAY_CORS_ORIGINS", '["https://example.org"]')
    monkeypatch.setenv("EMOTALK_GATEWAY_MAX_AUDIO_S", "12.5")
    found = GatewaySettings(max_requests=3)
    assert (found.cors_origins, found.max_audio_s, found.max_requests) == (("https://example.org",), 12.5, 3)
    assert "hush" not in repr(GatewaySettings(token="hush"))

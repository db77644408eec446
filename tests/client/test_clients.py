"""Both clients on a fake transport: order, concurrency, deadlines, retries, cancellation."""

import asyncio
import inspect
import threading
from dataclasses import fields

import numpy as np
import pytest
from fake import FakeTransport, client
from virtual import GUARD_S, steps, virtual

import emotalk_client
from emotalk_client import AnimateOptions, AsyncEmoTalkClient, EmoTalkClient
from emotalk_client.errors import (
    ClientClosed,
    DeadlineExceeded,
    ModelUnavailable,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    UnexpectedResponse,
)
from emotalk_client.settings import Settings
from emotalk_client.wire.retry import Retry
from emotalk_client.wire.transport import checked, translated
from emotalk_contract import errors
from emotalk_contract.timing import frame_count

pytestmark = pytest.mark.unit

SECOND = 16_000


def clip(samples=10 * SECOND):
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


async def test_windows_are_joined_without_a_missing_or_doubled_frame():
    samples = 35 * SECOND + 17
    face = await client()[0].animate(clip(samples), sample_rate=SECOND, window=2.0)
    frames = frame_count(samples)
    np.testing.assert_array_equal(face.weights[:, 0], np.arange(frames))
    np.testing.assert_array_equal(face.timecodes, np.arange(frames) / 30)
    assert face.weights.dtype == np.float32


async def test_every_window_carries_its_clips_facts():
    audio = clip()
    maker, transport = client()
    await maker.animate(
        audio, sample_rate=SECOND, window=2.0, level=0.25, person=3, seed=9, smooth=False, gains={"jawOpen": 2.0}
    )
    assert len(transport.sent) > 5
    for inputs, parameters in transport.sent:
        start = inputs["START_FRAME"][0, 0] // 3 * 1600
        np.testing.assert_array_equal(inputs["AUDIO"][0], audio[start : start + inputs["AUDIO"].shape[1]])
        assert inputs["CLIP_SAMPLES"] == len(audio)
        np.testing.assert_allclose(inputs["CLIP_STATS"], [[audio.mean(), audio.var()]], rtol=1e-5)
        assert (inputs["LEVEL"], inputs["PERSON"]) == (np.float32(0.25), 3)
        assert parameters == {"seed": 9, "smooth": False, "gains": '{"jawOpen": 2.0}'}


@pytest.mark.parametrize(("overlap", "before", "after"), [(None, 18, 9), (0.0, 0, 0), (1.5, 30, 15)])
async def test_overlap_is_the_models_own_or_shared_out_in_its_proportion(overlap, before, after):
    maker, transport = client()
    await maker.animate(clip(), sample_rate=SECOND, window=2.0, overlap=overlap)
    starts = [int(inputs["START_FRAME"][0, 0]) for inputs, _ in transport.sent]
    assert starts[1] == 60 - after - before


async def test_a_style_replaces_the_person():
    maker, transport = client()
    await maker.animate(clip(SECOND), sample_rate=SECOND, style={0: 0.25, 5: 0.75})
    inputs, _ = transport.sent[0]
    assert "PERSON" not in inputs
    assert inputs["STYLE"][0, 5] == 0.75
    with pytest.raises(errors.InvalidStyle, match="one of them"):
        await maker.animate(clip(SECOND), sample_rate=SECOND, style={0: 1.0}, person=2)
    with pytest.raises(errors.InvalidStyle, match="3 weights"):
        await maker.animate(clip(SECOND), sample_rate=SECOND, style=[1, 0, 0])


@virtual
async def test_frames_come_in_order_though_windows_finish_in_another():
    maker, transport = client({0: 0.2, 1: 0.0, 2: 0.1, 3: 0.0}, concurrency=4)
    frames = [f async for f in maker.stream(clip(), sample_rate=SECOND, window=2.0)]
    assert [f.index for f in frames] == list(range(300))
    assert all(f.weights[0] == f.index and f.timecode == f.index / 30 for f in frames)
    assert transport.most_flying == 4


@virtual
async def test_frames_come_while_later_windows_are_still_computed():
    maker, transport = client(dict.fromkeys(range(1, 99), 0.05), concurrency=2)
    stream = maker.stream(clip(), sample_rate=SECOND, window=2.0)
    first = await anext(stream)
    assert first.index == 0
    assert len(transport.sent) < 5  # of eight
    await stream.aclose()


async def test_leaving_a_stream_cancels_what_is_in_flight():
    maker, transport = client(dict.fromkeys(range(1, 99), 10 * GUARD_S), concurrency=3)
    async for _ in maker.stream(clip(), sample_rate=SECOND, window=2.0):
        break
    await asyncio.sleep(0)
    stream = maker.stream(clip(), sample_rate=SECOND, window=2.0)
    await asyncio.wait_for(stream.aclose(), GUARD_S)
    await steps()
    assert transport.flying == 0
    assert transport.cancelled >= 2


async def test_an_error_in_one_window_ends_the_call_and_cancels_the_others():
    maker, transport = client({1: ServerError("broken"), 2: 30, 3: 30}, concurrency=4)
    with pytest.raises(ServerError, match="broken"):
        await asyncio.wait_for(maker.animate(clip(), sample_rate=SECOND, window=2.0), GUARD_S)
    assert transport.cancelled == 2


@pytest.mark.parametrize("failure", [ServerUnavailable, ServerBusy, ModelUnavailable])
@virtual
async def test_what_may_pass_is_tried_again(failure):
    maker, transport = client({0: failure("now"), 1: failure("still")})
    face = await maker.animate(clip(SECOND), sample_rate=SECOND)
    assert len(face) == 30
    assert len(transport.sent) == 3


@pytest.mark.parametrize("failure", [errors.PersonOutOfRange("24"), ServerError("broken"), UnexpectedResponse("odd")])
async def test_what_stays_wrong_is_not_tried_again(failure):
    maker, transport = client({0: failure})
    with pytest.raises(type(failure)):
        await maker.animate(clip(SECOND), sample_rate=SECOND)
    assert len(transport.sent) == 1


@virtual
async def test_retries_are_bounded_and_can_be_switched_off():
    maker, transport = client({n: ServerBusy("full") for n in range(99)}, retries=2)
    with pytest.raises(ServerBusy, match="full"):
        await maker.animate(clip(SECOND), sample_rate=SECOND)
    assert len(transport.sent) == 3
    maker, transport = client({0: ServerBusy("full")}, retries=0)
    with pytest.raises(ServerBusy):
        await maker.animate(clip(SECOND), sample_rate=SECOND)
    assert len(transport.sent) == 1


async def test_pauses_double_up_to_a_bound(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("emotalk_client.wire.retry.asyncio.sleep", sleep)
    monkeypatch.setattr("emotalk_client.wire.retry.JITTER.uniform", lambda low, high: high)
    maker, _ = client({n: ServerBusy("full") for n in range(99)}, retries=6)
    with pytest.raises(ServerBusy):
        await maker.animate(clip(SECOND), sample_rate=SECOND)
    assert slept == [0.1, 0.2, 0.4, 0.8, 1.6, Retry().longest_s]


@virtual
async def test_the_deadline_ends_retries():
    maker, transport = client({n: ServerUnavailable("gone") for n in range(99)}, timeout_s=0.3, retries=50)
    with pytest.raises((ServerUnavailable, DeadlineExceeded)):
        await asyncio.wait_for(maker.animate(clip(SECOND), sample_rate=SECOND), GUARD_S)
    assert len(transport.sent) < 8


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"level": 1.5}, errors.LevelOutOfRange),
        ({"level": float("nan")}, errors.LevelOutOfRange),
        ({"person": 24}, errors.PersonOutOfRange),
        ({"person": -1}, errors.PersonOutOfRange),
        ({"seed": -1}, errors.InvalidOption),
        ({"smooth": 1}, errors.InvalidOption),
        ({"gains": {"jaw": 1.0}}, errors.UnknownBlendshape),
        ({"window": 0.0}, errors.InvalidWindow),
        ({"window": 1.0, "overlap": 1.0}, errors.InvalidWindow),
        ({"overlap": -1.0}, errors.InvalidWindow),
        ({"style": {24: 1.0}}, errors.PersonOutOfRange),
        ({"emotion_audio": np.zeros(10, np.float32), "emotion_sample_rate": SECOND}, errors.AudioTooShort),
    ],
)
async def test_mistakes_are_found_before_anything_is_sent(options, kind):
    maker, transport = client()
    with pytest.raises(errors.InvalidRequest) as caught:
        await maker.animate(clip(SECOND), sample_rate=SECOND, **options)
    assert type(caught.value) is kind
    assert transport.sent == []


@pytest.mark.parametrize("samples", [0, 719])
async def test_audio_that_is_too_short_says_how_much_is_needed(samples):
    with pytest.raises(errors.AudioTooShort, match=rf"{samples} samples.*at least 720"):
        await client()[0].animate(clip(samples), sample_rate=SECOND)


async def test_progress_is_told_of_every_window():
    seen = []
    await client()[0].animate(clip(), sample_rate=SECOND, window=2.0, progress=lambda *at: seen.append(at))
    assert seen[-1] == (300, 300)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


async def test_health_infers():
    maker, transport = client()
    health = await maker.health()
    assert (health.model, len(transport.sent)) == ("a fake", 1)
    maker, _ = client({0: ModelUnavailable("dead")})
    with pytest.raises(ModelUnavailable):
        await maker.health()


async def test_a_closed_client_says_so():
    maker, transport = client()
    async with maker:
        pass
    assert transport.closed
    with pytest.raises(ClientClosed):
        await maker.animate(clip(SECOND), sample_rate=SECOND)


def test_the_sync_client_gives_what_the_async_one_gives():
    audio = clip()
    with EmoTalkClient(transport=FakeTransport()) as maker:
        face = maker.animate(audio, sample_rate=SECOND, window=2.0)
        frames = list(maker.stream(audio, sample_rate=SECOND, window=2.0))
    expected = asyncio.run(client()[0].animate(audio, sample_rate=SECOND, window=2.0))
    np.testing.assert_array_equal(face.weights, expected.weights)
    np.testing.assert_array_equal([f.weights for f in frames], expected.weights)


def test_the_sync_client_can_be_shared_by_threads_and_used_inside_a_loop():
    with EmoTalkClient(transport=FakeTransport()) as maker:
        lengths = {}

        def work(seconds):
            lengths[seconds] = len(maker.animate(clip(seconds * SECOND), sample_rate=SECOND, window=1.0))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert lengths == {n: 30 * n for n in range(1, 6)}

        async def inside():
            return maker.animate(clip(SECOND), sample_rate=SECOND)

        assert len(asyncio.run(inside())) == 30


def test_leaving_a_sync_stream_early_leaves_nothing_running():
    transport = FakeTransport(dict.fromkeys(range(2, 99), 30))
    with EmoTalkClient(transport=transport, concurrency=3) as maker:
        stream = maker.stream(clip(), sample_rate=SECOND, window=2.0)
        next(stream)
        stream.close()
        assert transport.flying == 0
    assert transport.closed
    assert not [t for t in threading.enumerate() if t.name == "emotalk-client"]


def test_a_closed_sync_client_says_so_and_closes_twice():
    maker = EmoTalkClient(transport=FakeTransport())
    maker.close()
    maker.close()
    with pytest.raises(ClientClosed):
        maker.animate(clip(SECOND), sample_rate=SECOND)
    with pytest.raises(ClientClosed):
        next(maker.stream(clip(SECOND), sample_rate=SECOND))


def test_the_twins_have_the_same_methods_and_arguments():
    def public(cls):
        return {n: m for n, m in vars(cls).items() if not n.startswith("_") and callable(m)}

    twins = public(AsyncEmoTalkClient), public(EmoTalkClient)
    assert set(twins[0]) == set(twins[1])
    for name in twins[0]:
        one, other = (inspect.signature(twin[name]).parameters for twin in twins)
        assert [str(parameter).replace("AsyncIterable", "Iterable") for parameter in one.values()] == [
            str(parameter) for parameter in other.values()
        ]
    assert inspect.signature(AsyncEmoTalkClient).parameters == inspect.signature(EmoTalkClient).parameters


def test_the_options_are_the_settings():
    assert list(AnimateOptions.__annotations__) == [f.name for f in fields(Settings)]
    with pytest.raises(TypeError, match="levle"):
        Settings(levle=1)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("INVALID_ARGUMENT", "in ensemble 'emotalk', [InvalidStyle] no", errors.InvalidStyle),
        ("INVALID_ARGUMENT", "unexpected shape", errors.InvalidRequest),
        ("UNAVAILABLE", "in ensemble 'emotalk', Exceeds maximum queue size", ServerBusy),
        ("UNAVAILABLE", "failed to connect to all addresses", ServerUnavailable),
        ("UNAVAILABLE", "Request for unknown model: 'emotalk' is not found", ModelUnavailable),
        ("NOT_FOUND", "Request for unknown model", ModelUnavailable),
        ("INTERNAL", "Stub process 'x_0_0' is not healthy.", ModelUnavailable),
        ("INTERNAL", "odd", ServerError),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceeded),
    ],
)
def test_tritons_answers_have_their_classes(status, message, kind):
    assert type(translated("host:1", status, message)) is kind


def test_answers_that_cannot_be_right_are_refused():
    with pytest.raises(UnexpectedResponse, match=r"\[1, 3, 52\]; expected \[1, 4, 52\]"):
        checked({"BLENDSHAPES": np.zeros((1, 3, 52))}, 4)
    with pytest.raises(UnexpectedResponse, match="NaN"):
        checked({"BLENDSHAPES": np.full((1, 4, 52), np.nan)}, 4)


def test_the_public_names():
    assert emotalk_client.__all__ == sorted(emotalk_client.__all__)
    for name in emotalk_client.__all__:
        assert getattr(emotalk_client, name)
    assert {"EmoTalkClient", "AsyncEmoTalkClient", "Animation", "Frame", "InvalidRequest", "ServerBusy"} <= set(
        emotalk_client.__all__
    )

"""Live sessions against a real Triton with the bundled model: what the whole clip gives, whatever happens meanwhile."""

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from virtual import GUARD_S, until

from emotalk_client import AsyncEmoTalkClient, EmoTalkClient, InvalidRequest, ServerUnavailable, SessionEnded
from emotalk_client.audio.loading import load
from emotalk_client.errors import DeadlineExceeded
from emotalk_contract import errors
from emotalk_contract.timing import FPS, frame_count
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

RATE = 16_000
VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"
SECONDS = 4


@pytest.fixture(scope="module")
def voice():
    """A voice, a bit longer than :data:`SECONDS`, that ends off the grid."""
    return load(VOICE)[RATE // 2 :][: SECONDS * RATE + 77]


@pytest.fixture(scope="module")
def whole(bundled_server, voice):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        return client.animate(voice, sample_rate=RATE).weights


@pytest.fixture(params=["steps", "windows"])
def way(request):
    """Options by which a session sends what is new alone, or windows."""
    return {"steps": {}, "windows": {"context": 1.5}}[request.param]


EXACT = 0.01
"""Of the whole clip, each weight of a stream by steps."""


def check_equals(frames, whole, share=0.001, way=None):
    """Every frame once, and the whole clip's. By windows: ``share`` of the weights off after the first second, 1 % in
    it; by steps, none by more than :data:`EXACT`.
    """
    assert [frame.index for frame in frames] == list(range(len(whole)))
    if not way:
        assert np.abs(np.array([frame.weights for frame in frames]) - whole).max(initial=0) <= EXACT
        return
    off = np.abs(np.array([frame.weights for frame in frames]) - whole) > 0.02
    assert off[FPS:].mean() <= share if len(off) > FPS else True
    assert off[:FPS].mean() <= 0.01


async def speak(session, clip, size, pace_s=0.0):
    """Push ``clip`` in blocks of ``size`` samples, ``pace_s`` apart, then flush; all frames."""
    frames = []
    for start in range(0, len(clip), size):
        frames += await session.push(clip[start : start + size])
        await asyncio.sleep(pace_s)
    return frames + await session.flush()


@pytest.mark.parametrize("size", [160, 533, 4_800, 10**6])
async def test_live_is_the_whole_clip_whatever_the_pushes(bundled_server, voice, whole, size, way):
    async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
        check_equals(await speak(client.live(sample_rate=RATE, **way), voice, size), whole, way=way)


async def test_a_sample_at_a_time_is_the_whole_clip_too(bundled_server, voice, way):
    clip = voice[: 3 * RATE // 10]
    async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
        face = await client.animate(clip, sample_rate=RATE)
        check_equals(await speak(client.live(sample_rate=RATE, **way), clip, 1), face.weights, way=way)


async def test_windows_without_context_are_not(bundled_server, voice, whole):
    """Or the tests above could not fail."""
    async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
        frames = await speak(client.live(sample_rate=RATE, context=0.1, look_ahead=0.0), voice, 1_600, pace_s=0.005)
    assert (np.abs(np.array([frame.weights for frame in frames]) - whole) > 0.02)[FPS:].mean() > 0.02


async def test_stereo_of_another_rate_is_what_the_file_gives(bundled_server, voice, tmp_path, way):
    wide = soxr.resample(voice, RATE, 44_100)
    pcm = (np.stack([wide, 0.5 * wide], 1) * 32_767).astype(np.int16)
    soundfile.write(tmp_path / "clip.wav", pcm, 44_100)
    async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
        face = await client.animate(tmp_path / "clip.wav")
        check_equals(await speak(client.live(sample_rate=44_100, **way), pcm, 4_410), face.weights, way=way)


async def test_eight_sessions_at_once_get_their_own_frames(bundled_server, voice, way):
    clips = [np.roll(voice, -8_111 * number)[: 2 * RATE + 533 * number] for number in range(8)]
    options = [{"person": number, "level": number / 7, "seed": number} for number in range(8)]
    async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
        faces = [await client.animate(clip, sample_rate=RATE, **how) for clip, how in zip(clips, options, strict=True)]
        sessions = [client.live(sample_rate=RATE, **way, **how) for how in options]
        streams = (speak(session, clip, 800, 0.01) for session, clip in zip(sessions, clips, strict=True))
        results = await asyncio.wait_for(asyncio.gather(*streams), GUARD_S)
    for frames, face in zip(results, faces, strict=True):
        check_equals(frames, face.weights, share=0.002, way=way)  # of 2 s, as of a few weights
    assert np.abs(faces[1].weights[:60] - faces[2].weights[:60]).max() > 0.05  # not all the same


async def test_cancel_and_a_refused_session_leave_the_others_alone(bundled_server, voice, whole, way):
    async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
        other = asyncio.create_task(speak(client.live(sample_rate=RATE, **way), voice, 1_600, 0.01))
        for seconds in (0.05, 0.1, 0.15, 0.2):
            session = client.live(sample_rate=RATE, **way)
            frames = await session.push(voice)
            await asyncio.sleep(seconds)
            frames += await session.push(voice[:1])
            fade = (await session.cancel(fade_s=0.1)).fade
            assert [frame.index for frame in frames + fade] == list(range(len(frames) + len(fade)))
            assert len(fade) == (3 if frames else 0)
        with pytest.raises(errors.InvalidStyle, match="sums to 2"):
            await speak(client.live(sample_rate=RATE, **way, style={0: 1.0, 1: 1.0}), voice, 1_600)
        check_equals(await asyncio.wait_for(other, GUARD_S), whole, way=way)
        assert issubclass(errors.InvalidStyle, InvalidRequest)
    bundled_server.process.probe()


async def test_a_server_that_is_killed_in_mid_stream_costs_no_frame(voice, whole, way):
    server = await asyncio.to_thread(EmbeddedServer().start)
    try:
        async with AsyncEmoTalkClient(server.grpc_url) as client:
            session = client.live(sample_rate=RATE, **way)
            frames = await session.push(voice[: 2 * RATE])
            frames += await asyncio.wait_for(session.receive(), GUARD_S)
            os.killpg(server.process.pid, signal.SIGKILL)
            talk = asyncio.create_task(speak(session, voice[2 * RATE :], 1_600))
            await asyncio.to_thread(server.restart)
            check_equals(frames + await asyncio.wait_for(talk, GUARD_S), whole, way=way)
    finally:
        await asyncio.to_thread(server.stop)


async def test_cancel_and_closing_are_heard_while_the_server_stands_still(voice, way):
    server = await asyncio.to_thread(EmbeddedServer(supervised=False).start)
    try:
        async with AsyncEmoTalkClient(server.grpc_url) as client:
            session, other = (client.live(sample_rate=RATE, **way, timeout_s=10 * GUARD_S) for _ in range(2))
            frames = await session.push(voice[:RATE])
            frames += await asyncio.wait_for(session.receive(), GUARD_S)
            os.kill(server.process.pid, signal.SIGSTOP)
            try:
                pushing = [asyncio.create_task(one.push(np.tile(voice, 5))) for one in (session, other)]
                await until(lambda: session.status.backlog_s > 1 and other.status.backlog_s > 1)
                fade = (await asyncio.wait_for(session.cancel(fade_s=0.1), GUARD_S)).fade
                await asyncio.wait_for(other.close(), GUARD_S)
                for task in pushing:
                    with pytest.raises(SessionEnded):
                        await asyncio.wait_for(task, GUARD_S)
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
            assert [frame.index for frame in frames + fade] == list(range(len(frames) + 3))
            check_equals(
                await asyncio.wait_for(speak(client.live(sample_rate=RATE, **way), voice[:RATE], 1_600), GUARD_S),
                (await client.animate(voice[:RATE], sample_rate=RATE)).weights,
                way=way,
            )
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_server_that_is_away_for_a_while_costs_no_frame_and_for_ever_ends_the_session(voice, whole, way):
    server = await asyncio.to_thread(EmbeddedServer().start)
    ports = server.process.settings.ports
    try:
        async with AsyncEmoTalkClient(server.grpc_url) as client:
            session = client.live(sample_rate=RATE, **way, timeout_s=GUARD_S)
            frames = await session.push(voice[: 2 * RATE])
            frames += await asyncio.wait_for(session.receive(), GUARD_S)
            await asyncio.to_thread(server.stop)
            talk = asyncio.create_task(speak(session, voice[2 * RATE :], 1_600))
            await until(lambda: session.status.backlog_s > 1)
            assert not talk.done()
            server = await asyncio.to_thread(EmbeddedServer(ports=ports).start)
            check_equals(frames + await asyncio.wait_for(talk, GUARD_S), whole, way=way)

            session = client.live(sample_rate=RATE, **way, timeout_s=5.0)
            frames = await session.push(voice[: 2 * RATE])
            frames += await asyncio.wait_for(session.receive(), GUARD_S)
            await asyncio.to_thread(server.stop)
            with pytest.raises((ServerUnavailable, DeadlineExceeded)):
                await asyncio.wait_for(speak(session, voice, 1_600, 0.05), GUARD_S)
            assert [frame.index for frame in frames] == list(range(len(frames)))
            assert frame_count(2 * RATE) >= len(frames) > 0
    finally:
        await asyncio.to_thread(server.stop)

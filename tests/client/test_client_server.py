"""Our clients against a real Triton."""

import asyncio
import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from narrow import narrow_server

from emotalk_client import AsyncEmoTalkClient, EmoTalkClient, InvalidRequest, ServerBusy, ServerUnavailable
from emotalk_client.errors import DeadlineExceeded
from emotalk_contract import errors
from emotalk_contract.timing import frame_count
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

RATE = 16_000


@pytest.fixture
def client(server):
    with EmoTalkClient(server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def long_speech(speech):
    """35 s and a bit, so that it takes more than one window and ends off the grid."""
    return np.concatenate([speech, 0.5 * speech[: 9 * RATE + 77]])


def test_35_seconds_are_joined_without_a_missing_or_doubled_frame(client, long_speech, grpc):
    face = client.animate(long_speech, sample_rate=RATE, raw=True)
    frames = frame_count(len(long_speech))
    assert face.weights.shape == (frames, 52)
    np.testing.assert_array_equal(face.timecodes, np.arange(frames) / 30)
    whole = grpc({"raw": True}, AUDIO=long_speech[None])["BLENDSHAPES"][0]
    off = np.abs(face.weights - whole)
    # A doubled or missing frame shifts all that follow; what is left is the encoders' missing context.
    shifted = np.abs(face.weights[1:] - whole[:-1])
    assert off.mean() < 0.25 * shifted.mean()
    assert (off > 0.1).mean() < 0.01


def test_a_clip_of_one_window_is_what_tritons_own_client_gets(client, speech, grpc):
    clip = speech[: 25 * RATE]
    face = client.animate(clip, sample_rate=RATE, seed=3, level=0.5, person=2)
    expected = grpc(
        {"seed": 3},
        AUDIO=clip[None],
        LEVEL=np.array([[0.5]], np.float32),
        PERSON=np.array([[2]], np.int32),
    )
    np.testing.assert_allclose(face.weights, expected["BLENDSHAPES"][0], rtol=0, atol=2e-6)


def test_stream_gives_the_frames_of_animate(client, long_speech):
    face = client.animate(long_speech, sample_rate=RATE, window=5.0, seed=1)
    frames = list(client.stream(long_speech, sample_rate=RATE, window=5.0, seed=1))
    assert [f.index for f in frames] == list(range(len(face)))
    np.testing.assert_allclose([f.weights for f in frames], face.weights, rtol=0, atol=1e-6)


async def test_the_async_twin_gives_the_same(server, long_speech, client):
    async with AsyncEmoTalkClient(server.grpc_url) as twin:
        faces = await asyncio.gather(*(twin.animate(long_speech, sample_rate=RATE, level=v) for v in (0.0, 1.0)))
    expected = await asyncio.to_thread(client.animate, long_speech, sample_rate=RATE, level=1.0)
    np.testing.assert_allclose(faces[1].weights, expected.weights, rtol=0, atol=1e-6)
    assert np.abs(faces[0].weights - faces[1].weights).max() > 1e-3


def test_any_rate_and_channels_give_the_same_face(client, speech, tmp_path):
    clip = speech[: 3 * RATE]
    wav = tmp_path / "clip.wav"
    soundfile.write(wav, np.stack([clip, clip], 1), RATE, subtype="FLOAT")
    expected = client.animate(clip, sample_rate=RATE).weights
    np.testing.assert_allclose(client.animate(wav).weights, expected, atol=1e-6)
    with wav.open("rb") as file:
        np.testing.assert_allclose(client.animate(file).weights, expected, atol=1e-6)


def test_options_change_the_face(client, speech):
    clip = {"audio": speech[: 4 * RATE], "sample_rate": RATE}
    base = client.animate(**clip)
    gained = client.animate(**clip, gains={"jawOpen": 0.0}, offsets={"tongueOut": 1.0})
    assert gained.channel("jawOpen").max() == 0
    assert gained.channel("tongueOut").min() == 1
    emotion = client.animate(**clip, emotion_audio=speech[10 * RATE : 13 * RATE] * 0.3, emotion_sample_rate=RATE)
    assert len(emotion) == len(base)
    assert np.abs(emotion.weights - base.weights).max() > 1e-3
    style = client.animate(**clip, style={0: 0.5, 9: 0.5})
    assert np.abs(style.weights - base.weights).max() > 1e-4


def test_the_servers_own_errors_arrive_as_classes(client, speech):
    with pytest.raises(errors.InvalidStyle, match="sums to 2"):
        client.animate(speech[:RATE], sample_rate=RATE, style={0: 1.0, 1: 1.0})
    with pytest.raises(errors.AudioOutOfRange, match="divide"):
        client.animate(speech[:RATE] * 30_000, sample_rate=RATE)
    assert issubclass(errors.InvalidStyle, InvalidRequest)
    assert len(client.animate(speech[:RATE], sample_rate=RATE)) == 30


def test_health_tells_who_is_served(client):
    health = client.health()
    assert "EmoTalk" in health.model
    assert health.latency_s > 0


def test_nobody_there_is_said_within_the_retries():
    with EmoTalkClient("127.0.0.1:1", retries=1) as client, pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1"):
        client.animate(np.zeros(RATE, np.float32), sample_rate=RATE)


def test_a_deadline_is_kept(client, server, long_speech):
    with EmoTalkClient(server.grpc_url, timeout_s=0.05) as hasty, pytest.raises(DeadlineExceeded):
        hasty.animate(np.tile(long_speech, 5), sample_rate=RATE)


def test_giving_up_and_leaving_early_never_takes_the_server_down(server, long_speech):
    """Triton 2.51 crashes when a call is cancelled while it computes, so our client lets calls finish."""
    for seconds in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        with EmoTalkClient(server.grpc_url, timeout_s=seconds) as hasty:
            with contextlib.suppress(DeadlineExceeded):
                hasty.animate(np.tile(long_speech, 5), sample_rate=RATE, window=30.0)
            hasty_stream = hasty.stream(long_speech, sample_rate=RATE, window=4.0)
            with contextlib.suppress(DeadlineExceeded):
                next(hasty_stream)
            hasty_stream.close()
    server.process.probe()


def test_a_full_queue_is_said_at_once_or_waited_out(small_repository, tmp_path, speech):
    """Without retries the client says that the server is busy; with them everybody is served in the end."""
    clip = speech[: 20 * RATE]

    async def crowd(url, retries):
        async with AsyncEmoTalkClient(url, retries=retries) as client:
            calls = (client.animate(clip, sample_rate=RATE, raw=True) for _ in range(40))
            return await asyncio.gather(*calls, return_exceptions=True)

    with narrow_server(small_repository, tmp_path) as server:
        hasty = asyncio.run(crowd(server.grpc_url, retries=0))
        assert any(isinstance(result, ServerBusy) for result in hasty)
        assert not [r for r in hasty if isinstance(r, Exception) and not isinstance(r, ServerBusy)]
        patient = asyncio.run(crowd(server.grpc_url, retries=40))
    assert not [r for r in patient if isinstance(r, Exception)]
    for face in patient:
        np.testing.assert_allclose(face.weights, patient[0].weights, rtol=0, atol=1e-5)


def test_a_restarted_server_is_found_again(small_repository, speech):
    with EmbeddedServer(small_repository) as first:
        ports = first.process.settings.ports
        with EmoTalkClient(first.grpc_url, retries=12) as client:
            before = client.animate(speech[:RATE], sample_rate=RATE)
            first.stop()
            with EmbeddedServer(small_repository, ports=ports):
                after = client.animate(speech[:RATE], sample_rate=RATE)
    np.testing.assert_allclose(after.weights, before.weights, rtol=0, atol=1e-6)


def test_the_command_talks_to_a_named_server(server, speech, tmp_path):
    soundfile.write(tmp_path / "speech.flac", speech[: 3 * RATE], RATE)
    environment = {**os.environ, "EMOTALK_URL": server.grpc_url}
    base = [sys.executable, "-m", "emotalk_cli"]
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    said = subprocess.run([*base, "animate", "speech.flac", "-o", "face.csv"], **run)
    assert said.returncode == 0, said.stderr
    assert len((tmp_path / "face.csv").read_text().splitlines()) == 91
    assert "EmoTalk" in subprocess.run([*base, "health"], **run).stdout

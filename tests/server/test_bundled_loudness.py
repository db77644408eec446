"""The bundled face model through Triton, for quiet speech, an offset, and recordings of browsers and phones."""

import io
from pathlib import Path

import numpy as np
import pytest
import soxr
import tritonclient.grpc
from sound_recordings import recorded

from emotalk_client import EmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.server

RATE = 16_000
VOICE = load(Path(__file__).parents[2] / "docs" / "demo" / "voice.flac")
JAW = BLENDSHAPES.index("jawOpen")


@pytest.fixture(scope="module")
def client(bundled_server):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def face(client):
    return client.animate(VOICE, sample_rate=RATE, blink=False).weights


def spoken_live(client, clip, block=320):
    frames = []
    with client.live(sample_rate=RATE, blink=False) as session:
        for start in range(0, len(clip), block):
            frames += session.push(clip[start : start + block])
        frames += session.flush()
    return np.array([frame.weights for frame in frames])


@pytest.mark.parametrize("level", [-20, -30, -40])
def test_quiet_speech_moves_the_mouth_as_loud_speech_does(client, face, level):
    clip = VOICE * np.float32(10 ** (level / 20))
    quiet = client.animate(clip, sample_rate=RATE, blink=False).weights
    assert quiet[:, JAW].mean() > 0.9 * face[:, JAW].mean()
    assert spoken_live(client, clip)[:, JAW].mean() > 0.75 * face[:, JAW].mean()


@pytest.mark.parametrize("offset", [0.001, 0.02, -0.05])
def test_an_offset_moves_nothing(client, face, offset):
    silence = np.full(3 * RATE, offset, np.float32)
    assert client.animate(silence, sample_rate=RATE, blink=False).weights.max() < 0.02
    assert spoken_live(client, silence).max() < 0.02
    spoken = client.animate((VOICE + np.float32(offset)).astype(np.float32), sample_rate=RATE, blink=False).weights
    assert np.abs(spoken - face).mean() < 1e-3
    assert np.abs(spoken - face).max() < 2e-3


@pytest.mark.parametrize("level", [-40, -50, -60, -70])
def test_noise_leaves_the_face_at_rest(client, level):
    clip = (np.random.default_rng(0).normal(0, 1, 6 * RATE) * 10 ** (level / 20)).astype(np.float32)
    assert client.animate(clip, sample_rate=RATE, blink=False).weights.max() < 0.05


def test_windows_of_a_quiet_clip_with_an_offset_are_what_the_whole_is(client, bundled_server):
    clip = (np.concatenate([VOICE] * 4) * np.float32(0.03) + np.float32(0.01)).astype(np.float32)
    whole = client.animate(clip, sample_rate=RATE, window=60.0, blink=False).weights
    for window in (25.0, 6.0):
        assert np.abs(client.animate(clip, sample_rate=RATE, window=window, blink=False).weights - whole).max() < 1e-3
    with tritonclient.grpc.InferenceServerClient(bundled_server.grpc_url) as other:  # knows nothing of levelling
        sound = tritonclient.grpc.InferInput("AUDIO", [1, len(clip)], "FP32")
        sound.set_data_from_numpy(clip[None])
        answer = other.infer("emotalk", [sound], parameters={"blink": False}).as_numpy("BLENDSHAPES")[0]
    np.testing.assert_allclose(answer, whole, atol=1e-4)


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("webm", "libopus", {}),
        ("ipod", "aac", {}),
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
        ("ipod", "alac", {}),
    ],
)
def test_a_recording_gives_the_face_of_its_sound(client, face, container, codec, options):
    pytest.importorskip("av")
    content = recorded(soxr.resample(VOICE, RATE, 48_000), 48_000, container, codec, options=options)
    heard = client.animate(io.BytesIO(content), blink=False).weights
    assert abs(len(heard) - len(face)) <= 1
    frames = min(len(heard), len(face))
    assert np.abs(heard[:frames] - face[:frames]).mean() < 0.01


def test_channels_that_cancel_give_a_face(client, face):
    opposite = np.stack([VOICE, -VOICE], axis=1)
    np.testing.assert_allclose(client.animate(opposite, sample_rate=RATE, blink=False).weights, face, atol=1e-4)
    difference = np.abs(spoken_live(client, opposite) - face)
    assert difference.mean() < 1e-3
    assert difference.max() < 0.1  # its first 20 ms are not known to cancel

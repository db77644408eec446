"""The bundled face model through Triton: a mouth that follows speech, and rests without it."""

from pathlib import Path

import numpy as np
import pytest
from head_lips import Lips

from emotalk_client import EmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.emotions import EMOTIONS

pytestmark = pytest.mark.server

VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"
RATE = 16_000
MOUTH = [i for i, name in enumerate(BLENDSHAPES) if name.startswith(("mouth", "jaw", "tongue"))]


@pytest.fixture(scope="module")
def client(bundled_server):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def voice():
    return load(VOICE)


@pytest.fixture(scope="module")
def face(client, voice):
    return client.animate(voice, sample_rate=RATE)


def test_the_jaw_follows_the_voice_and_the_lips_meet(face, voice):
    loudness = np.array([np.sqrt(np.mean(voice[n * 1600 // 3 :][:960] ** 2)) for n in range(len(face))])
    assert np.corrcoef(loudness, face.channel("jawOpen"))[0, 1] > 0.5
    assert face.channel("jawOpen").max() > 0.3
    pressed = face.channel("mouthPressLeft")
    closures = np.flatnonzero((pressed[1:-1] > 0.35) & (pressed[1:-1] >= pressed[:-2]) & (pressed[1:-1] > pressed[2:]))
    assert 10 <= len(closures) <= 26  # the text has 17 of p, b and m
    assert face.channel("jawOpen")[closures + 1].max() < 0.2  # lips do not meet over an open jaw


def test_silence_and_noise_leave_the_mouth_at_rest(client):
    noise = np.random.default_rng(0).normal(0, 0.03, 6 * RATE).astype(np.float32)
    for sound in (np.zeros(6 * RATE, np.float32), noise):
        rest = client.animate(sound, sample_rate=RATE, blink=False).weights
        assert rest[:, MOUTH].mean(axis=0).max() < 0.02


def test_windows_give_what_the_whole_gives(client, voice):
    clip = np.concatenate([voice] * 4)
    whole = client.animate(clip, sample_rate=RATE, window=60.0).weights
    for window in (25.0, 6.0):
        joined = client.animate(clip, sample_rate=RATE, window=window).weights
        assert joined.shape == whole.shape
        assert (np.abs(joined - whole) > 1e-3).mean() == 0


def test_level_moves_the_upper_face_only_and_persons_differ(client, voice, face):
    neutral = client.animate(voice, sample_rate=RATE, level=0.0)
    assert neutral.channel("browInnerUp").max() < 0.01 < face.channel("browInnerUp").max()
    np.testing.assert_allclose(neutral.channel("jawOpen"), face.channel("jawOpen"), atol=1e-5)
    wide, narrow = (client.animate(voice, sample_rate=RATE, person=p).channel("jawOpen") for p in (7, 1))
    assert wide.mean() > 1.5 * narrow.mean()
    pressed = client.animate(voice, sample_rate=RATE, person=7).channel("mouthPressLeft")
    np.testing.assert_allclose(pressed, face.channel("mouthPressLeft"), atol=0.05)


def test_emotion_may_come_from_another_clip(client, voice, face):
    """The mouth stays the speech's own; loud, varied speech lends its brows to quiet speech."""
    own = client.animate(voice, sample_rate=RATE, emotion_audio=voice, emotion_sample_rate=RATE)
    np.testing.assert_allclose(own.weights, face.weights, atol=1e-4)
    silent = client.animate(
        voice, sample_rate=RATE, emotion_audio=np.zeros(3 * RATE, np.float32), emotion_sample_rate=RATE
    )
    np.testing.assert_allclose(silent.channel("jawOpen"), face.channel("jawOpen"), atol=1e-4)
    assert silent.channel("browInnerUp").max() < 0.5 * face.channel("browInnerUp").max()


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_closed_lips_stay_closed_under_every_emotion(client, voice, face, emotion):
    """Seen on the head's own mesh: where the voice brings the lips together, the emotion keeps them so."""
    lips = Lips()
    felt = client.animate(voice, sample_rate=RATE, emotions={emotion: 1.0})
    closed = lips.gap_mm(face.weights) <= 0
    assert closed.sum() > 60
    assert lips.gap_mm(felt.weights)[closed].max() < 0.35  # of a millimetre: stretched corners pull that much
    pressed = face.channel("mouthPressLeft") > 0.35
    assert pressed.sum() > 20
    assert (felt.channel("jawOpen") - face.channel("jawOpen"))[pressed].max() < 1e-5
    assert np.abs(felt.weights - face.weights).max() > 0.3
    talking = np.corrcoef(felt.channel("jawOpen"), face.channel("jawOpen"))[0, 1]
    assert talking > 0.9


def test_windows_feel_what_the_whole_feels(client, voice):
    emotions = {"fear": 0.8, "outofbreath": 0.5}
    whole = client.animate(voice, sample_rate=RATE, emotions=emotions)
    frames = list(client.stream(voice, sample_rate=RATE, emotions=emotions, window=6.0))
    assert [frame.index for frame in frames] == list(range(len(whole)))
    np.testing.assert_allclose([frame.weights for frame in frames], whole.weights, rtol=0, atol=2e-3)
    assert whole.channel("browInnerUp").min() > 0.5

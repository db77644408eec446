"""A network without emotions through a real Triton: recorded outputs, windows that know their clip, refusals."""

import lam_reference
import numpy as np
import pytest
import soundfile
import tritonclient.grpc
from infer import infer
from tritonclient.utils import InferenceServerException

import seeded
import seeded_lam
from emotalk_client import EmoTalkClient, errors
from emotalk_contract.clip_statistics import statistics_of
from emotalk_contract.errors import AudioTooShort
from emotalk_contract.timing import frame_count
from emotalk_export.exporter import export
from emotalk_export.speech import sample_voice
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

ALIKE = 1e-5
"""Of two ways to ask for the same face."""


def person(number):
    return np.array([[number]], np.int32)


@pytest.fixture(scope="module")
def lam_server(lam_repository):
    """Triton serving the small seeded LAM-A2E."""
    with EmbeddedServer(lam_repository) as running:
        yield running


@pytest.fixture(scope="module")
def ask(lam_server):
    """``ask(AUDIO=...)``: raw weights [B, F, 52] over gRPC."""
    with tritonclient.grpc.InferenceServerClient(lam_server.grpc_url) as client:
        yield lambda **inputs: infer(tritonclient.grpc, client, {"raw": True}, **inputs)["BLENDSHAPES"]


@pytest.mark.parametrize("samples", [400, 533, 719])
def test_the_shortest_clip_is_the_networks_and_not_the_clients(lam_server, ask, samples):
    audio = seeded.speechlike(samples)
    with EmoTalkClient(lam_server.grpc_url) as client:
        found = client.animate(audio, sample_rate=16_000, raw=True).weights
        assert np.abs(found - ask(AUDIO=audio[None])[0]).max() <= ALIKE
        with pytest.raises(AudioTooShort, match=r"399 samples.*at least 400"):
            client.animate(audio[:399], sample_rate=16_000)


@pytest.fixture(scope="module")
def voice():
    return soundfile.read(sample_voice(), dtype="float32")[0]


def test_recorded_goldens(reference, voice, ask):
    lam_reference.check_recorded(reference, "small", voice, ask)


def test_recorded_goldens_of_the_other_topology(reference, voice, tmp_path):
    """And torch's own modules on it, which need no recording."""
    checkpoint = seeded_lam.checkpoint("small_transformer", seeded_lam.SEED, tmp_path / "lam.tar")
    export(checkpoint, tmp_path / "repository", layout="lam", attention_heads=4)
    with (
        EmbeddedServer(tmp_path / "repository") as server,
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
    ):

        def ask(**inputs):
            return infer(tritonclient.grpc, client, {"raw": True}, **inputs)["BLENDSHAPES"]

        audio = seeded.speechlike(32_000)
        expected = lam_reference.weights(seeded_lam.torch_state("small_transformer"), audio, 19, 60, 4)
        assert np.abs(ask(AUDIO=audio[None], PERSON=person(19))[0] - expected).max() <= lam_reference.TOLERANCE
        lam_reference.check_recorded(reference, "small_transformer", voice, ask)


@pytest.mark.parametrize(("samples", "gain"), [(400, 1), (534, 1), (84_801, 1), (48_000, 1e-3), (416_000, 1)])
def test_torchs_own_modules_agree(ask, samples, gain):
    audio = (seeded.speechlike(samples) * np.float32(gain)).astype(np.float32)
    expected = lam_reference.weights(seeded_lam.torch_state("small"), audio, 3, frame_count(samples), 4)
    found = ask(AUDIO=audio[None], PERSON=person(3))[0]
    assert np.abs(found - expected).max() <= lam_reference.TOLERANCE


def test_each_of_a_batch_gets_what_it_gets_alone(ask):
    audio = seeded.speechlike(80_000)
    clips = np.stack([audio, audio[::-1] * 0.05, np.roll(audio, 9_000)]).astype(np.float32)
    persons = np.array([[0], [5], [11]], np.int32)
    together = ask(AUDIO=clips, PERSON=persons)
    for i in range(3):
        assert np.abs(together[i] - ask(AUDIO=clips[i : i + 1], PERSON=persons[i : i + 1])[0]).max() <= ALIKE


def test_statistics_from_outside_are_the_clips_own(ask):
    audio = seeded.speechlike(160_000)[None]
    place = {"START_FRAME": np.array([[0]]), "CLIP_SAMPLES": np.array([[audio.shape[1]]])}
    given = ask(AUDIO=audio, **place, CLIP_STATS=statistics_of(audio, "patches"))
    assert np.abs(given - ask(AUDIO=audio)).max() <= ALIKE
    other = ask(AUDIO=audio, **place, CLIP_STATS=statistics_of(audio * np.float32(3), "patches"))
    assert np.abs(given - other).max() > 0.01


def test_a_blend_of_styles_is_one_and_a_person_is_a_blend_of_one(ask):
    audio = seeded.speechlike(16_000)[None]
    blend = np.eye(12, dtype=np.float32)[4:5]
    assert np.abs(ask(AUDIO=audio, STYLE=blend) - ask(AUDIO=audio, PERSON=person(4))).max() <= ALIKE


def test_the_thin_client_needs_to_know_nothing(lam_server, ask):
    audio = seeded.speechlike(416_000)
    audio[208_000:] *= 0.1
    with EmoTalkClient(lam_server.grpc_url) as client:
        whole = client.animate(audio, sample_rate=16_000, raw=True).weights
        assert np.abs(whole - ask(AUDIO=audio[None])[0]).max() <= ALIKE
        cut = client.animate(audio, sample_rate=16_000, raw=True, window=10.0).weights
        assert cut.shape == whole.shape
        chunks = [client.animate(part, sample_rate=16_000, raw=True).weights for part in np.split(audio[:320_000], 2)]
        ours = np.abs(cut[:600] - whole[:600]).mean()
        assert ours < 0.8 * np.abs(np.concatenate(chunks) - whole[:600]).mean()
        mixed = client.animate(audio[:16_000], sample_rate=16_000, style={0: 0.5, 11: 0.5}, emotions={"joy": 1.0})
        assert mixed.weights.shape == (30, 52)
        assert client.describe()["licence"] == "Apache-2.0"
        with pytest.raises(errors.InvalidRequest, match=r"person is 12; accepted: 0\.\.11"):
            client.animate(audio, sample_rate=16_000, person=12)
        with pytest.raises(errors.InvalidRequest, match="LEVEL is given"):
            client.animate(audio, sample_rate=16_000, level=0.5)
        with client.live(sample_rate=16_000, raw=True) as session:
            frames = [*session.push(audio[:48_000]), *session.flush()]
        assert [frame.index for frame in frames] == list(range(90))


REFUSED = {
    "level": ({"LEVEL": np.ones((1, 1), np.float32)}, r"\[InputWithoutMeaning\] LEVEL is given.*no emotions"),
    "emotion": ({"EMOTION_AUDIO": np.zeros((1, 16_000), np.float32)}, r"\[InputWithoutMeaning\] EMOTION_AUDIO"),
    "person": ({"PERSON": person(12)}, r"\[PersonOutOfRange\] PERSON is 12; accepted: 0\.\.11"),
    "style": ({"STYLE": np.ones((1, 12), np.float32)}, r"\[InvalidStyle\] STYLE sums to 12.*12 weights"),
    "statistics": ({"CLIP_STATS": np.full((1, 110), np.nan, np.float32)}, r"\[InvalidStatistics\].*110 finite"),
    "short": ({"AUDIO": np.zeros((1, 399), np.float32)}, r"\[AudioTooShort\] AUDIO has 399.*at least 400"),
    "not finite": ({"AUDIO": np.full((1, 999), np.inf, np.float32)}, r"\[AudioNotFinite\]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_refused_in_words_and_cost_nobody_else_anything(ask, case):
    inputs, words = REFUSED[case]
    with pytest.raises(InferenceServerException, match=words):
        ask(**{"AUDIO": seeded.speechlike(16_000)[None], **inputs})
    assert np.isfinite(ask(AUDIO=seeded.speechlike(16_000)[None])).all()

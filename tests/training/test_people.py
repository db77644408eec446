"""Speech of people: who is kept back, what a teacher says, and the second aligner."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from emotalk_contract.arkit import INDEX
from emotalk_training import card, people, teacher, teacher_face
from emotalk_training.articulation import VISEME_NAMES, Phone
from emotalk_training.corpus import CorpusError, Utterance, utterances
from emotalk_training.dataset import Examples, prepare
from emotalk_training.encoder import FEATURES, mel_bands
from emotalk_training.labels import LABELS, label_utterance
from emotalk_training.metrics import closures
from emotalk_training.people import librispeech_people, make_people
from emotalk_training.readers import part
from emotalk_training.retiming import STEP_S, retimed
from emotalk_training.sources import MissingSourceError
from emotalk_training.taught import taught_labels, taught_path

pytestmark = pytest.mark.torch

RATE = 16_000


def tone(seconds: float = 2.0) -> NDArray[np.float32]:
    t = np.arange(int(seconds * RATE)) / RATE
    return np.asarray(np.sin(2 * np.pi * 150 * t) * 0.3, np.float32)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """LibriSpeech as it unpacks: three readers, one of each part."""
    for reader in ("12", "13", "17"):
        chapter = tmp_path / "LibriSpeech" / "dev-clean" / reader / "5"
        chapter.mkdir(parents=True)
        soundfile.write(chapter / f"{reader}-5-0000.flac", tone(), RATE)
        (chapter / f"{reader}-5.trans.txt").write_text(f"{reader}-5-0000 MA MA\n")
    return tmp_path / "LibriSpeech"


def aligned(audio: NDArray[np.float32], text: str) -> list[Phone]:
    assert (len(audio), text) == (2 * RATE, "ma ma")
    return [Phone("m", 0.5, 0.6), Phone("aa", 0.6, 1.0), Phone("m", 1.0, 1.1), Phone("aa", 1.1, 1.5)]


def test_readers_are_kept_back_by_their_numbers(library: Path, tmp_path: Path) -> None:
    kept = {}
    for which in ("train", "choose", "test"):
        assert make_people(tmp_path / which, librispeech_people(library), which, aligned) == pytest.approx(2 / 60)
        kept[which] = {u.voice for u in utterances(tmp_path / which)}
    assert kept == {"train": {"libri-12"}, "choose": {"libri-13"}, "test": {"libri-17"}}
    assert part("festvox-ru") == "train"
    assert make_people(tmp_path / "train", librispeech_people(library), "train", aligned) == 0  # it is there already


def test_prompts_of_a_telephone_exchange_are_read_in_either_format(tmp_path: Path, monkeypatch) -> None:
    sound = (0.5 * np.sin(np.arange(8000) * 0.3)).astype(np.float32)
    (tmp_path / "fr" / "digits").mkdir(parents=True)
    soundfile.write(tmp_path / "fr" / "digits" / "1.gsm", sound, 8000, format="RAW", subtype="GSM610")
    soundfile.write(tmp_path / "fr" / "hello.wav", sound, 8000)
    soundfile.write(tmp_path / "fr" / "silence.wav", sound[:0], 8000)
    monkeypatch.setattr(people, "ASTERISK", tmp_path)
    said = list(people.PACKAGES["armelle-fr"]())
    assert [person.name for person in said] == ["fr_digits_1", "fr_hello"]
    for person in said:
        assert (person.voice, person.text, person.phones) == ("armelle-fr", "", None)
        assert len(person.audio) == pytest.approx(16_000, abs=640)
        spectrum = np.abs(np.fft.rfft(person.audio))
        assert np.argmax(spectrum) / len(person.audio) * 16_000 == pytest.approx(0.3 * 8000 / (2 * np.pi), abs=2)
    with pytest.raises(MissingSourceError, match="asterisk-core-sounds-it-wav"):
        next(people.PACKAGES["asterisk-it"]())


def test_each_package_has_its_licence_in_the_card_of_who_heard_it(tmp_path: Path) -> None:
    assert set(card.PEOPLE_LICENCES) == set(people.PACKAGES)
    (tmp_path / "index.jsonl").write_text(json.dumps({"voice": "armelle-fr"}) + "\n")
    said = card._licences([tmp_path])
    assert "Armelle Desjardins" in said
    assert "festvox-ru" not in said
    assert "Fluid R3" not in said
    (tmp_path / "index.jsonl").write_text(json.dumps({"voice": "music-solo"}) + "\n")
    said = card._licences([tmp_path])
    assert "Fluid R3" in said
    assert "Armelle Desjardins" not in said


def test_the_card_tells_of_every_training_that_a_checkpoint_has_in_it() -> None:
    first = {"steps": 100, "seed": 1, "audio_hours_seen": 1.5, "minutes": 3.0}
    other = {"share": 0.25, "steps": 40, "seed": 2, "began_with": first}
    last = {"steps": 70, "seed": 3, "hints": True, "calibration": {"gain": 1.2, "bias": 0.0}, "blend": [other]}
    assert card._courses(last) == [
        "  - 0.75 of a blend: 70 steps, seed 3, with hints, calibrated to bias 0, gain 1.2",
        "    - blended with, 0.25: 40 steps, seed 2",
        "      - began with: 100 steps, seed 1, 1.5 h of examples in 3 minutes",
    ]
    assert card._courses({}) == ["  - ? steps, seed ?"]


def test_test_other_is_for_testing(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="test-other"):
        next(librispeech_people(tmp_path / "LibriSpeech" / "test-other"))
    with pytest.raises(CorpusError, match=r"neither index\.jsonl nor"):
        next(librispeech_people(tmp_path))


@pytest.fixture
def corpus(library: Path, tmp_path: Path) -> Path:
    """One utterance with phones, and one without."""
    out = tmp_path / "corpus"
    make_people(out, librispeech_people(library), "train", aligned)
    soundfile.write(out / "mute.flac", tone(), RATE)
    record = {"name": "mute", "ph": None, "dur": 2.0, "eng": "people", "voice": "asterisk-ru", "text": ""}
    with (out / "index.jsonl").open("a") as lines:
        lines.write(json.dumps(record) + "\n")
    return out


def others(corpus: Path) -> list[Utterance]:
    """The same speech in a voice that a teacher may hear."""
    return [replace(u, voice="other", engine="hum") for u in utterances(corpus)]


class Encoder:
    """Hears how loud it is, and nothing else."""

    def __call__(self, audio: NDArray[np.float32]) -> NDArray[np.float16]:
        out = np.zeros((-(-len(audio) // 320), FEATURES), np.float16)
        out[:, 0] = 1
        return out


def test_speech_that_nobody_wrote_down_is_labelled(corpus: Path, tmp_path: Path) -> None:
    assert [u.name for u in utterances(corpus)] == ["12-5-0000"]
    with pytest.raises(CorpusError, match="no speech"):
        teacher.teach(corpus, [], Encoder(), steps=2)
    said = teacher.teach(corpus, others(corpus), Encoder(), steps=2)
    assert said["minutes"] == pytest.approx(4 / 60)
    for utterance in utterances(corpus, phones_needed=False):
        labels = taught_labels(utterance)
        assert labels is not None
        assert labels.shape == (120, 11)
    examples = Examples(prepare([corpus], tmp_path / "cache"), 0)
    assert [item.taught for item in examples.items] == [True, True]
    assert examples.batch(4, 0).labels.shape[-1] == LABELS


def test_where_teacher_and_alignment_contradict_each_other_nobody_learns(corpus: Path) -> None:
    (utterance,) = utterances(corpus)
    labels, _ = label_utterance(utterance, utterance.audio())
    word = np.concatenate([labels[:, :8], labels[:, 11:13]], 1)
    assert (teacher.agreed(word, labels)[:, 10] == 1).all()
    word[30:40, 6] = 0  # the first m, at 0.5 s
    agreed = teacher.agreed(word, labels)
    assert (agreed[31:36, 10] == 0).all()
    assert (agreed[57:, 10] == 1).all()
    np.testing.assert_allclose(agreed[63, 6], labels[63, 6], atol=1e-3)
    alone = teacher.agreed(word, None)
    assert (alone[:, 10] == 1).all()


def test_a_pause_in_taught_speech_is_a_mouth_at_rest(corpus: Path, tmp_path: Path) -> None:
    teacher.teach(corpus, others(corpus), Encoder(), steps=1)
    for utterance in utterances(corpus, phones_needed=False):
        labels, _ = label_utterance(utterance, utterance.audio())
        word = np.concatenate([labels[:, :8], labels[:, 11:13]], 1)
        word[60:66, 6] = 1.0  # a closure at 1 s
        np.save(taught_path(corpus, utterance.name), teacher.agreed(word, None))
    examples = Examples(prepare([corpus], tmp_path / "cache"), 0)
    silences = set()
    for _ in range(30):
        audio, labels, onset = examples._with_rest(examples.items[0], examples._speech(examples.items[0]))
        assert len(labels) == pytest.approx(len(audio) / RATE * 60, abs=1)
        resting = labels[onset * 60 // RATE - 4]
        assert resting[:8].max() <= labels[:, :8].max()
        silences.add(onset)
        middle = slice(onset * 60 // RATE - 5, onset * 60 // RATE - 4)
        assert (labels[middle, 13] == 1).all()
    assert len(silences) > 3


def test_a_corpus_with_labels_of_another_shape_says_which(corpus: Path) -> None:
    (utterance,) = utterances(corpus)
    taught_path(corpus, utterance.name).parent.mkdir()
    np.save(taught_path(corpus, utterance.name), np.zeros((3, 4)))
    with pytest.raises(CorpusError, match=r"shape \(3, 4\); accepted: \[L, 11\]"):
        taught_labels(utterance)


def test_the_second_aligner_finds_the_times_that_are_heard() -> None:
    names = ["sil", "PP", "AA", "sil", "PP", "AA", "sil"]
    lengths = [20, 6, 15, 0, 5, 12, 10]
    scores = np.full((sum(lengths), len(VISEME_NAMES)), -8.0, np.float32)
    at = 0
    for name, length in zip(names, lengths, strict=True):
        scores[at : at + length, VISEME_NAMES.index(name)] = 0
        at += length
    phones = [Phone(s, i * 0.1, i * 0.1 + 0.1) for i, s in enumerate(["sil", "p", "aa", "sil", "b", "aa", "sil"])]
    found = retimed(phones, scores)
    assert found is not None
    assert [p.symbol for p in found] == ["sil", "p", "aa", "b", "aa", "sil"]  # the pause that nobody made is gone
    starts = np.array([p.start for p in found[1:]])
    np.testing.assert_allclose(starts, (np.array([20, 26, 41, 46, 58]) - 0.5) * STEP_S, atol=1e-6)
    assert retimed(phones, scores[:4]) is None


def test_a_long_closure_counts_once() -> None:
    weights = np.zeros((60, 52), np.float32)
    press = [0, 0.2, 0.45, 0.32, 0.44, 0.2, 0]
    weights[10:17, INDEX["mouthPressLeft"]] = press
    weights[30:33, INDEX["mouthPressLeft"]] = [0.2, 0.4, 0.2]
    weights[34:37, INDEX["mouthPressLeft"]] = [0.2, 0.4, 0.2]
    np.testing.assert_array_equal(closures(weights), [13, 31, 35])


def test_the_encoders_mel_filters_are_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    np.testing.assert_allclose(mel_bands(), librosa.filters.mel(sr=RATE, n_fft=400, n_mels=80), atol=1e-7)


def test_a_probe_learns_what_it_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "_CROP", 80)
    monkeypatch.setattr(teacher, "_BATCH", 4)
    rng = np.random.default_rng(0)
    features = np.zeros((800, FEATURES), np.float16)
    closed = np.zeros(800, np.float32)
    for first in range(10, 780, 40):
        closed[first : first + 6] = 1
    features[:, 3] = closed * 4
    features += rng.normal(0, 0.1, features.shape).astype(np.float16)
    labels = np.zeros((800, 10), np.float32)
    labels[:, 6], labels[:, 8] = closed, 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        probe = teacher.train([teacher.Heard("v", "people", features, labels)], 120, seed=1)
    finally:
        torch.set_num_threads(threads)
    word = teacher.said(probe, features, 960)
    at = np.arange(960) * 50 // 60
    assert word[closed[at] == 1, 6].mean() > word[closed[at] == 0, 6].mean() + 0.5


def test_a_voice_is_labelled_by_a_teacher_that_has_not_heard_it() -> None:
    where = teacher.folds(["b", "a", "c", "a", "d"])
    assert where == {"a": 0, "b": 1, "c": 0, "d": 1}


def test_what_nobody_taught_needs_phones(corpus: Path, tmp_path: Path) -> None:
    folder = prepare([corpus], tmp_path / "cache")
    assert [record["voice"] for record in json.loads((folder / "items.json").read_text())] == ["libri-12"]
    assert isinstance(next(utterances(corpus)), Utterance)


def test_a_teacher_has_a_face_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    probe = teacher.Probe()
    torch.save({"probe": probe.state_dict(), "viseme_share": [1 / 27] * 27}, tmp_path / "teacher.pt")
    monkeypatch.setattr(
        teacher_face,
        "SpeechEncoder",
        lambda _: lambda audio: rng.standard_normal((-(-len(audio) // 320), 512)).astype(np.float16),
    )
    face = teacher_face.TeacherFace(tmp_path / "teacher.pt", tmp_path)
    weights = face(np.zeros(16_123, np.float32))
    assert weights.shape == (31, 52)
    assert weights.min() >= 0
    assert 0 < weights.max() <= 1
    (tmp_path / "other.pt").write_bytes(b"no teacher")
    with pytest.raises(CorpusError, match="is not a teacher"):
        teacher_face.TeacherFace(tmp_path / "other.pt", tmp_path)


def test_a_teacher_that_is_held_to_a_look_ahead_hears_nothing_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    torch.save({"probe": teacher.Probe().state_dict(), "viseme_share": [1 / 27] * 27}, tmp_path / "teacher.pt")

    def encoder(audio: NDArray[np.float32]) -> NDArray[np.float16]:
        """Features of all the sound that it is given, at each step."""
        steps = -(-len(audio) // 320)
        return np.outer(np.ones(steps), np.sin(np.arange(512) * (1 + np.abs(audio).sum()))).astype(np.float16)

    monkeypatch.setattr(teacher_face, "SpeechEncoder", lambda _: encoder)
    rng = np.random.default_rng(0)
    one = rng.normal(0, 0.1, 4 * RATE).astype(np.float32)
    other = one.copy()
    other[2 * RATE :] = rng.normal(0, 0.1, 2 * RATE)
    held = teacher_face.TeacherFace(tmp_path / "teacher.pt", tmp_path, 0.1)
    apart = np.abs(held(one) - held(other)).max(1) > 1e-6
    assert apart.shape == (120,)
    assert not apart[:57].any()  # 57 / 30 + 0.1 s is 2 s
    assert apart[58:].mean() > 0.9
    free = teacher_face.TeacherFace(tmp_path / "teacher.pt", tmp_path)
    assert (np.abs(free(one) - free(other)).max(1) > 1e-6).mean() > 0.9

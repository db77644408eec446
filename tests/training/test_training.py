"""Corpus, examples and figures, on a few seconds of made-up speech."""

import json
import random
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from emotalk_contract.arkit import INDEX
from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_training import augment, checks, real
from emotalk_training.articulation import Phone
from emotalk_training.corpus import CorpusError, utterances
from emotalk_training.dataset import Examples, prepare
from emotalk_training.labels import label_sound, pressed_early
from emotalk_training.make import make
from emotalk_training.metrics import JAW, PRESS, accuracy, closures, lag_ms, matched
from emotalk_training.pitch import semitones_over_median
from emotalk_training.predict import activities, composed, predict
from emotalk_training.robot import VOWELS, robot
from emotalk_training.sources import Spoken
from emotalk_training.text import is_test, syllables

pytestmark = pytest.mark.torch

RATE = 16_000


class Humming:
    """A source that needs no synthesiser: "ma" at a random pitch."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.left = fail_after

    def speak(self, rng: random.Random, test: bool) -> Spoken:  # noqa: ARG002 - the protocol has it
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        pitch = rng.uniform(90, 250)
        t = np.arange(RATE) / RATE
        audio = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 12)) * 0.1
        audio = np.asarray(audio * ((t > 0.3) & (t < 0.8)), np.float32)
        tokens = [("sil", 0.0, 0.3), ("m", 0.3, 0.4), ("aa", 0.4, 0.8), ("sil", 0.8, 1.0)]
        return Spoken(audio, tokens, "hum", f"{pitch:.0f}", "ma")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    make(folder, "hum", Humming(), 0.2, seed=1)
    return folder


def test_an_interrupted_corpus_goes_on_and_is_the_same(speech: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, "hum", Humming(fail_after=5), 0.2, seed=1)
    assert make(tmp_path, "hum", Humming(), 0.2, seed=1) >= 0.2
    assert (tmp_path / "index.jsonl").read_text() == (speech / "index.jsonl").read_text()
    assert make(tmp_path, "hum", Humming(fail_after=0), 0.2, seed=1) >= 0.2  # complete: asks for nothing


def test_a_program_that_fails_once_costs_an_utterance(tmp_path: Path) -> None:
    class Failing(Humming):
        def speak(self, rng: random.Random, test: bool) -> Spoken:
            failing, self.left = self.left, None
            if failing:
                raise subprocess.CalledProcessError(1, ["fluidsynth"])
            return super().speak(rng, test)

    assert make(tmp_path, "hum", Failing(fail_after=1), 0.05, seed=1) >= 0.05
    assert "hum_1_00000" not in (tmp_path / "index.jsonl").read_text()


def test_a_corpus_that_lacks_a_file_or_has_another_rate_says_which(speech: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no index\.jsonl"):
        list(utterances(tmp_path))
    record = {"name": "x", "ph": [["aa", 0, 1]], "dur": 1.0, "eng": "hum"}
    (tmp_path / "index.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(CorpusError, match="names x"):
        list(utterances(tmp_path))
    soundfile.write(tmp_path / "x.wav", np.zeros(8000), 8000)
    with pytest.raises(CorpusError, match="8000 Hz"):
        next(utterances(tmp_path)).audio()


def test_examples_repeat_with_their_seed_and_carry_labels(speech: Path, tmp_path: Path) -> None:
    folder = prepare([speech], tmp_path)
    assert prepare([speech], tmp_path) == folder
    one, two, other = (Examples(folder, seed).batch(6, 0) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.audio, two.audio)
    np.testing.assert_array_equal(one.labels, two.labels)
    assert not np.array_equal(one.audio, other.audio)
    assert one.audio.shape == (6, 57_600)
    assert one.labels.shape == (6, 108, 14)
    assert np.abs(one.audio).max() <= 1
    assert one.labels[..., :12].min() >= 0
    assert one.labels[..., 6].max() > 0.8  # somewhere an m closes


def test_a_pause_put_in_moves_labels_with_the_sound(speech: Path, tmp_path: Path) -> None:
    examples = Examples(prepare([speech], tmp_path), 0)
    for _ in range(20):
        item = examples.items[0]
        audio, labels, onset = examples._with_pause(item, examples._speech(item))
        loud = np.abs(audio) > 0.02
        assert len(labels) == pytest.approx(len(audio) / RATE * 60, abs=2)
        if loud[onset : onset + 800].any():
            assert not loud[onset - 1600 : onset - 100].any()
        jaw = labels[:, 0] > 0.45  # well open: not the movement before and after the vowel
        heard = [loud[int(i / 60 * RATE) - 400 : int(i / 60 * RATE) + 400].any() for i in np.flatnonzero(jaw)]
        assert np.mean(heard) > 0.9


def test_in_a_spliced_crop_labels_change_where_the_sound_does(speech: Path, tmp_path: Path, monkeypatch) -> None:
    examples = Examples(prepare([speech], tmp_path), 0)
    numbers = iter(range(1, 1000))

    def piece(paused: bool = True) -> tuple[np.ndarray, np.ndarray]:
        number = next(numbers)
        labels = np.full((examples.frames, 14), number, np.float32)
        labels[:, 13] = 1.0
        return np.full(examples.samples, 4.0**number, np.float32), labels

    monkeypatch.setattr(examples, "crop", piece)
    seen = set()
    for _ in range(20):
        numbers = iter(range(1, 1000))
        audio, labels = examples.spliced()
        said = labels[:, 0].astype(int)
        cuts = np.flatnonzero(np.diff(said)) + 1
        assert np.diff([0, *cuts, examples.frames]).min() >= 10
        for cut in cuts:
            assert len(np.unique(audio[(cut - 9) * RATE // 30 : cut * RATE // 30])) == 1
            assert len(np.unique(audio[cut * RATE // 30 + 160 : (cut + 9) * RATE // 30])) == 1
            assert audio[cut * RATE // 30 - 1] != audio[cut * RATE // 30 + 160]
        unsure = {frame for cut in cuts for frame in range(cut - 2, cut + 2)}
        assert set(np.flatnonzero(labels[:, 13] == 0)) == unsure
        seen.add(len(cuts))
    assert seen == {1, 2, 3}


def test_a_robot_closes_its_lips_where_it_murmurs_and_is_silent_where_it_pauses(speech: Path, tmp_path: Path) -> None:
    audio, phones = robot(20.0, np.random.default_rng(2))
    assert len(audio) >= 20 * RATE
    assert phones[-1].end == pytest.approx(len(audio) / RATE)
    assert all(one.end == other.start for one, other in pairwise(phones))
    assert {phone.symbol for phone in phones} == {"sil", "m", *VOWELS}
    for phone in phones:
        sound = audio[round(phone.start * RATE) : round(phone.end * RATE)]
        assert (np.abs(sound).max() > 0.1) == (phone.symbol != "sil")
    labels, _ = label_sound(phones, audio)
    middle = {s: [labels[round((p.start + p.end) * 30)] for p in phones if p.symbol == s] for s in ("m", "aa", "uw")}
    assert min(label[6] for label in middle["m"]) > 0.8
    assert max(label[6] for s in ("aa", "uw") for label in middle[s]) < 0.2
    assert np.mean([label[1] for label in middle["uw"]]) > 0.4

    examples = Examples(prepare([speech], tmp_path), 0)
    sound, labels = examples._robot()
    assert sound.shape == (examples.samples,)
    assert labels.shape == (examples.frames, 14)


@pytest.mark.parametrize("name", ["channel", "coded", "line", "offset"])
def test_augmentation_moves_nothing_in_time(name: str) -> None:
    rng = np.random.default_rng(0)
    clip = np.zeros(RATE, np.float32)
    clip[8000:8200] = rng.standard_normal(200).astype(np.float32)
    for _ in range(20):
        out = getattr(augment, name)(clip, rng)
        lag = np.correlate(out[7900:8300], clip[7900:8300], "full").argmax() - 399
        assert abs(lag) <= 8
        assert out.shape == clip.shape
        assert out.dtype == np.float32


def test_noise_is_as_loud_and_as_coloured_as_asked() -> None:
    rng = np.random.default_rng(0)
    for exponent in (0.0, 1.0, 2.0):
        noise = augment.coloured_noise(4 * RATE, exponent, rng)
        power = np.abs(np.fft.rfft(noise)) ** 2
        hertz = np.fft.rfftfreq(len(noise), 1 / RATE)
        low, high = (power[(hertz > f) & (hertz < 2 * f)].mean() for f in (200, 3200))
        assert np.log2(low / high) / 4 == pytest.approx(exponent, abs=0.1)
        assert augment.rms(noise) == pytest.approx(1, abs=1e-3)
    assert augment.rms(augment.at_level(noise, -30)) == pytest.approx(10 ** (-30 / 20), rel=1e-3)


def test_pitch_is_measured_in_semitones_over_the_median() -> None:
    t = np.arange(2 * RATE) / RATE
    hertz = np.where(t < 1.2, 120, 180)
    audio = np.sin(2 * np.pi * np.cumsum(hertz) / RATE).astype(np.float32)
    track = semitones_over_median(audio, RATE, 100)
    assert np.median(track[20:100]) == pytest.approx(0, abs=0.3)
    assert np.median(track[130:190]) == pytest.approx(12 * np.log2(1.5), abs=0.4)


def face(press: list[int], jaw: np.ndarray) -> np.ndarray:
    weights = np.zeros((len(jaw), 52), np.float32)
    weights[:, JAW] = jaw
    for frame in press:
        weights[frame - 1 : frame + 2, PRESS] = [0.3, 0.5, 0.3]
    return weights


def test_closures_are_counted_once_and_matched_within_two_frames() -> None:
    jaw = np.abs(np.sin(np.arange(90) / 5)).astype(np.float32)
    truth, found = face([10, 30, 60], jaw), face([12, 33, 80], jaw)
    assert closures(truth).tolist() == [10, 30, 60]
    assert matched([10, 30, 60], [12, 33, 80], 2) == [2]
    result = accuracy([truth], [found])
    assert (result.recall, result.precision) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert result.correlation["jawOpen"] == pytest.approx(1)


@pytest.mark.parametrize("late", [-2, 0, 3])
def test_lag_is_positive_when_the_prediction_is_late(late: int) -> None:
    curve = np.convolve(np.random.default_rng(0).random(200), np.hanning(9), "same").astype(np.float32)
    assert lag_ms(curve, np.roll(curve, late)) == pytest.approx(late / 30 * 1000, abs=6)


def follow_loudness(audio: np.ndarray) -> np.ndarray:
    """A face without memory: what a frame hears is its own 533 samples."""
    frames = -(-len(audio) * 30 // RATE)
    weights = np.zeros((frames, 52), np.float32)
    for f in range(frames):
        weights[f, JAW] = np.abs(audio[f * RATE // 30 : (f + 1) * RATE // 30]).mean()
    return weights


def test_the_window_check_passes_what_is_local_and_catches_what_is_not() -> None:
    audio = np.random.default_rng(0).standard_normal(10 * RATE + 777).astype(np.float32) * 0.3

    def overall(clip: np.ndarray) -> np.ndarray:
        return follow_loudness(clip) / follow_loudness(clip).max() * np.float32(0.9)

    assert checks.windowed(audio, follow_loudness, 4.0, 1.0, 0.2).share == 0
    assert checks.windowed(audio * np.linspace(0.1, 1, len(audio)).astype(np.float32), overall, 4.0, 1.0, 0.2).share > 0


def test_the_rest_check_sees_a_mouth_that_idles() -> None:
    idle = checks.rest(lambda audio: follow_loudness(audio) + np.float32(0.03), seconds=2)
    assert [idle.mean["silence"], idle.peak["silence"]] == pytest.approx([0.03, 0.03])
    assert idle.peak["music"] > idle.mean["music"] > 0.05
    leaning = checks.rest(lambda audio: np.full((30, 52), abs(audio.mean()), np.float32), seconds=2)
    assert leaning.mean["hum with an offset"] == pytest.approx(0.02, abs=1e-3)
    assert leaning.mean["hum"] < 1e-3
    assert "recorded music" not in idle.mean
    played = np.sin(np.arange(RATE) / 9).astype(np.float32)
    heard = checks.rest(follow_loudness, [played * np.float32(0.1), played], seconds=2)
    assert heard.peak["recorded music"] > 0.05


def test_music_to_test_with_is_cut_into_excerpts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = np.sin(np.arange(8000 * 80) / 5).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", tone, 8000)
    soundfile.write(tmp_path / "short.wav", tone[: 8000 * 30], 8000)
    monkeypatch.setattr(real, "MUSIC_FOLDER", tmp_path)
    excerpts = list(real.music())
    assert [e.name for e in excerpts] == ["music_long_20", "music_long_60"]
    assert {len(e.audio) for e in excerpts} == {15 * RATE}
    monkeypatch.setattr(real, "MUSIC_FOLDER", tmp_path / "none")
    assert not list(real.music())


def test_the_check_of_soft_speech_sees_a_face_that_follows_the_level() -> None:
    clip = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    assert checks.quiet([clip], follow_loudness).jaw == pytest.approx(10**-1.5, rel=1e-3)
    assert checks.quiet([clip], lambda a: follow_loudness(a / np.abs(a).max())).jaw == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("held", [0, 12])
def test_the_check_of_releases_sees_lips_that_stay_pressed(held: int) -> None:
    phones = [Phone("aa", 0.2, 0.5), Phone("b", 0.5, 0.6), Phone("sil", 0.6, 1.0), Phone("aa", 1.0, 1.2)]
    press = np.zeros(60, np.float32)
    press[15 : 18 + held] = 0.8
    weights = np.zeros((60, 52), np.float32)
    weights[:, PRESS] = press
    found = checks.releases([np.zeros(2 * RATE, np.float32)], [phones], lambda _: weights)
    assert (found.count, found.median_s, found.lingering) == (1, pytest.approx(held / 30), float(held > 0))


def test_a_studio_moves_the_loudness_and_never_silences_nor_breaks_a_piece() -> None:
    tone = np.sin(np.arange(3 * RATE) / 3).astype(np.float32) + np.sin(np.arange(3 * RATE) / 40).astype(np.float32)

    def swing(sound: np.ndarray) -> float:
        loud = np.sqrt((sound[: 3 * RATE].reshape(-1, 800) ** 2).mean(1))
        return float(loud.std() / loud.mean())

    heard = [augment.produced(tone, np.random.default_rng(seed)) for seed in range(40)]
    assert all(h.dtype == np.float32 and h.shape == tone.shape and np.isfinite(h).all() for h in heard)
    assert min(float(np.sqrt((h * h).mean())) for h in heard) > 0.01
    assert swing(tone) < 0.1
    assert 8 <= sum(swing(h) > 0.1 for h in heard) <= 32  # some are left as they are
    np.testing.assert_array_equal(heard[3], augment.produced(tone, np.random.default_rng(3)))


def test_music_is_repeatable_and_as_loud_as_it_says() -> None:
    pieces = [augment.music(3 * RATE, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(pieces[0], pieces[1])
    assert not np.array_equal(pieces[0], pieces[2])
    assert all(augment.rms(piece) == pytest.approx(1, rel=1e-3) for piece in pieces)


def test_the_onset_check_wants_the_closure_at_its_time() -> None:
    phones = [Phone("sil", 0, 0.5), Phone("b", 0.5, 0.6), Phone("aa", 0.6, 1.0)]
    clip = np.zeros(RATE, np.float32)
    right, late = (checks.onsets([clip], [phones], lambda a, s=s: _press_at(a, s)) for s in (0, 4))
    assert (right.natural, right.natural_count) == (1, 1)
    assert late.natural == 0


def _press_at(audio: np.ndarray, shift: int) -> np.ndarray:
    """Presses at 0.55 s of a clip of 1 s, and at 0.55 s of one that was cut (half a second of silence, then b)."""
    return face([round(0.55 * 30) + shift], np.zeros(-(-len(audio) * 30 // RATE), np.float32))


def test_a_sentence_is_test_or_training_for_ever() -> None:
    share = np.mean([is_test(f"sentence number {i}") for i in range(5000)])
    assert 0.02 < share < 0.06
    assert is_test("sentence number 1") == is_test("sentence number 1")


def test_syllables_repeat_with_their_seed_and_are_said_several_times() -> None:
    said = [syllables(random.Random(seed)) for seed in range(50)]
    assert said == [syllables(random.Random(seed)) for seed in range(50)]
    assert all(4 <= one.count("[[") <= 10 for one in said)
    assert all(len(set(re.findall(r"\[\[(.+?)\]\]", one))) <= 3 for one in said)


def test_blink_columns_are_where_the_contract_has_them() -> None:
    assert (INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"], JAW, PRESS) == (8, 9, 24, 35)


def test_what_the_network_says_and_what_the_rules_make_of_it_are_the_prediction() -> None:
    torch.manual_seed(0)
    model = CompactFace(CompactConfig(width=16, hidden=16, content_blocks=2, content_blocks_ahead=1)).eval()
    clip = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    np.testing.assert_allclose(composed(model, *activities(model, clip)), predict(model, clip), atol=1e-6)


def test_lips_are_labelled_as_pressed_before_the_burst_where_an_engine_starts_at_it() -> None:
    spoken = [Phone("sil", 0, 0.3), Phone("b", 0.3, 0.35), Phone("aa", 0.35, 0.6), Phone("p", 0.6, 0.7)]
    early = pressed_early("kokoro", spoken)
    assert (early[1].start, early[1].end) == (pytest.approx(0.25), 0.35)
    assert early[0].end == early[1].start
    assert early[2:] == spoken[2:]  # no pause before that p: its closure is its own
    assert pressed_early("flite-slt", spoken) == spoken


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["fit", "--corpus", "nowhere"], "nowhere is not a corpus"),
        (["evaluate", "--corpus", "nowhere"], "face.pt is not a file"),
        (["calibrate", "face.pt", "--corpus", "{speech}"], "no voice that is held back"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_error(
    speech: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    arguments = [option.format(speech=speech) for option in options]
    command = [sys.executable, "-m", "emotalk_training.cli", *arguments]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 1
    assert words in said.stdout
    assert "Traceback" not in said.stdout + said.stderr

"""Music that nobody sings: what is composed, what is played, and that a face is told to rest for it."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_training import Humming

from emotalk_training.corpus import MUSIC, utterances
from emotalk_training.dataset import Examples, prepare
from emotalk_training.instruments import DRUMS, PARTS, VOICES, Instruments, compose
from emotalk_training.make import make
from emotalk_training.sources import MissingSourceError, Spoken

pytestmark = pytest.mark.torch

BANKS = sorted(Path("/usr/share/sounds/sf2").glob("*.sf2"))


class Tones:
    """A source of pieces of one tone, which needs no player."""

    def speak(self, rng: random.Random, test: bool) -> Spoken:  # noqa: ARG002 - the protocol has it
        audio = np.sin(np.arange(16000 * 3) * rng.uniform(0.05, 0.3)).astype(np.float32) * np.float32(0.5)
        return Spoken(audio, [("sil", 0.0, 3.0)], MUSIC, f"{MUSIC}-solo", "")


@pytest.mark.parametrize("players", PARTS)
def test_a_piece_is_as_long_as_asked_and_has_no_voice(players: str) -> None:
    for seed in range(20):
        piece = compose(random.Random(seed), 10.0, players)
        messages = [message for track in piece.tracks for message in track]
        programs = {m.program for m in messages if m.type == "program_change" and m.channel != DRUMS}
        assert not programs & VOICES
        assert sum(m.type == "program_change" for m in messages) == len(PARTS[players])
        assert any(m.type == "note_on" for m in messages)
        assert 9 < piece.length < 22
        begun = sorted((m.channel, m.note) for m in messages if m.type == "note_on")
        ended = sorted((m.channel, m.note) for m in messages if m.type == "note_off")
        assert begun == ended


def test_the_same_seed_is_the_same_piece() -> None:
    first, again, other = (compose(random.Random(seed), 10.0, "band") for seed in (3, 3, 4))
    assert [list(track) for track in first.tracks] == [list(track) for track in again.tracks]
    assert [list(track) for track in first.tracks] != [list(track) for track in other.tracks]


@pytest.mark.skipif(not BANKS or shutil.which("fluidsynth") is None, reason="fluidsynth, or a bank, is not installed")
def test_a_piece_is_played(tmp_path: Path) -> None:
    minutes = make(tmp_path, MUSIC, Instruments(BANKS[0]), 0.3, seed=1)
    pieces = list(utterances(tmp_path))
    assert minutes >= 0.3
    for piece in pieces:
        audio = piece.audio()
        assert piece.engine == MUSIC
        assert [p.symbol for p in piece.phones] == ["sil"]
        assert 8 <= len(audio) / 16000 <= 20
        assert 0.4 < np.abs(audio).max() <= 0.51
        loud = (audio[: len(audio) // 1600 * 1600].reshape(-1, 1600) ** 2).mean(1) > 1e-5
        assert loud.mean() > 0.5  # plays, and is not a click and silence


def test_a_missing_bank_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match="fluid-soundfont-gm"):
        Instruments(tmp_path / "none.sf2")


def test_for_music_the_mouth_rests_and_it_is_heard_behind_speech(tmp_path: Path) -> None:
    """Crops of music have labels of rest, and rooms take pieces of it; without a corpus of music there are none."""
    make(tmp_path / "corpus", "hum", Humming(), 0.2, seed=1)
    make(tmp_path / "corpus", MUSIC, Tones(), 0.2, seed=1)
    examples = Examples(prepare([tmp_path / "corpus"], tmp_path / "cache"), seed=1)
    assert {item.engine for item in examples.items} == {"hum", MUSIC}
    examples.chances = np.array([float(item.engine == MUSIC) for item in examples.items])
    examples.chances /= examples.chances.sum()
    for _ in range(5):
        audio, labels = examples.crop()
        assert np.abs(audio).max() > 0.2
        assert not labels[:, :12].any()
        assert labels[:, 13].all()
    drawn = [examples._music() for _ in range(30)]
    assert all(abs(float(np.sqrt((m * m).mean())) - 1) < 0.05 for m in drawn)

    def tonal(piece: np.ndarray) -> bool:
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))) ** 2
        return bool(np.sort(spectrum)[-12:].sum() > 0.5 * spectrum.sum())

    assert 8 <= sum(map(tonal, drawn)) <= 28

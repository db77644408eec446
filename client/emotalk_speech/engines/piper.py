"""Piper's voices: an operator's own ``.onnx`` with its ``.onnx.json`` beside it, in any language of espeak-ng.

Phones come from the program espeak-ng and the network runs in ONNX Runtime: nothing of Piper's own code (GPL-3) is
used. The lengths of the phones are an inner tensor, where the graph has it under the name that Piper's export gives it.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from emotalk_contract.errors import VoiceNotInstalled
from emotalk_contract.quoting import quoted
from emotalk_contract.utterance import Timed
from emotalk_speech.engines import espeak
from emotalk_speech.engines.onnx import FLOAT, session, with_output
from emotalk_speech.voice import Sound

DURATIONS = "/Ceil_output_0"
"""Inner tensor: frames of each id."""
HOP = 256
"""Samples of one frame."""
PAD, START, END = "_", "^", "$"
_STRESS = frozenset("ˈˌ")


class PiperVoice:
    """WHERE is the path of the ``.onnx``."""

    def __init__(self, where: str | None = None) -> None:
        path = Path(where or "")
        described = path.with_name(path.name + ".json")
        try:
            self._settings: dict[str, Any] = json.loads(described.read_text("utf-8"))
            graph = path.read_bytes()
            self._ids: dict[str, list[int]] = self._settings["phoneme_id_map"]
            self._rate = int(self._settings["audio"]["sample_rate"])
            self._espeak = str(self._settings["espeak"]["voice"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VoiceNotInstalled(
                f"{quoted(where)} is not a voice of Piper ({type(error).__name__}: {error}); accepted: piper:FILE.onnx "
                "with FILE.onnx.json beside it"
            ) from None
        self.languages: frozenset[str] | None = frozenset({self._espeak.split("-")[0]})
        self._timed = True
        try:
            self._session = session(with_output(graph, DURATIONS, FLOAT))
        except VoiceNotInstalled:
            raise
        except Exception:  # noqa: BLE001  # whatever ONNX Runtime says of a graph without that tensor
            self._timed = False
            self._session = session(graph)

    def say(self, sentence: str, language: str, speed: float, seed: int) -> Sound:  # noqa: ARG002  # it draws by itself
        """See :class:`~emotalk_speech.voice.Voice`."""
        symbols, words = self._spelled(sentence)
        ids = [*self._ids[START], *self._ids[PAD]]
        owners = [-1] * len(ids)
        for number, symbol in enumerate(symbols):
            for one in self._ids[symbol]:
                ids += [one, *self._ids[PAD]]
                owners += [number] * (1 + len(self._ids[PAD]))
        ids += self._ids[END]
        owners += [-1] * len(self._ids[END])
        said = self._settings.get("inference", {})
        scales = [said.get("noise_scale", 0.667), said.get("length_scale", 1.0) / speed, said.get("noise_w", 0.8)]
        inputs: dict[str, Any] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        if int(self._settings.get("num_speakers", 1)) > 1:
            inputs["sid"] = np.zeros(1, np.int64)
        outputs = self._session.run(["output", DURATIONS] if self._timed else ["output"], inputs)
        audio = np.ravel(outputs[0]).astype(np.float32)
        phones = _phones(symbols, owners, np.ravel(outputs[1]), self._rate) if self._timed else []
        return Sound(audio, self._rate, _words(words, phones), tuple(timed for timed, _ in phones))

    def _spelled(self, sentence: str) -> tuple[list[str], list[tuple[str, int, int]]]:
        """Return the symbols of ``sentence``, and each word with its first symbol and the one after its last."""
        symbols: list[str] = []
        words: list[tuple[str, int, int]] = []
        for clause, mark in espeak.clauses(sentence):
            texts = clause.split()
            spelled = " ".join(espeak.phones(clause, self._espeak)).split()
            alike = len(spelled) == len(texts)
            for number, phones in enumerate(spelled):
                first = len(symbols)
                symbols += [symbol for symbol in unicodedata.normalize("NFD", phones) if symbol in self._ids]
                if alike:
                    words.append((texts[number], first, len(symbols)))
                if " " in self._ids and number + 1 < len(spelled):
                    symbols.append(" ")
            symbols += [symbol for symbol in (mark, " ") if symbol in self._ids]
        return symbols, words


def _phones(symbols: list[str], owners: list[int], frames: Any, rate: int) -> list[tuple[Timed, int]]:
    """Return the phones, each with the number of its symbol; a stress mark's time is the next vowel's."""
    ends = np.cumsum(frames) * HOP / rate
    starts = ends - frames * HOP / rate
    spans: dict[int, tuple[float, float]] = {}
    for owner, start, end in zip(owners, starts, ends, strict=True):
        if owner >= 0:
            spans[owner] = spans[owner][0] if owner in spans else float(start), float(end)
    phones: list[tuple[Timed, int]] = []
    carried: float | None = None
    for number, symbol in enumerate(symbols):
        start, end = spans[number]
        if symbol in _STRESS:
            carried = start
        elif symbol.isalpha():
            phones.append((Timed(symbol, start if carried is None else carried, end), number))
            carried = None
    return phones


def _words(words: list[tuple[str, int, int]], phones: list[tuple[Timed, int]]) -> tuple[Timed, ...]:
    said = []
    for text, first, end in words:
        own = [timed for timed, number in phones if first <= number < end]
        if own:
            said.append(Timed(text, own[0].start, own[-1].end))
    return tuple(said)

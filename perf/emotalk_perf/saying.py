"""Text in, measured: seconds to the first sound and the first frame, and closures of the lips at b, m and p.

A closure is a peak of ``mouthPressLeft`` of at least :data:`HEIGHT`, that stands out by :data:`PROMINENCE`. Recall is
the share of b, m and p (neighbours without a phone between are one) with a peak within :data:`NEAR` frames, precision
the share of peaks with one of them as near. The texts were written for this and are used for nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient, InvalidRequest, Utterance
from emotalk_client.faces.closures import Lips, contacts
from emotalk_contract.timing import FPS
from emotalk_perf.report import table

HEIGHT, PROMINENCE = 0.25, 0.08
NEAR = 2
QUIET = 0.02
"""Of a sentence's peak: what is louder is sound."""
ENGLISH = (
    "Maybe the baker will bring us some bread before breakfast. Peter keeps a map of the park in his cabin. "
    "My mother grew up beside a small harbour, and remembers every boat. Please put the paper back in the box. "
    "The number on the lamp was painted by a member of the camp. Tomorrow we climb up to the top. "
    "Nobody believed that the problem could be simple. Keep the bamboo away from the pump."
)
PERSIAN = (
    "برادرم امروز با قطار به شمال می‌رود. مادر ما نان و پنیر و سبزی می‌آورد. باران بهاری باغ را زیبا کرد. "
    "پدربزرگ من پنج سیب از بازار خرید. ما شب‌ها کتاب می‌خوانیم. مردم این شهر بسیار مهربان‌اند."
)
VOICES = (("hibari", "en", ENGLISH), ("flite", "en", ENGLISH), ("hibari", "fa", PERSIAN))
LIPS: tuple[Lips, ...] = ("network", "phones")
THREE = "Hello, my name is Bob. It is a lovely morning by the sea. Shall we take a walk before it rains?"


@dataclass(frozen=True, slots=True)
class Promptness:
    """Seconds, one of each a text."""

    first_sound: tuple[float, ...]
    first_frame: tuple[float, ...]
    all_done: tuple[float, ...]
    length_s: float
    """Of the speech."""


@dataclass(frozen=True, slots=True)
class Closures:
    """Closures of one voice."""

    voice: str
    language: str
    closures: int
    """b, m and p in the text."""
    peaks: int
    recall: float
    precision: float
    lips: Lips = "network"
    onset_s: float = 0.0
    """Median of the seconds between a sentence's first sound and its first phone's time."""


def promptness(url: str, texts: int) -> Promptness:
    """Say :data:`THREE` ``texts`` times, after once to warm up, each with a word more so that nothing can be kept."""
    sounds, frames, ends = [], [], []
    length = 0.0
    with EmoTalkClient(url) as client:
        for number in range(-1, texts):
            began = time.perf_counter()
            sound = frame = None
            length = 0.0
            for part in client.say_stream(f"Number {max(number, 0)}. {THREE}"):
                now = time.perf_counter() - began
                if part.sentence is not None:
                    sound = now if sound is None else sound
                    length += part.sentence.duration_s
                if part.frames:
                    frame = now if frame is None else frame
            if number >= 0 and sound is not None and frame is not None:
                sounds.append(sound)
                frames.append(frame)
                ends.append(time.perf_counter() - began)
    return Promptness(tuple(sounds), tuple(frames), tuple(ends), length)


def closures(url: str, tell: Callable[[str], None]) -> list[Closures]:
    """Measure every voice of :data:`VOICES` that the server has."""
    found = []
    with EmoTalkClient(url) as client:
        for voice, language, text in VOICES:
            for lips in LIPS:
                try:
                    said = client.say(text, voice=voice, language=language, lips=lips)
                except InvalidRequest as error:
                    tell(f"{voice} ({language}) is left out: {error}")
                    break
                times = contacts(said.phones)
                found.append(
                    replace(
                        judged(voice, language, times, closing(said.animation.channel("mouthPressLeft"))),
                        lips=lips,
                        onset_s=float(np.median([onset(sentence) for sentence in said.sentences])),
                    )
                )
    return found


def onset(sentence: Utterance) -> float:
    """Return the seconds between the first sound of ``sentence``, louder than :data:`QUIET`, and its first phone."""
    loud = np.abs(sentence.audio.astype(np.float32))
    first = int(np.argmax(loud > QUIET * loud.max())) / sentence.sample_rate
    return abs(sentence.phones[0].start - sentence.start_s - first)


def closing(press: NDArray[np.float32]) -> list[int]:
    """Return the frames of the peaks of ``press`` [F] that are high enough and stand out enough."""
    peaks = []
    for index in _tops(press):
        height = press[index]
        bases = []
        for side in (press[:index][::-1], press[index + 1 :]):
            higher = np.flatnonzero(side > height)
            bases.append(float(side[: higher[0] if len(higher) else len(side)].min(initial=float(height))))
        if height >= HEIGHT and height - max(bases) >= PROMINENCE:
            peaks.append(index)
    return peaks


def _tops(values: NDArray[np.float32]) -> Iterable[int]:
    """Yield the middles of what is higher than its two neighbours, level tops included."""
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    starts = np.flatnonzero(np.diff(padded) != 0)  # of runs of one value; the first is the padding's
    for start, end in pairwise(starts):
        if padded[start] < padded[start + 1] > padded[end + 1]:
            yield (int(start) + int(end) - 1) // 2


def judged(voice: str, language: str, times: Sequence[tuple[float, float]], peaks: Sequence[int]) -> Closures:
    """Return how well ``peaks`` (frames) and ``times`` (seconds) agree."""
    near = np.array([[start * FPS - NEAR <= peak <= end * FPS + NEAR for peak in peaks] for start, end in times], bool)
    near = near.reshape(len(times), len(peaks))
    recall = float(near.any(axis=1).mean()) if len(times) else 1.0
    precision = float(near.any(axis=0).mean()) if len(peaks) else 1.0
    return Closures(voice, language, len(times), len(peaks), recall, precision)


def report(prompt: Promptness, found: Sequence[Closures]) -> str:
    """Return both tables as Markdown."""
    rows = [
        (name, *(f"{1000 * np.percentile(values, at):.0f} ms" for at in (50, 95, 100)))
        for name, values in (
            ("first sound", prompt.first_sound),
            ("first frame", prompt.first_frame),
            (f"everything, {prompt.length_s:.1f} s of speech", prompt.all_done),
        )
    ]
    lips = [
        (
            item.voice,
            item.language,
            item.lips,
            str(item.closures),
            str(item.peaks),
            f"{item.recall:.2f}",
            f"{item.precision:.2f}",
            f"{1000 * item.onset_s:.0f} ms",
        )
        for item in found
    ]
    return "\n\n".join(
        (
            table((f"{len(prompt.first_sound)} texts of four sentences", "median", "p95", "most"), rows),
            table(("voice", "language", "lips by", "closures", "peaks", "recall", "precision", "onset"), lips),
        )
    )

"""Timecodes ``HH:MM:SS:FF.mmm``: how we write them, and what those of others mean.

Rule that this module guards: **FF.mmm are 60ths of a second**, whatever the frame rate. Recordings of the Live Link
Face app count so, and the importers for Unreal read so: one always, another if any frame number of a file is beyond 30
(else it takes 30ths). Rows of any rate therefore carry fractions of a 60th.

Theory of reading. FF alone does not tell its unit: 60ths, 30ths, the frames of the file's own rate (as this project
wrote them once), milliseconds. Where one second ends and the next begins, the usual step shows how many there are; in
files too short for that, frame numbers and steps decide. After a ``;`` the count is drop-frame (SMPTE ST 12-1), in
which the first two numbers of a minute at 30 (four at 60) are left out, but for every tenth minute. A time that goes
back by half a day or more has passed midnight.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats.faults import Fault, shortened

PER_SECOND = 60
"""Frame numbers of a second in files that we write."""
TICKS = 1000 * PER_SECOND
"""Ticks: units of the last digit, per second."""
DAY = 86_400
"""Seconds."""
NTSC = 1000 / 1001
"""Nominal seconds of a drop-frame clock per second."""

COUNTS = (24, 25, 30, 48, 50, 60, 100, 120, 240)
"""Frame numbers of a second in clocks that are known."""
MILLISECONDS = 1000
GUESSED = 30
"""Frame numbers of a second for importers that see none beyond it."""

_FRAMES = re.compile(r"(\d{1,2})[:;](\d{1,2})[:;](\d{1,2})([:;])(\d{1,4})(?:[.,](\d{1,9}))?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?", re.ASCII)
_SECONDS = re.compile(r"[+-]?\d{1,12}(?:[.,](\d{0,20}))?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_ACCEPTED = "accepted: HH:MM:SS:FF.mmm, HH:MM:SS.mmm or seconds"


def written(seconds: NDArray[np.float64]) -> list[str]:
    """A timecode for each of ``seconds`` [F], as a time of day."""
    ticks = _unmistakable(np.round(np.asarray(seconds) * TICKS).astype(np.int64))
    return [_text(int(tick) % (DAY * TICKS)) for tick in ticks]


def _text(ticks: int) -> str:
    total, rest = divmod(ticks, TICKS)
    return f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _unmistakable(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """``ticks`` [F], one of them a 60 000th of a second earlier where a reader could take 60ths for 30ths.

    Two rows a second never count beyond 30: a row at the begin of a second is written as the end of the one before.
    Less than half a second at 60 fps looks like frames of 30: a fraction shows that it is not.
    """
    frames = ticks % TICKS
    if len(ticks) < 2 or frames.max() > GUESSED * 1000 + 999:
        return ticks
    begins = np.flatnonzero((frames == 0) & (np.arange(len(ticks)) > 0))
    if frames.any() and len(begins):
        chosen = begins[0]
    elif (ticks // TICKS == ticks[0] // TICKS).all() and (np.diff(ticks) == 1000).all():
        chosen = len(ticks) - 1
    else:
        return ticks
    changed = ticks.copy()
    changed[chosen] -= 1
    return changed


@dataclass(frozen=True, slots=True)
class Moments:
    """When the rows of a file are."""

    seconds: NDArray[np.float64]
    """[F]; after midnight they go on beyond 24 hours."""
    resolution: float
    """Seconds between two moments that the file can tell apart."""


def moments(texts: Sequence[str], fps: float | None = None, first: int = 1) -> Moments:
    """Read the timecodes ``texts``, which stand in the rows from ``first`` on.

    ``fps`` helps where a short file leaves the unit of its frame numbers open.

    Raises:
        Fault: one of them is not a timecode, or they are of several kinds.
    """
    if not texts:
        return Moments(np.zeros(0), 1.0)
    kind = next((kind for kind in _KINDS if kind.fullmatch(texts[0].strip())), None)
    if kind is None:
        raise Fault(f"row {first} has the timecode {shortened(texts[0])}; {_ACCEPTED}")
    matches = []
    for number, text in enumerate(texts, first):
        match = kind.fullmatch(text.strip())
        if match is None:
            others = f"; that of row {first} is {shortened(texts[0])}"
            raise Fault(f"row {number} has the timecode {shortened(text)}{others}; {_ACCEPTED}")
        if kind is not _SECONDS and (int(match[2]) > 59 or int(match[3]) > 59):
            raise Fault(f"row {number} has the timecode {shortened(text)}; accepted: minutes and seconds up to 59")
        matches.append(match)
    return _KINDS[kind](matches, fps, first)


def _plain(matches: Sequence[re.Match[str]], _: float | None, _first: int) -> Moments:
    digits = max(len(match[1] or "") for match in matches)
    seconds = np.array([float(match[0].replace(",", ".")) for match in matches])
    return Moments(seconds, 10.0**-digits if digits <= 6 else 1e-7)


def _clock(matches: Sequence[re.Match[str]], _: float | None, _first: int) -> Moments:
    digits = max(len(match[4] or "") for match in matches)
    fractions = np.array([float(f"0.{match[4] or 0}") for match in matches])
    return Moments(_past_midnight(_whole(matches) + fractions, DAY), 10.0**-digits)


def _counted(matches: Sequence[re.Match[str]], fps: float | None, first: int) -> Moments:
    if len({match[4] for match in matches}) > 1:
        raise Fault("its timecodes are partly drop-frame (;) and partly not (:)")
    whole = _whole(matches)
    numbers = np.array([int(match[5]) for match in matches])
    fractions = np.array([float(f"0.{match[6] or 0}") for match in matches])
    padded = any(len(match[5]) > 2 and int(match[5]) < 100 for match in matches)
    drop = matches[0][4] == ";"
    clock = _Clock(whole, numbers, fractions, padded, drop)
    count = clock.count(fps)
    if numbers.max() >= count:
        row = int(np.argmax(numbers))
        raise Fault(f"row {row + first} has the frame number {numbers[row]}; accepted: less than {count}")
    fine = len(set(fractions.tolist())) > 1
    resolution = (1e-3 if fine else 1.0) / count
    if drop:
        return Moments(_without_dropped(whole, numbers + fractions, count), resolution)
    seconds = _past_midnight(whole + (numbers + fractions) / count, DAY)
    if fps is not None and clock.every_frame and math.ceil(fps - 1e-6) == count:
        seconds *= count / fps  # non-drop timecode: a second of 24 frames at 23.976 is a little longer
    return Moments(seconds, resolution)


def _whole(matches: Sequence[re.Match[str]]) -> NDArray[np.int64]:
    return np.array([(int(match[1]) * 60 + int(match[2])) * 60 + int(match[3]) for match in matches], np.int64)


def _without_dropped(whole: NDArray[np.int64], frames: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Seconds of drop-frame timecodes."""
    if count not in (30, 60):
        raise Fault(f"its timecodes are drop-frame, but count {count} frames a second; accepted: 30 or 60")
    minutes = whole // 60
    counted = whole * count + frames - (minutes - minutes // 10) * (count // 15)
    day = DAY * count - (1440 - 144) * (count // 15)
    return _past_midnight(counted, day) / (count * NTSC)


def _past_midnight(moments: NDArray[np.float64], day: float) -> NDArray[np.float64]:
    """``moments`` [F], with a ``day`` added whenever they go back by half of one or more."""
    return moments + day * np.cumsum(np.diff(moments, prepend=moments[0]) <= -day / 2)


@dataclass(frozen=True, slots=True)
class _Clock:
    """The frame numbers of a file, and their unit."""

    whole: NDArray[np.int64]
    """[F] seconds."""
    numbers: NDArray[np.int64]
    """[F] whole frames of the second."""
    fractions: NDArray[np.float64]
    padded: bool
    """Some number below 100 has three digits: they are milliseconds."""
    drop: bool
    """A minute does not begin with 0."""

    @property
    def frames(self) -> NDArray[np.float64]:
        return self.numbers + self.fractions

    @property
    def step(self) -> float | None:
        """The usual step within a second; None if no second holds two rows."""
        steps = np.diff(self.frames)[(np.diff(self.whole) == 0) & (np.diff(self.frames) > 0)]
        return float(np.median(steps)) if len(steps) else None

    @property
    def every_frame(self) -> bool:
        """Each row counts one on: the numbers are those of the file's own frames (or it is of 60 fps)."""
        step = self.step
        return step is not None and abs(step - 1) < 1e-4 and len(set(self.fractions.tolist())) == 1

    def count(self, fps: float | None) -> int:
        """Return how many frame numbers a second has."""
        last, step = int(self.numbers.max()), self.step
        if self.padded or last >= max(COUNTS):
            return MILLISECONDS
        if step is None:
            return _at_least(max(last + 1, PER_SECOND))
        turns = (np.diff(self.whole) == 1) & ~(self.drop & (self.whole[1:] % 60 == 0))
        if turns.any():
            return self._seen((self.frames[:-1] + step - self.frames[1:])[turns], step, last)
        if fps is not None:
            for count in (PER_SECOND, GUESSED, math.ceil(fps - 1e-6), *COUNTS, MILLISECONDS):
                if count > last and abs(step * fps / count - 1) < 0.02:
                    return count
        if last >= PER_SECOND:
            return MILLISECONDS if step >= 3 else _at_least(last + 1)
        return GUESSED if self.every_frame and last < GUESSED else PER_SECOND

    def _seen(self, lengths: NDArray[np.float64], step: float, last: int) -> int:
        """Return how many frame numbers a second has, by its ``lengths`` as each turn of a second tells them.

        A row that is missing at a turn makes it too short.
        """
        told = float(np.median(lengths))
        if told > max(COUNTS) + step:
            return MILLISECONDS
        near = min(COUNTS, key=lambda count: abs(count - told))
        if near > last and abs(near - told) <= min(0.5, step / 4):
            return near
        if self.every_frame and told > last:  # any rate that this project may have written
            another = _at_least(math.ceil(told))
            alone = len(lengths) == 1 and another - told <= 3
            return another if alone else round(told)
        return _at_least(max(math.ceil(told - step / 2), last + 1))


def _at_least(count: int) -> int:
    """The least of :data:`COUNTS` that is not below ``count``."""
    return next((known for known in COUNTS if known >= count), MILLISECONDS)


_KINDS = {_FRAMES: _counted, _CLOCK: _clock, _SECONDS: _plain}

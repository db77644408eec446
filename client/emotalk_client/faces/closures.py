"""Closures of the lips where phones say that there are some, over the face that a network made of the sound.

Theory of operation. Whoever spoke a text knows when its b, m and p are said; a network that hears them is right most of
the time. Within such a phone the lips press, and what parts them goes, by a raised cosine in time; elsewhere the face
is the network's. A change in a frame depends on that frame and on the phones only, so that a stream gets what a whole
clip gets. Blinks, brows and gaze are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import lips
from emotalk_contract.arkit import INDEX
from emotalk_contract.errors import InvalidOption
from emotalk_contract.quoting import quoted
from emotalk_contract.utterance import Timed

Lips = Literal["auto", "network", "phones"]
"""Whom the lips follow where they close: the phones, where the voice tells them (auto), or one of the two."""

BILABIALS = frozenset("bmp")
"""Phones that close the lips (IPA 2020, the column of bilabials, as far as English and Persian have it)."""
PRESSED = 0.6
"""Least weight of ``mouthPress`` in the middle of a closure."""
CLOSED_JAW = 0.1
"""Most weight of ``jawOpen`` there: the bundled model's own closures have as much."""
RAMP_S = 0.06
"""Seconds of a closure's way in, and of its way out: two frames, as fast as lips are."""
CORE_S = 0.034
"""Least seconds that it is whole: a frame at 30 a second falls into it."""

_PRESS = [INDEX["mouthPressLeft"], INDEX["mouthPressRight"]]
_JAW = INDEX["jawOpen"]
_PARTING = [column for column in lips.OPENING if column != _JAW]


def check_lips(value: object) -> None:
    """Raise :class:`InvalidOption` where ``value`` is not of :data:`Lips`."""
    if value not in get_args(Lips):
        raise InvalidOption(f"lips is {quoted(value)}; accepted: {', '.join(get_args(Lips))}")


def touching(phones: Sequence[Timed], lips: Lips) -> list[tuple[float, float]]:
    """Return the :func:`contacts` of ``phones`` that ``lips`` follow.

    Raises:
        InvalidOption: they are to follow phones, and the voice tells none.
    """
    if lips == "phones" and not phones:
        raise InvalidOption("lips is 'phones', and this voice tells no phones; accepted with it: auto, network")
    return [] if lips == "network" else contacts(phones)


def contacts(phones: Sequence[Timed]) -> list[tuple[float, float]]:
    """Return when the lips touch: start and end in seconds of each b, m or p, neighbours as one."""
    times: list[tuple[float, float]] = []
    before = False
    for phone in phones:
        closed = phone.text[:1] in BILABIALS  # what follows marks how it is said
        if closed and before:
            times[-1] = times[-1][0], phone.end
        elif closed:
            times.append((phone.start, phone.end))
        before = closed
    return times


def closed(
    weights: NDArray[np.float32], timecodes: NDArray[np.float64], times: Sequence[tuple[float, float]]
) -> NDArray[np.float32]:
    """Return ``weights`` [F, 52] at ``timecodes`` [F] seconds with the lips closed at ``times`` (start and end in
    seconds), in a new array.
    """
    amount = _amount(timecodes, times)
    out = weights.copy()
    out[:, _PRESS] = np.maximum(out[:, _PRESS], (PRESSED * amount)[:, None])
    out[:, _PARTING] *= (1 - amount)[:, None]
    out[:, _JAW] += (np.minimum(out[:, _JAW], CLOSED_JAW) - out[:, _JAW]) * amount
    return out


def _amount(timecodes: NDArray[np.float64], times: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    """[F]: 1 in the middle of a closure, 0 away from all."""
    amount = np.zeros(len(timecodes), np.float32)
    for start, end in times:
        middle, half = (start + end) / 2, max(CORE_S, end - start - RAMP_S) / 2
        first, last = np.searchsorted(timecodes, [middle - half - RAMP_S, middle + half + RAMP_S])
        away = np.clip((np.abs(timecodes[first:last] - middle) - half) / RAMP_S, 0, 1)
        amount[first:last] = np.maximum(amount[first:last], 0.5 * (1 + np.cos(np.pi * away)))
    return amount

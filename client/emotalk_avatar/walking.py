"""The order in which a clip's frames are seen, without a jump."""

from __future__ import annotations


def walked(number: int, count: int) -> int:
    """Return which of ``count`` frames is seen as number ``number`` (0, 1, ...): to and fro, each end once."""
    if count == 1:
        return 0
    place = number % (2 * count - 2)
    return place if place < count else 2 * count - 2 - place

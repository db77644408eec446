"""A face that can be made to speak, or a refusal in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emotalk_avatar.face import Face, Picture


@dataclass(frozen=True, slots=True)
class Quality:
    """The measures of a face, and what may be better."""

    warnings: tuple[str, ...]
    """In words, for the person; () for a good one."""
    measures: Mapping[str, float]
    """By name; :mod:`emotalk_avatar.quality` says how each is measured."""


def judge(picture: Picture, face: Face) -> Quality:
    """Measure ``face`` in ``picture``.

    Raises:
        PoorPicture: it cannot be made to speak; its message says what was measured, what is accepted, what to do.
    """
    raise NotImplementedError

"""Names of blendshapes as people spell them.

Compared without case, prefix and separators: ``EyeBlinkLeft``, ``blendShapes.EyeBlinkLeft``, ``eye_blink_left`` and
``eyeBlink_L`` are all ``eyeBlinkLeft``.
"""

from __future__ import annotations

import re

_SIDES = {"l": "left", "r": "right"}


def key(name: str) -> str:
    """``name`` without case, prefix and separators."""
    last = name.strip().rpartition(".")[2]
    last = re.sub(r"[_\- ]([lrLR])$", lambda side: _SIDES[side[1].lower()], last)
    return re.sub(r"[_\- ]", "", last).casefold()

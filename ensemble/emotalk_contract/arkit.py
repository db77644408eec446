"""The 52 ARKit blendshapes: their names and the orders in which formats list them.

Rule that this module guards: **names decide, never positions.** Every weight matrix of this project has its columns
in :data:`BLENDSHAPES` order; whoever writes another order asks :func:`columns` for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

BLENDSHAPES: tuple[str, ...] = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""EmoTalk order: the 52 names sorted as plain ASCII. Column i of every weight matrix here is ``BLENDSHAPES[i]``."""

BLENDSHAPE_COUNT = len(BLENDSHAPES)

INDEX: dict[str, int] = {name: i for i, name in enumerate(BLENDSHAPES)}
"""Name to column in EmoTalk order."""

APPLE_ORDER: tuple[str, ...] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight",
    "eyeWideRight",
    "jawForward", "jawLeft", "jawRight", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""Apple's order, which Live Link's network packets and Audio2Face files share."""

HEAD_AND_EYE_ROTATIONS: tuple[str, ...] = (
    "headYaw", "headPitch", "headRoll",
    "leftEyeYaw", "leftEyePitch", "leftEyeRoll",
    "rightEyeYaw", "rightEyePitch", "rightEyeRoll",
)  # fmt: skip
"""The nine columns that Live Link appends to the 52 weights (always 0 here: EmoTalk moves no head)."""


def _swapped(names: Sequence[str], *pairs: tuple[str, str]) -> tuple[str, ...]:
    swap = dict(pairs) | {b: a for a, b in pairs}
    return tuple(swap.get(name, name) for name in names)


LIVE_LINK_CSV_ORDER: tuple[str, ...] = _swapped(APPLE_ORDER, ("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"))
"""The order of Live Link Face's CSV recordings: Apple's, but right before left for the jaw and the mouth."""


def columns(order: Iterable[str]) -> list[int]:
    """Return the columns that put a matrix in EmoTalk order into ``order``: ``weights[:, columns(APPLE_ORDER)]``."""
    return [INDEX[name] for name in order]

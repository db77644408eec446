"""Emotions by name: facial action units added to a speaking face.

Rule that this module guards: **an emotion never breaks speech.** It opens the lips only where speech has opened them,
presses them only where speech has not, and widens no eye that blinks. What is added to a frame depends on that frame
alone, so a window of a clip gets what the whole clip gets.

Theory of operation. An emotion is a set of FACS action units with intensities 0..1 (Ekman, Friesen & Hager, Facial
Action Coding System, 2002; each :class:`Emotion` names its source). An action unit moves the ARKit blendshapes that
Apple's documentation describes alike (ARFaceAnchor.BlendShapeLocation; the pairing is also Melinda Ozel's, "ARKit to
FACS"). The sum is added to the weights: ``w[n] += sum_e amount_e * offset_e[n] * gate[n]``, with gates from the weights
themselves and from how far :mod:`~emotalk_contract.lips` says that they part the lips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import lips
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX
from emotalk_contract.checking import is_number
from emotalk_contract.errors import EmotionOutOfRange, UnknownEmotion
from emotalk_contract.quoting import quoted


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One of FACS' units, and the blendshapes that show it."""

    name: str
    left: tuple[str, ...]
    """Of the face's left half, or of both."""
    right: tuple[str, ...] = ()
    """Of the right half; none: the unit has no sides."""


def _both(*names: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(f"{name}Left" for name in names), tuple(f"{name}Right" for name in names)


ACTION_UNITS: dict[int, ActionUnit] = {
    1: ActionUnit("inner brow raiser", ("browInnerUp",)),
    2: ActionUnit("outer brow raiser", *_both("browOuterUp")),
    4: ActionUnit("brow lowerer", *_both("browDown")),
    5: ActionUnit("upper lid raiser", *_both("eyeWide")),
    6: ActionUnit("cheek raiser", *_both("cheekSquint")),
    7: ActionUnit("lid tightener", *_both("eyeSquint")),
    9: ActionUnit("nose wrinkler", *_both("noseSneer")),
    10: ActionUnit("upper lip raiser", *_both("mouthUpperUp")),
    12: ActionUnit("lip corner puller", *_both("mouthSmile")),
    14: ActionUnit("dimpler", *_both("mouthDimple")),
    15: ActionUnit("lip corner depressor", *_both("mouthFrown")),
    16: ActionUnit("lower lip depressor", *_both("mouthLowerDown")),
    17: ActionUnit("chin raiser", ("mouthShrugLower",)),
    20: ActionUnit("lip stretcher", *_both("mouthStretch")),
    24: ActionUnit("lip pressor", *_both("mouthPress")),
    26: ActionUnit("jaw drop", ("jawOpen",)),
    43: ActionUnit("eye closure", *_both("eyeBlink")),
}
"""By FACS number."""


@dataclass(frozen=True, slots=True)
class Emotion:
    """The units that show an emotion, their intensities at 1, and the source."""

    units: Mapping[int, float | tuple[float, float]]
    """FACS number to intensity 0..1 (the intensities are ours); two numbers: left and right."""
    source: str


_FACS = "FACS 2002, Investigator's Guide: the prototype"

EMOTIONS: dict[str, Emotion] = {
    "amazement": Emotion({1: 0.8, 2: 0.7, 5: 0.6, 26: 0.35}, f"{_FACS} of surprise, 1+2+5+26"),
    "anger": Emotion({4: 0.9, 5: 0.3, 7: 0.5, 17: 0.2, 24: 0.5}, f"{_FACS} of anger, 4+5+7+17+24"),
    "cheekiness": Emotion(
        {2: (0.0, 0.5), 6: (0.45, 0.15), 7: (0.35, 0.0), 12: (0.7, 0.25), 14: (0.35, 0.0)},
        "ours: FACS has no prototype; a smile of one side (12, 14) and a raised brow of the other (2)",
    ),
    "disgust": Emotion({9: 0.8, 10: 0.4, 17: 0.4}, f"{_FACS} of disgust, 9+17 and 10+17"),
    "fear": Emotion({1: 0.8, 2: 0.4, 4: 0.45, 5: 0.6, 20: 0.5, 26: 0.25}, f"{_FACS} of fear, 1+2+4+5+20+26"),
    "grief": Emotion(
        {1: 0.95, 4: 0.55, 6: 0.3, 15: 0.75, 17: 0.45, 43: 0.25},
        'Darwin, The Expression of the Emotions (1872), ch. VII, the "grief muscles" (1+4, 15), over sadness',
    ),
    "joy": Emotion({6: 0.6, 12: 0.75}, f"{_FACS} of happiness, 6+12"),
    "outofbreath": Emotion(
        {1: 0.35, 10: 0.15, 16: 0.3, 20: 0.15, 26: 0.35, 43: 0.2},
        "ours: FACS has no prototype; lips apart and jaw dropped (16, 26), heavy lids (43)",
    ),
    "pain": Emotion(
        {4: 0.7, 6: 0.6, 7: 0.5, 9: 0.5, 10: 0.35, 43: 0.45},
        "Prkachin & Solomon, Pain 139 (2008) 267: 4, 6 or 7, 9 or 10, 43",
    ),
    "sadness": Emotion({1: 0.7, 4: 0.35, 15: 0.5, 17: 0.25}, f"{_FACS} of sadness, 1+4+15, with 17"),
}
"""The ten that Audio2Face knows, by name."""

OPEN_MM = 5.0
"""From this gap on an emotion opens the mouth, and does not press the lips, as much as it would by itself."""
PRESSED = 0.3
"""From this mean weight of ``mouthPress`` on the lips count as closed, whatever the gap: not every rig's overlap."""

_PRESS = [INDEX["mouthPressLeft"], INDEX["mouthPressRight"]]
_WIDE = [INDEX["eyeWideLeft"], INDEX["eyeWideRight"]]
_LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]


def offsets(emotion: str) -> dict[str, float]:
    """Return blendshape to what ``emotion`` at 1 adds to it, before the gates; KeyError if it is not an emotion."""
    out: dict[str, float] = {}
    for number, intensity in EMOTIONS[emotion].units.items():
        unit = ACTION_UNITS[number]
        left, right = intensity if isinstance(intensity, tuple) else (intensity, intensity)
        out |= {name: left for name in unit.left if left} | {name: right for name in unit.right if right}
    return out


def check_amounts(option: str, amounts: Mapping[str, float]) -> None:
    """Check ``amounts`` (emotion to 0..1) of an option.

    Raises:
        UnknownEmotion: a name that is none of the ten.
        EmotionOutOfRange: an amount outside 0..1.
    """
    for name, amount in amounts.items():
        if name not in EMOTIONS:
            raise UnknownEmotion(f"{option} names {quoted(name)}; accepted: {', '.join(EMOTIONS)}")
        if not is_number(amount) or not 0 <= amount <= 1:  # NaN fails too
            raise EmotionOutOfRange(f"{option}[{name!r}] is {quoted(amount)}; accepted: 0..1")


def amounts_row(amounts: Mapping[str, float]) -> NDArray[np.float64]:
    """Return ``amounts`` (emotion to 0..1) as [10], in the order of :data:`EMOTIONS`."""
    return np.array([amounts.get(name, 0.0) for name in EMOTIONS], np.float64)


def added(
    weights: NDArray[np.float32], amounts: NDArray[np.float64], strengths: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return ``weights`` [F, 52] of a speaking face with emotions added, in a new array; not clamped.

    Args:
        weights: of speech, as they are seen.
        amounts: of the ten emotions, [F, 10] or [1, 10].
        strengths: factors of what each blendshape gets, [52]; None: 1.
    """
    wanted = np.zeros((len(amounts), BLENDSHAPE_COUNT), np.float32)
    for number, emotion in enumerate(EMOTIONS):
        amount = amounts[:, number]
        if amount.any():
            for name, offset in offsets(emotion).items():
                wanted[:, INDEX[name]] += (amount * offset).astype(np.float32)
    if strengths is not None:
        wanted *= strengths
    gate = np.ones_like(weights)
    opened = lips_apart(weights)
    gate[:, lips.OPENING] = opened[:, None]
    gate[:, lips.CLOSING] = 1 - opened[:, None]
    gate[:, _WIDE] = 1 - np.clip(weights[:, _LIDS], 0, 1)
    together: NDArray[np.float32] = weights + wanted * gate
    return together


def lips_apart(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the opening of the lips by speech in each frame, [F]: 0 where they meet, 1 from :data:`OPEN_MM` on."""
    gap = np.clip(lips.gap_mm(weights) / OPEN_MM, 0, 1)
    pressed = np.clip(weights[:, _PRESS].mean(axis=1) / PRESSED, 0, 1)
    apart: NDArray[np.float32] = gap * gap * (3 - 2 * gap) * (1 - pressed)
    return apart.astype(np.float32)

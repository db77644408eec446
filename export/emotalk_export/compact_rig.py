"""From articulators to ARKit: the fixed, documented last step of the bundled face model.

Rule that this module guards: **the lips are composed, never averaged.** The network says how much each articulator
does (jaw, rounding, spreading, a closure, …); how articulators combine into the 52 weights is written down here, once,
and is shared by the graph (:mod:`emotalk_export.compact`) and by the rules that label its training speech.

The split into a jaw and a lip axis, and speaking styles as positions in that plane, follow the idea of JALI (Edwards,
Landreth, Fiume & Singh, "JALI: an animator-centric viseme model for expressive lip synchronization", 2016); the
numbers are this project's own.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

MouthGesture: TypeAlias = Literal["jaw", "pucker", "funnel", "spread", "drop", "tongue", "closure", "labiodental"]
MOUTH: tuple[str, ...] = (
    "jaw", "pucker", "funnel", "spread", "drop", "tongue", "closure", "labiodental",
)  # fmt: skip
"""Movements of the mouth, each 0..1: jaw opening; lips pushed forward (pucker) or opened round (funnel); mouth corners
apart; lower lip lowered; tongue tip out; lips pressed together (p b m); lower lip to the upper teeth (f v)."""

UPPER: tuple[str, ...] = ("prominence", "pitch", "effort")
"""Qualities of the voice, each 0..1: a stressed, loud syllable; high pitch for the speaker; a low, loud voice."""

STYLE: tuple[str, ...] = ("smile", "skewLeft", "skewRight")
"""Additions of a speaking style: raised corners, and a pull of the speaking mouth to one side."""

COMPOSED: tuple[str, ...] = (*MOUTH, *UPPER, *STYLE, "cheek", "sneer")
"""Columns of the linear map to the 52 weights; ``cheek`` and ``sneer`` follow the mouth but belong to the upper face,
so that ``level`` scales them."""

CLOSED_JAW = 0.07
"""jawOpen while the lips are pressed together: the teeth stay a little apart behind closed lips."""
LABIODENTAL_JAW = 0.11
"""The most that the jaw may open while the lower lip touches the upper teeth."""

_RIG: dict[str, dict[str, float]] = {
    "jawOpen": {"jaw": 1.0},
    "jawForward": {"funnel": 0.10},
    # Apple's mouthClose is the closing of the lips independent of the jaw: lips touch where it equals jawOpen.
    "mouthClose": {"closure": 0.07, "labiodental": 0.02},
    "mouthPress": {"closure": 0.50},
    "mouthRollLower": {"closure": 0.30, "labiodental": 0.45},
    "mouthRollUpper": {"closure": 0.25},
    "mouthShrugLower": {"closure": 0.12, "labiodental": 0.15},
    "mouthShrugUpper": {"closure": 0.08, "funnel": 0.06},
    "mouthPucker": {"pucker": 1.0},
    "mouthFunnel": {"funnel": 1.0},
    "mouthSmile": {"spread": 0.35, "smile": 1.0},
    "mouthStretch": {"spread": 0.45},
    "mouthDimple": {"spread": 0.15, "smile": 0.25},
    "mouthLowerDown": {"drop": 0.90},
    "mouthUpperUp": {"drop": 0.45, "labiodental": 0.28},
    "mouthLeft": {"skewLeft": 0.8},
    "mouthRight": {"skewRight": 0.8},
    "mouthSmileLeft": {"skewLeft": 0.5},
    "mouthSmileRight": {"skewRight": 0.5},
    "tongueOut": {"tongue": 0.5},
    "noseSneer": {"sneer": 1.0},
    "cheekSquint": {"cheek": 1.0, "prominence": 0.10, "effort": 0.10},
    "browInnerUp": {"prominence": 1.0, "pitch": 0.15},
    "browOuterUp": {"prominence": 0.60, "pitch": 0.35},
    "browDown": {"effort": 0.35},
    "eyeWide": {"prominence": 0.15, "pitch": 0.20},
    "eyeSquint": {"effort": 0.25},
}  # fmt: skip
"""Weight = sum of coefficient times articulator. A name without a side stands for both."""


def rig_matrix() -> NDArray[np.float32]:
    """The linear map ``weights = composed @ rig_matrix().T``.

    Returns:
        float32 [52, 16], rows in EmoTalk order, columns in :data:`COMPOSED` order.
    """
    matrix = np.zeros((BLENDSHAPE_COUNT, len(COMPOSED)), np.float32)
    for name, mix in _RIG.items():
        for row in [name] if name in INDEX else [f"{name}Left", f"{name}Right"]:
            for articulator, coefficient in mix.items():
                matrix[INDEX[row], COMPOSED.index(articulator)] += coefficient
    return matrix


@dataclass(frozen=True, slots=True)
class SpeakingStyle:
    """One person: a place in the jaw-lip plane, and some habits. Closures close fully in every style."""

    jaw: float = 1.0
    """Gain of the jaw and of the lower lip's lowering: 0.5 speaks through the teeth, 1.35 articulates wide."""
    lips: float = 1.0
    """Gain of pucker and funnel."""
    spread: float = 1.0
    """Gain of the corners' spreading."""
    smile: float = 0.0
    """mouthSmile added while speaking."""
    skew: float = 0.0
    """Pull to one side while speaking: positive is the speaker's left."""
    brow: float = 1.0
    """Gain of the upper face."""


STYLES: tuple[SpeakingStyle, ...] = (
    SpeakingStyle(),                                                     # 0 natural
    SpeakingStyle(jaw=0.50, lips=0.50, spread=0.60, brow=0.6),           # 1 mumbles: both axes low
    SpeakingStyle(jaw=0.50, lips=1.00),                                  # 2 teeth together
    SpeakingStyle(jaw=0.50, lips=1.35, spread=1.20),                     # 3 speaks with the lips alone
    SpeakingStyle(jaw=1.00, lips=0.50, spread=0.70),                     # 4 lax lips
    SpeakingStyle(jaw=1.00, lips=1.35, spread=1.20),                     # 5 careful lips
    SpeakingStyle(jaw=1.35, lips=0.50, spread=0.70),                     # 6 jaw alone, as in a shout
    SpeakingStyle(jaw=1.35, lips=1.00),                                  # 7 open
    SpeakingStyle(jaw=1.35, lips=1.35, spread=1.25, brow=1.3),           # 8 over-articulates: both axes high
    SpeakingStyle(jaw=0.75, lips=0.75, spread=0.80, brow=0.8),           # 9 casual
    SpeakingStyle(jaw=0.75, lips=1.20),                                  # 10 reserved, precise lips
    SpeakingStyle(jaw=1.20, lips=0.75),                                  # 11 relaxed, open
    SpeakingStyle(smile=0.18),                                           # 12 natural, smiling
    SpeakingStyle(jaw=0.75, lips=0.80, smile=0.25, brow=1.2),            # 13 casual, smiling
    SpeakingStyle(jaw=1.25, lips=1.20, spread=1.2, smile=0.22, brow=1.4),  # 14 presenter
    SpeakingStyle(jaw=0.60, lips=0.80, spread=0.70, brow=0.2),           # 15 deadpan
    SpeakingStyle(skew=0.15),                                            # 16 natural, to the left
    SpeakingStyle(skew=-0.15),                                           # 17 natural, to the right
    SpeakingStyle(jaw=0.70, lips=0.80, skew=0.22, smile=0.08),           # 18 smirk, left
    SpeakingStyle(jaw=0.70, lips=0.80, skew=-0.22, smile=0.08),          # 19 smirk, right
    SpeakingStyle(brow=1.8),                                             # 20 natural mouth, lively brows
    SpeakingStyle(brow=0.0),                                             # 21 natural mouth, still brows
    SpeakingStyle(jaw=1.10, lips=1.30, spread=0.60),                     # 22 rounded
    SpeakingStyle(jaw=0.90, lips=0.70, spread=1.40, smile=0.06),         # 23 spread
)  # fmt: skip
"""Persons 0..23. Persons 1..8 walk round the jaw-lip plane, the others vary the rest."""

STYLE_PARAMETERS: tuple[str, ...] = tuple(f.name for f in fields(SpeakingStyle))


def style_matrix() -> NDArray[np.float32]:
    """``style parameters = STYLE_CODE @ style_matrix().T``: linear, so a blend of persons is a blend of parameters.

    Returns:
        float32 [6, 24], rows in :data:`STYLE_PARAMETERS` order.
    """
    return np.array([astuple(style) for style in STYLES], np.float32).T

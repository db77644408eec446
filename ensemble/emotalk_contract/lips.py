"""The gap between the lips, in millimetres, from the weights alone.

A linear estimate: a face at rest, and what each blendshape adds. The numbers were measured on the head that the client
carries (``head.glb``, the middle of the lips); a test measures them again. Other rigs differ in size, not in sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

REST_MM = -1.4
"""The gap of a face at rest: the lips overlap a little."""
GAP_MM = {
    "jawOpen": 34.8, "mouthClose": -34.8, "mouthFunnel": 12.3, "mouthPucker": -2.4,
    "mouthLowerDownLeft": 1.9, "mouthLowerDownRight": 1.9, "mouthUpperUpLeft": 2.5, "mouthUpperUpRight": 2.5,
    "mouthShrugUpper": 3.5, "mouthShrugLower": -5.0, "mouthRollLower": -3.4, "mouthRollUpper": -1.7,
    "mouthPressLeft": -1.2, "mouthPressRight": -1.2, "cheekPuff": -1.2,
}  # fmt: skip
"""Millimetres that a blendshape adds at 1; each of the others less than two."""

OPENING = [INDEX[name] for name, gap in GAP_MM.items() if gap > 0]
"""Columns that part the lips."""
CLOSING = [INDEX[name] for name, gap in GAP_MM.items() if gap < 0]
"""Columns that bring them together."""

PARTING = ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
"""Blendshapes that part the lips, and move nothing else."""
PARTING_MM = sum(GAP_MM[name] for name in PARTING)
"""Millimetres that they add together, at 1."""

_GAP = np.zeros(BLENDSHAPE_COUNT, np.float32)
_GAP[[INDEX[name] for name in GAP_MM]] = list(GAP_MM.values())


def gap_mm(weights: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the millimetres between the lips in each row of ``weights`` [F, 52], [F]; 0 and less: they meet."""
    gap: NDArray[np.float32] = np.float32(REST_MM) + np.clip(weights, 0, 1).astype(np.float32) @ _GAP
    return gap

"""Landmarks of MediaPipe's Face Mesh V2 by what they lie on: numbers out of 478, as its canonical model has them.

Left and right are the person's. Upper and lower curves of one eye or mouth run from corner to corner, the corners
included, and have as many points each: the points of one number lie above one another.
"""

from __future__ import annotations

MESH = 468
"""Landmarks on the skin; the other ten are the irises'."""

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The face's outline, once around."""

RIGID = (
    33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 10, 67, 297, 109, 338, 127, 356, 234, 454, 8, 9, 151, 129, 358, 93,
    323,
)  # fmt: skip
"""Nose, forehead, temples and corners of the eyes: what no expression moves much."""

INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""The lips' inner borders, from the right corner to the left."""
OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
"""The lips' borders with the skin, from the right corner to the left."""
INNER_LIPS = INNER_UPPER + INNER_LOWER[-2:0:-1]
OUTER_LIPS = OUTER_UPPER + OUTER_LOWER[-2:0:-1]
"""Once around."""
LIPS = tuple(sorted({*INNER_LIPS, *OUTER_LIPS}))

EYE_UPPER = {
    "Right": (33, 246, 161, 160, 159, 158, 157, 173, 133),
    "Left": (263, 466, 388, 387, 386, 385, 384, 398, 362),
}
EYE_LOWER = {"Right": (33, 7, 163, 144, 145, 153, 154, 155, 133), "Left": (263, 249, 390, 373, 374, 380, 381, 382, 362)}
"""The lids' borders, from the outer corner to the inner."""
BROW_LOWER = {"Right": (46, 53, 52, 65, 55), "Left": (276, 283, 282, 295, 285)}
"""The brows' lower borders, from the outer end to the inner."""
IRIS = {"Right": (468, 469, 470, 471, 472), "Left": (473, 474, 475, 476, 477)}
"""The middle, then four points of the rim."""

FOREHEAD, CHIN = 10, 152
EYE_OUTER = {"Right": 33, "Left": 263}
LIP_UPPER, LIP_LOWER = 13, 14
"""Middles of the lips' inner borders."""
MOUTH_CORNER = {"Right": 61, "Left": 291}

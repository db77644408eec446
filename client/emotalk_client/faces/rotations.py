"""Rotations of the head and the eyes: the convention, and their quaternions.

Radians about the face's own axes, as glTF has them: x to the person's left, y up, z to the front, right-handed. Yaw,
about y, is positive to the person's left; pitch, about x, downwards; roll, about z, towards the person's right
shoulder. They apply in the order roll, pitch, yaw. Columns: :data:`emotalk_contract.arkit.HEAD_AND_EYE_ROTATIONS`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAD, LEFT_EYE, RIGHT_EYE = slice(0, 3), slice(3, 6), slice(6, 9)
"""Yaw, pitch and roll of each, in the nine columns."""


def product(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the quaternions ``left right``, [..., 4] (x, y, z, w): the turn of ``right``, then that of ``left``."""
    (a, b, c, d), (e, f, g, h) = (np.moveaxis(np.asarray(q, np.float64), -1, 0) for q in (left, right))
    return np.stack(
        np.broadcast_arrays(
            d * e + a * h + b * g - c * f,
            d * f - a * g + b * h + c * e,
            d * g + a * f - b * e + c * h,
            d * h - a * e - b * f - c * g,
        ),
        axis=-1,
    )


def quaternions(angles: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the unit quaternions (x, y, z, w), [F, 4], of yaw, pitch and roll in radians, [F, 3].

    The product ``q_yaw q_pitch q_roll`` (J. Diebel, Representing Attitude, Stanford 2006).
    """
    half = np.asarray(angles, np.float64).reshape(-1, 3) / 2
    (sy, sp, sr), (cy, cp, cr) = np.sin(half).T, np.cos(half).T
    return np.stack(
        [
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
            cy * cp * sr - sy * sp * cr,
            cy * cp * cr + sy * sp * sr,
        ],
        axis=1,
    )

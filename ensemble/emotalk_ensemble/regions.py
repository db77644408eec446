"""Regions of the face, on weights: the filters and the rest pose of :mod:`emotalk_contract.regions`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import lips
from emotalk_contract.arkit import INDEX
from emotalk_contract.regions import LIDS, acting, kernels, reach

_WIDE = [INDEX["eyeWideLeft"], INDEX["eyeWideRight"]]
_PARTING = [INDEX[name] for name in lips.PARTING]
_JAW, _CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]


def low_passed(weights: NDArray[np.float32], region: Mapping[str, float]) -> NDArray[np.float32]:
    """Return ``weights`` [F, 52] smoothed as ``region`` says; its first row is held before it."""
    back = reach(region)
    if back == 0 or len(weights) == 0:
        return weights
    held = np.concatenate([np.repeat(weights[:1], back, axis=0), weights]).astype(np.float64)
    taps = kernels(region)
    out = np.zeros(weights.shape)
    for k in range(back + 1):
        out += taps[k] * held[back - k : back - k + len(weights)]
    return out.astype(np.float32)


def at_rest_pose(weights: NDArray[np.float32], region: Mapping[str, float]) -> NDArray[np.float32]:
    """Return ``weights`` [F, 52] with lids and lips shifted as ``region`` says, in place."""
    lids, apart = acting(region, "eyelidOpenOffset"), acting(region, "lipOpenOffset")
    if lids:
        seen = 1 - np.clip(weights[:, LIDS], 0, 1)
        if lids > 0:
            weights[:, _WIDE] += np.float32(lids) * seen
        else:
            weights[:, LIDS] += np.float32(-lids) * seen
            weights[:, _WIDE] *= np.float32(1 + lids)
    if apart > 0:
        weights[:, _PARTING] += np.float32(apart)
    elif apart < 0:
        closing = np.float32(apart * lips.PARTING_MM / lips.GAP_MM["mouthClose"])
        open_ = np.clip(weights[:, _JAW], 0, 1) - np.clip(weights[:, _CLOSE], 0, 1)
        weights[:, _CLOSE] += np.minimum(closing, np.maximum(open_, 0))
    return weights

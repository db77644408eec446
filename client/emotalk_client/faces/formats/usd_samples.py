"""A program: read the first UsdSkel animation of a USD file, and nothing else.

``python usd_samples.py IN OUT.npz LIMIT`` writes ``names`` [N], ``weights`` [F, N], ``times`` [F] (time codes) and
``clock`` (time codes per second). Exit status :data:`REFUSED` means that the file is not such an animation; standard
output says why.

OpenUSD is C++ that a damaged file may crash, or keep busy for minutes. So it reads in a process of its own, with bounds
on memory and time, which needs nothing but NumPy and OpenUSD.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

REFUSED = 3
"""Exit status."""
MEMORY = 1 << 32
"""Bytes of address space."""
CPU_S = 60
"""Seconds."""


class Refused(Exception):
    """Content that is not an animation."""


def main(source: str, target: str, limit: int) -> int:
    """Read ``source``, of at most ``limit`` frames, into ``target``; return the exit status."""
    _bound()
    try:
        np.savez(target, **_samples(source, limit))
    except Refused as reason:
        sys.stdout.write(str(reason))
        return REFUSED
    return 0


def _bound() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _samples(source: str, limit: int) -> dict[str, Any]:
    from pxr import Tf, Usd, UsdSkel

    try:
        stage = Usd.Stage.Open(source, Usd.Stage.LoadNone)
        found = next((prim for prim in stage.Traverse() if prim.IsA(UsdSkel.Animation)), None)
        if found is None:
            raise Refused("it has no UsdSkel animation")
        clip = UsdSkel.Animation(found)
        names = [str(name) for name in clip.GetBlendShapesAttr().Get() or ()]
        attribute = clip.GetBlendShapeWeightsAttr()
        times = attribute.GetTimeSamples()
        if len(times) > limit:
            raise Refused(f"it has {len(times)} frames; accepted: at most {limit}")
        rows = [np.asarray(() if (row := attribute.Get(time)) is None else row, np.float32) for time in times]
        clock = float(stage.GetTimeCodesPerSecond())
    except Tf.ErrorException as error:
        raise Refused("OpenUSD cannot read it") from error
    for number, row in enumerate(rows, 1):
        if row.shape != (len(names),):
            raise Refused(f"frame {number} has {row.size} weights; accepted: {len(names)}")
    if not clock > 0:
        raise Refused(f"it has {clock:g} time codes per second; accepted: more than 0")
    weights = np.array(rows, np.float32).reshape(len(rows), len(names))
    return {"names": np.array(names, np.str_), "weights": weights, "times": np.array(times, np.float64), "clock": clock}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

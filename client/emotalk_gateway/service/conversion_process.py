"""Write the frames on standard input as a file on standard output; run by :mod:`.conversion`, not imported.

Standard input has timecodes [F] as float64, then weights [F, 52] as float32. Arguments: the suffix of the format,
frames per second, F.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules have the names of others
    import numpy as np

    from emotalk_client.faces.animation import Animation
    from emotalk_client.faces.formats import FORMATS

    suffix, fps, frames = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    timecodes = np.frombuffer(sys.stdin.buffer.read(8 * frames), np.float64)
    weights = np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(frames, -1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"face{suffix}"
        FORMATS[suffix].write(Animation(weights, timecodes, fps), path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)

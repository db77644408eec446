"""Write the frames on standard input as a file on standard output; run by :mod:`.conversion`, not imported.

Arguments: the suffix of the format, and frames per second.
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

    suffix, fps = sys.argv[1], float(sys.argv[2])
    timecodes = np.load(sys.stdin.buffer)
    weights = np.load(sys.stdin.buffer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"face{suffix}"
        FORMATS[suffix].write(Animation(weights, timecodes, fps), path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)

"""The head that comes with the client: a face with the 52 ARKit morph targets, as binary glTF.

Built by ``tools/head_builder`` from MakeHuman's CC0 data (see NOTICE). Metres, y up, facing +z; the origin lies in the
middle of the head. One mesh; its ``extras.targetNames`` say which target is which, and only they do.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path


def path() -> Path:
    """Where the file lies."""
    return Path(__file__).parent / "head.glb"


@cache
def read() -> bytes:
    """The file."""
    return path().read_bytes()

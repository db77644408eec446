"""``.csv``: a recording as Apple's Live Link Face app writes it, which Unreal and Blender add-ons read.

Header ``Timecode,BlendShapeCount`` and 61 names with a capital first letter: the 52 (right before left for jaw and
mouth), then nine head and eye rotations in radians, 0 where the head is still. Timecodes:
:mod:`emotalk_client.faces.formats.timecode`. Another vocabulary has its own names in place of the 52.

Other tables of weights by name are read too, as Audio2Face-3D's clients write them (``timeCode`` in seconds,
``blendShapes.EyeBlinkLeft``).
"""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np

from emotalk_client.faces.formats import table, timecode
from emotalk_client.faces.formats.faults import check_ascending
from emotalk_client.faces.formats.names import arranged
from emotalk_client.faces.formats.rates import rate_of
from emotalk_client.faces.track import Track
from emotalk_client.faces.vocabularies import Vocabulary
from emotalk_contract.arkit import HEAD_AND_EYE_ROTATIONS, LIVE_LINK_CSV_ORDER, columns

log = logging.getLogger(__name__)


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def write(track: Track, path: Path, vocabulary: Vocabulary | None = None) -> None:
    """Write a row a frame, its columns in the words of ``vocabulary``: ARKit's, unless it is given."""
    if vocabulary is None:
        names = [_capital(name) for name in LIVE_LINK_CSV_ORDER]
        weights = track.weights[:, columns(LIVE_LINK_CSV_ORDER)]
    else:
        names, weights = list(vocabulary.names), vocabulary.of(track.weights)
    still = np.zeros((len(track), len(HEAD_AND_EYE_ROTATIONS)), np.float32)
    values = np.concatenate([weights, still if track.rotations is None else track.rotations], axis=1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Timecode", "BlendShapeCount", *names, *map(_capital, HEAD_AND_EYE_ROTATIONS)])
        for moment, row in zip(timecode.written(track.timecodes), values, strict=True):
            writer.writerow([moment, values.shape[1], *(f"{value:.10f}" for value in row)])


def read(path: Path, fps: float | None = None) -> Track:
    """Read a recording, its columns by name, its rate by the usual step of its timecodes.

    ``fps`` is its rate where it has a single row, and tells the unit of its frame numbers where it is short.
    """
    found = table.read(path)
    told = timecode.moments(found.times, fps, table.FIRST_ROW)
    check_ascending(told.seconds, first=table.FIRST_ROW, repeated=True)
    new = np.diff(told.seconds, prepend=-1.0) != 0
    if not new.all():
        log.warning("%d rows have the timecode of the row before them and are left out", len(new) - new.sum())
    seconds = told.seconds[new]
    weights, turned = arranged(found.weights[new], found.names), found.rotations[new]
    rotations = turned if turned.any() else None
    return Track(weights, seconds, rate_of(seconds, fps, told.resolution), rotations=rotations)

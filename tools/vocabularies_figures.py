"""The figures of docs/formats.md on vocabularies: ``python tools/vocabularies_figures.py FACE.npy``, an animation.

Prints, as Markdown, how near a face comes to itself once it was taken apart into the poses of a vocabulary and put
together of them again: the gap between the lips.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from emotalk_client import Animation
from emotalk_client.faces.vocabularies import POSES, vocabulary
from emotalk_contract.arkit import INDEX
from emotalk_contract.lips import gap_mm

CLOSED_MM = 1.0
"""Lips that are closed may be seen this far apart."""


def shown(name: str, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """``weights`` [F, 52] as a rig of the vocabulary ``name`` shows them, [F, 52]."""
    words = vocabulary(name)
    poses = {one: pose for group in POSES[name].values() for one, pose in group.items()}
    rows = np.zeros((len(words.names), weights.shape[1]), np.float32)
    for row, one in zip(rows, words.names, strict=True):
        for blendshape, amount in poses[one].items():
            row[INDEX[blendshape]] = amount
    return np.clip(words.of(weights) @ rows, 0, 1)


def main(path: str) -> None:
    """Print the table."""
    face = Animation.load(path)
    gap = gap_mm(face.weights)
    closed = gap <= 0
    out = [f"{int(closed.sum())} closed frames of {len(face)}", ""]
    for name in POSES:
        found = gap_mm(shown(name, face.weights))
        apart = float(np.sqrt(np.mean((found - gap) ** 2)))
        kept = float((found[closed] < CLOSED_MM).mean())
        out.append(f"| `{name}` | {np.corrcoef(gap, found)[0, 1]:.2f} | {apart:.1f} | {100 * kept:.0f} % |")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

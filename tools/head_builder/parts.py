"""The parts of the head, each with its material and the 52 morph targets.

Skin and tongue are MakeHuman's; teeth and lashes its helper meshes. The eyeballs are made here, with rings where iris
and pupil end, and so are the brows, which lie on the skin and move with it. Colours are painted by vertex: no textures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from head_builder.makehuman import MakeHuman
from head_builder.mesh import Mesh, Triangles, Vectors, cap, compact, components, cut, joined, triangulated

Colour: TypeAlias = tuple[int, int, int]
"""sRGB, 0..255."""
Paint: TypeAlias = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Share of the way from the inner rim to the outer [V] and share of a turn [V] to colours [V, 4]."""

SKIN: Colour = (226, 178, 153)
LIPS: Colour = (186, 110, 104)
FLUSH: Colour = (214, 142, 122)
MOUTH: Colour = (110, 40, 42)
SCLERA: Colour = (238, 235, 230)
IRIS: Colour = (96, 124, 128)
PUPIL: Colour = (8, 8, 9)
TEETH: Colour = (236, 228, 214)
GUMS: Colour = (190, 112, 108)
TONGUE: Colour = (200, 112, 110)
HAIR: Colour = (58, 42, 34)

PUPIL_DEG, IRIS_DEG, EYE_DEG = 10.5, 27.0, 100.0
"""Angles from the eye's axis at which pupil, iris and the modelled part of the eyeball end."""
EYE_SEGMENTS = 32
EYE_SLACK_M = 0.0003
"""The eyeball is this much smaller than MakeHuman's, so that shut lids cover it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A mesh and what it is made of."""

    name: str
    mesh: Mesh
    colour: Colour
    roughness: float
    bent: bool = True
    """True where its normals change with its shape."""
    clear: bool = False
    """True where its vertices' opacity counts."""


def linear(colour: Colour) -> NDArray[np.float64]:
    """Linear RGB [3] of an sRGB colour (IEC 61966-2-1)."""
    value = np.array(colour) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def head(body: MakeHuman) -> list[Part]:
    """All parts, with the origin in the middle of the head."""
    eyes = {side: _Eye.of(body, f"helper-{side}-eye") for side in ("l", "r")}
    skin, rim = _skin(body, eyes["l"])
    base = cap(skin, rim, skin.positions[rim].mean(axis=0) + BASE_M)
    brows = [_brow(skin, eye, side) for eye, side in ((eyes["l"], 1), (eyes["r"], -1))]
    parts = [
        Part("skin", joined([skin, base]), SKIN, 0.58),
        Part("teeth", joined([_teeth(body, "upper", 1), _teeth(body, "lower", -1)]), TEETH, 0.25, bent=False),
        Part("tongue", _tongue(body), TONGUE, 0.4),
        Part(
            "sclera",
            joined([eye.shell(IRIS_DEG, EYE_DEG, 7, _sclera) for eye in eyes.values()]),
            SCLERA,
            0.2,
            bent=False,
        ),
        Part(
            "iris", joined([eye.shell(PUPIL_DEG, IRIS_DEG, 5, _iris) for eye in eyes.values()]), IRIS, 0.12, bent=False
        ),
        Part("pupil", joined([eye.shell(0, PUPIL_DEG, 2, _plain) for eye in eyes.values()]), PUPIL, 0.12, bent=False),
        Part("hair", joined([*brows, *_lashes(body, eyes)]), HAIR, 0.8, bent=False, clear=True),
    ]
    origin = np.array([0, eyes["l"].centre[1] - 0.035, eyes["l"].centre[2] - 0.06])
    for part in parts:
        part.mesh.positions = part.mesh.positions - origin
    return parts


# Skin -------------------------------------------------------------------------------------------------------------

NECK_M, NECK_CURVE = 0.178, 5.0
BASE_M = np.array([0, -0.006, 0])
"""The cut: metres below the eyes at the middle, how fast it rises to the sides (1/m), and how far its base bulges."""


def _skin(body: MakeHuman, eye: _Eye) -> tuple[Mesh, list[int]]:
    moves = body.blendshapes
    everything, used = compact(body.vertices, triangulated(body.groups["body"]), moves)
    everything.colours = _painted(body, eye)[used]
    x, y, _ = everything.positions.T
    floor = eye.centre[1] - NECK_M + NECK_CURVE * x**2
    skin, rim = cut(everything, y - floor)
    # Arms hang beside the cut's parabola: what is not one piece with the face goes.
    piece = components(skin.triangles, len(skin.positions))
    face = piece[np.argmax(skin.positions[:, 1])]
    kept, numbers = compact(skin.positions, skin.triangles[piece[skin.triangles[:, 0]] == face], skin.moves)
    kept.colours = skin.colours[numbers]
    number = {int(old): new for new, old in enumerate(numbers)}
    return kept, [number[vertex] for vertex in rim if vertex in number]


def _painted(body: MakeHuman, eye: _Eye) -> NDArray[np.float64]:
    """[V, 4] tints of the skin."""
    skin = linear(SKIN)
    tint = np.ones((len(body.vertices), 4))

    def paint(colour: Colour, share: NDArray[np.float64]) -> None:
        tint[:, :3] += share[:, None] * (linear(colour) / skin - tint[:, :3])

    points = body.vertices
    for side in (1, -1):
        cheek = np.array([side * eye.centre[0] * 1.35, eye.centre[1] - 0.033, eye.centre[2] + 0.005])
        paint(FLUSH, 0.45 * _near(points, cheek, 0.018))
    front = points[:, 2].max()
    nose = points[np.argmax(np.where(np.abs(points[:, 1] - eye.centre[1]) < 0.06, points[:, 2], 0))]
    paint(FLUSH, 0.35 * _near(points, nose, 0.012) * (points[:, 2] > front - 0.06))
    paint(FLUSH, 0.4 * body.mask("ears"))
    paint(LIPS, 0.85 * body.mask("lips"))
    paint(MOUTH, 0.95 * body.mask("inside-mouth"))
    tint[:, :3] = np.clip(tint[:, :3], 0, 1)
    return tint


def _near(points: Vectors, place: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    near: NDArray[np.float64] = np.exp(-((points - place) ** 2).sum(axis=1) / (2 * radius**2))
    return near


# Eyes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Eye:
    centre: NDArray[np.float64]
    radius: float
    turns: dict[str, NDArray[np.float64]]
    """Blendshape to the affine map [4, 3] that gives a point's displacement."""

    @classmethod
    def of(cls, body: MakeHuman, group: str) -> _Eye:
        """The sphere that fits MakeHuman's own low eyeball best, and how the blendshapes turn that."""
        vertices = sorted({vertex for face in body.groups[group] for vertex in face})
        points = body.vertices[vertices]
        # |p|^2 = 2 p.c + (r^2 - |c|^2), by least squares.
        solution = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(axis=1), rcond=None)[0]
        centre = solution[:3]
        radius = float(np.sqrt(solution[3] + centre @ centre))
        local = np.c_[points, np.ones(len(points))]
        turns = {name: np.linalg.lstsq(local, move[vertices], rcond=None)[0] for name, move in body.blendshapes.items()}
        return cls(centre, radius, turns)

    def shell(self, start: float, end: float, rings: int, paint: Paint) -> Mesh:
        """The part of the eyeball between two angles from its axis, in degrees, of ``rings`` rings."""
        share, turn = np.meshgrid(np.linspace(0, 1, rings), np.arange(EYE_SEGMENTS) / EYE_SEGMENTS, indexing="ij")
        theta, phi = np.radians(start + (end - start) * share.ravel()), 2 * np.pi * turn.ravel()
        out = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
        points = self.centre + (self.radius - EYE_SLACK_M) * out
        local = np.c_[points, np.ones(len(points))]
        return Mesh(
            points,
            _grid(rings, EYE_SEGMENTS, closed=True),
            {name: local @ turn for name, turn in self.turns.items()},
            paint(share.ravel(), turn.ravel()),
        )


def _grid(rows: int, columns: int, *, closed: bool) -> Triangles:
    """Two triangles for each cell of a grid of vertices; ``closed``: the last column joins the first."""
    cells = [(r, c) for r in range(rows - 1) for c in range(columns - (not closed))]
    quads = [
        [r * columns + c, (r + 1) * columns + c, (r + 1) * columns + (c + 1) % columns, r * columns + (c + 1) % columns]
        for r, c in cells
    ]
    return triangulated(quads)


def _plain(share: NDArray[np.float64], _: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ones((len(share), 4))


def _sclera(share: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """White, in the upper lid's shade above, redder to the back, and dark where the iris begins."""
    colours = np.ones((len(share), 4))
    shade = 1 - 0.35 * np.clip(np.sin(2 * np.pi * turn), 0, 1)
    shade = np.where(share == 0, 0.35, shade)
    colours[:, :3] = shade[:, None] * (1 - share[:, None] * np.array([0.0, 0.25, 0.25]))
    return colours


def _iris(share: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in the middle, dark at both rims, with rays."""
    rays = 0.85 + 0.15 * np.sin(2 * np.pi * turn * 11) * np.cos(2 * np.pi * turn * 5)
    ring = np.interp(share, [0, 0.25, 0.75, 1], [0.5, 1.0, 0.8, 0.22])
    colours = np.ones((len(share), 4))
    colours[:, :3] = (rays * ring)[:, None]
    return colours


# Mouth ------------------------------------------------------------------------------------------------------------


def _group(body: MakeHuman, *names: str) -> Mesh:
    faces = [face for name in names for face in body.groups[name]]
    return compact(body.vertices, triangulated(faces), body.blendshapes)[0]


TEETH_WIDTH = 0.88
TEETH_SHIFT_M = {"upper": (0, -0.0035, -0.002), "lower": (0, -0.0055, -0.002)}
TONGUE_SHIFT_M = np.array([0, -0.012, -0.004])
TONGUE_SINKS_M = np.array([0, -0.006, -0.003])
"""Addition of jawOpen to the tongue's own way down, so that it does not fill the mouth."""
# MakeHuman's are placed for an open mouth; here closed lips hide them, and an open mouth shows teeth.


def _tongue(body: MakeHuman) -> Mesh:
    mesh = _group(body, "helper-tongue")
    mesh.positions = mesh.positions + TONGUE_SHIFT_M
    mesh.moves["jawOpen"] = mesh.moves["jawOpen"] + TONGUE_SINKS_M
    mesh.moves["tongueOut"] = mesh.moves["tongueOut"] - TONGUE_SHIFT_M  # out, it lies on the lip as before
    return mesh


def _teeth(body: MakeHuman, jaw: str, up: int) -> Mesh:
    """Teeth with gums at their roots; ``up``: 1 where the roots lie above."""
    mesh = _group(body, f"helper-{jaw}-teeth")
    mesh.positions = mesh.positions * [TEETH_WIDTH, 1, 1] + TEETH_SHIFT_M[jaw]
    height = up * mesh.positions[:, 1]
    root = np.clip((height - np.quantile(height, 0.1)) / np.ptp(height) * 2.2 - 1, 0, 1)
    mesh.colours[:, :3] += root[:, None] * (linear(GUMS) / linear(TEETH) - 1)
    return mesh


# Hair -------------------------------------------------------------------------------------------------------------


def _lashes(body: MakeHuman, eyes: dict[str, _Eye]) -> list[Mesh]:
    """MakeHuman's lashes, fading to their tips; the lower ones faint."""
    meshes = []
    for side, eye in eyes.items():
        for number, opacity in ((2, 0.9), (1, 0.25)):
            mesh = _group(body, f"helper-{side}-eyelashes-{number}")
            reach = np.linalg.norm(mesh.positions - eye.centre, axis=1)
            tip = np.clip((reach - reach.min()) / np.ptp(reach), 0, 1)
            mesh.colours[:, 3] = opacity * (1 - tip) ** 2
            meshes.append(mesh)
    return meshes


BROW_ARC = np.array([[-0.0145, 0.0155], [-0.0005, 0.0197], [0.0135, 0.0195], [0.0235, 0.0125]])
"""The brow's middle from its inner end outwards, metres from the eye's centre: away from the nose, and up."""
BROW_HALF_WIDTH = (0.0042, 0.0040, 0.0030, 0.0008)
"""Half of its width there, metres."""
BROW_LIFT_M = 0.0006
"""Height above the skin."""
BROW_COLUMNS, BROW_ROWS = 24, 5


def _brow(skin: Mesh, eye: _Eye, side: int) -> Mesh:
    """A strip on the skin over ``eye``, which moves with it; ``side``: 1 for the left."""
    along = np.linspace(0, 1, BROW_COLUMNS)
    knots = np.linspace(0, 1, len(BROW_ARC))
    # A cubic through the four points, so that the arc has no corners.
    middle = np.stack([np.polyval(np.polyfit(knots, BROW_ARC[:, axis], 3), along) for axis in (0, 1)], axis=1)
    width = np.interp(along, knots, BROW_HALF_WIDTH)
    across = np.linspace(-1, 1, BROW_ROWS)
    out = middle[:, 0, None] + 0 * across
    up = middle[:, 1, None] + width[:, None] * across
    places = np.stack([eye.centre[0] + side * out.ravel(), eye.centre[1] + up.ravel()], axis=1)
    corner, share = _on_front(skin, places)

    def laid(values: Vectors) -> Vectors:
        resting: Vectors = (values[corner] * share[..., None]).sum(axis=1)
        return resting

    opacity = (
        np.array([0.0, 0.75, 0.95, 0.75, 0.0]) * np.interp(along, [0, 0.12, 0.8, 1], [0.15, 0.8, 0.9, 0.0])[:, None]
    )
    colours = np.ones((len(places), 4))
    colours[:, 3] = opacity.ravel()
    triangles = _grid(BROW_COLUMNS, BROW_ROWS, closed=False)
    return Mesh(
        laid(skin.positions) + BROW_LIFT_M * laid(skin.normals()),
        triangles if side > 0 else triangles[:, ::-1],
        {name: laid(move) for name, move in skin.moves.items()},
        colours,
    )


def _on_front(mesh: Mesh, places: NDArray[np.float64]) -> tuple[Triangles, NDArray[np.float64]]:
    """The foremost triangle of ``mesh`` at each (x, y) of ``places`` [N, 2], and the point's barycentric shares."""
    corners = mesh.positions[mesh.triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    chosen, shares = [], []
    for place in places:
        offset = place - corners[:, 0, :2]
        with np.errstate(divide="ignore", invalid="ignore"):
            two = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) / area
            three = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) / area
        inside = (area > 0) & (two >= 0) & (three >= 0) & (two + three <= 1)
        depth = np.where(inside, corners[:, 0, 2] + two * first[:, 2] + three * second[:, 2], -np.inf)
        best = int(np.argmax(depth))
        chosen.append(mesh.triangles[best])
        shares.append([1 - two[best] - three[best], two[best], three[best]])
    return np.array(chosen), np.array(shares)

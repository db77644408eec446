"""``python tools/avatar_anchors.py``: find the points of the bundled head that the face landmarks lie on.

The head is drawn from the front, the landmark network looks at the picture, and each landmark is put on the triangle
that is seen there. Writes ``client/emotalk_avatar/fitting/anchors.npz``, which the fit needs; to be run again when the
head or the network changes. Needs the extras ``server`` (ONNX Runtime) and ``video`` (a drawing without a screen).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotalk_avatar.fitting import mesh478
from emotalk_client.faces import head
from head_picture import HEAD_HEIGHT_PX, centre_px, drawn

ROOT = Path(__file__).resolve().parents[1]
GRAPH = ROOT / "client/emotalk_avatar/repository/face_landmarks/1/model.onnx"
OUTPUT = ROOT / "client/emotalk_avatar/fitting/anchors.npz"

SIDE = 256
"""Pixels that the network sees."""
SEEN_M = 0.0035
"""Depth by which a vertex may lie behind what is drawn there and still count as seen."""
LOWER_SHARE, UPPER_SHARE = 0.6, 0.35
"""Shares of jawOpen's largest move: the lower lip moves by more than the one, the upper by less than the other."""
LID_SHARE = 0.5
"""Share of eyeBlink's largest move that the border of the upper lid makes at least, and that of the lower at most."""

_UPPER_LIDS = {number for eye in mesh478.EYE_UPPER.values() for number in eye[1:-1]}
_LOWER_LIDS = {number for eye in mesh478.EYE_LOWER.values() for number in eye[1:-1]}


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", type=Path, default=GRAPH, help="the landmark network, as ONNX")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    picture, place = drawn()
    landmarks = _landmarks(arguments.graph, picture)
    skin = next(part for part in head.parts() if part.name == "skin")
    points = place(skin.points)
    seen = _seen(points, skin)
    triangles, shares = _anchors(landmarks, points, skin, seen)
    found = (points[triangles] * shares[..., None]).sum(axis=1)[:, :2]
    apart = np.linalg.norm(found - landmarks[: mesh478.MESH, :2], axis=1)
    eyes = np.linalg.norm(np.subtract(*landmarks[list(mesh478.EYE_OUTER.values()), :2]))
    sys.stderr.write(
        f"anchors lie {apart.mean() / eyes:.2%} of the eyes' distance off, at most {apart.max() / eyes:.2%}\n"
    )
    np.savez_compressed(
        arguments.output,
        triangles=triangles.astype(np.uint16),
        shares=shares.astype(np.float32),
        seen=np.packbits(seen),
    )
    return 0


def _landmarks(graph: Path, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[478, 3] in pixels of ``picture``."""
    session = onnxruntime.InferenceSession(str(graph))
    centre, size = centre_px(), 0.75 * HEAD_HEIGHT_PX
    landmarks: NDArray[np.float64] = np.zeros((0, 3))
    for _ in range(3):
        scale = size / SIDE
        corner = centre - size / 2
        crop = _cut(picture, corner, scale)
        answer = session.run(None, {session.get_inputs()[0].name: crop[None].astype(np.float32) / 255})
        landmarks = answer[0].reshape(-1, 3).astype(np.float64) * scale
        landmarks[:, :2] += corner
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        centre, size = (low + high) / 2, 1.5 * (high - low).max()
    return landmarks


def _cut(picture: NDArray[np.uint8], corner: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return [256, 256, 3]: pixels from ``corner`` on, ``scale`` apart, bilinear."""
    place = (np.arange(SIDE) + 0.5) * scale - 0.5
    mixed = picture.astype(np.float64)
    for axis, start in ((0, corner[1]), (1, corner[0])):
        at = np.clip(place + start, 0, picture.shape[axis] - 1.001)
        whole = at.astype(int)
        share = (at - whole).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
        mixed = mixed.take(whole, axis) * (1 - share) + mixed.take(whole + 1, axis) * share
    return mixed


def _moved(part: head.Part, *names: str) -> NDArray[np.float64]:
    """[V] metres: how far the blendshapes move each vertex, together."""
    length = np.zeros(len(part.points))
    for name in names:
        move = part.moves[name]
        length[move.vertices] += np.linalg.norm(move.offsets, axis=1)
    return length


def _seen(points: NDArray[np.float64], skin: head.Part) -> NDArray[np.bool_]:
    """[V]: the vertices that no skin hides from the front."""
    depth = np.full(len(points), -np.inf)
    corners = points[skin.triangles]
    for start in range(0, len(points), 256):
        inside, at = _under(points[start : start + 256, :2], corners)
        depth[start : start + 256] = np.where(inside, at, -np.inf).max(axis=1)
    scale = np.ptp(points[:, 1]) / np.ptp(skin.points[:, 1])
    seen: NDArray[np.bool_] = (points[:, 2] > depth - SEEN_M * scale) & (skin.normals[:, 2] > 0.05)
    return seen


def _under(places: NDArray[np.float64], corners: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """For each of ``places`` [P, 2] and triangles [T, 3, 3]: the place lies in it, and the depth [P, T] there."""
    shares = _barycentric(places, corners)
    return (shares > -1e-3).all(axis=-1), (shares * corners[None, :, :, 2]).sum(axis=-1)


def _barycentric(places: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """[P, T, 3]: shares of the triangles' corners."""
    first, second = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    area = np.where(np.abs(area) < 1e-9, np.inf, area)
    offset = places[:, None] - corners[None, :, 0, :2]
    two = (offset[..., 0] * second[:, 1] - offset[..., 1] * second[:, 0]) / area
    three = (first[:, 0] * offset[..., 1] - first[:, 1] * offset[..., 0]) / area
    return np.stack([1 - two - three, two, three], axis=-1)


def _anchors(
    landmarks: NDArray[np.float64], points: NDArray[np.float64], skin: head.Part, seen: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Triangles [468, 3] and the shares [468, 3] of their corners.

    A landmark on a border (of the lips inside, of the lids) is put on the nearest vertex that moves as that border
    does: there, pictures of upper and lower lip touch and would be mixed up.
    """
    jaw, blink = _moved(skin, "jawOpen"), _moved(skin, "eyeBlinkLeft", "eyeBlinkRight")
    corners = points[skin.triangles]
    front = seen[skin.triangles].all(axis=1)
    triangles = np.zeros((mesh478.MESH, 3), np.int64)
    shares = np.zeros((mesh478.MESH, 3))
    for number in range(mesh478.MESH):
        place = landmarks[number, :2]
        may = seen.copy()
        if number in mesh478.INNER_UPPER:
            may &= jaw < UPPER_SHARE * jaw.max()
        elif number in mesh478.INNER_LOWER:
            may &= jaw > LOWER_SHARE * jaw.max()
        elif number in _UPPER_LIDS:
            may &= blink > LID_SHARE * blink.max()
        elif number in _LOWER_LIDS:
            may &= blink < LID_SHARE * blink.max()
        else:
            inside, depth = _under(place[None], corners[front])
            if inside.any():
                best = np.flatnonzero(front)[np.where(inside, depth, -np.inf)[0].argmax()]
                triangles[number] = skin.triangles[best]
                shares[number] = np.clip(_barycentric(place[None], corners[[best]])[0, 0], 0, 1)
                shares[number] /= shares[number].sum()
                continue
        distance = np.where(may, np.linalg.norm(points[:, :2] - place, axis=1), np.inf)
        triangles[number] = distance.argmin()
        shares[number] = (1, 0, 0)
    return triangles, shares


if __name__ == "__main__":
    sys.exit(main())

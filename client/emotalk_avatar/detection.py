"""A picture's faces: where they are, their landmarks, their expression.

Theory of operation. The detector sees 128 by 128 pixels, so it sees the whole picture once, and then parts of it, each
half as wide: a small face beside a large one is missed otherwise. What it proposes is merged, and each proposal's
square is turned upright and shown to the landmark network, whose own landmarks say where to look a second time. A face
counts where that network is sure that it looks at one (:data:`~emotalk_avatar.limits.MIN_PRESENCE`): the detector takes
wallpaper and upside-down faces for some, too. The boxes' layout is that of MediaPipe's detector.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar import limits
from emotalk_avatar.errors import NoFace, SeveralFaces
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.landmarks import MARGIN, expression_points, region_of, weights_of
from emotalk_avatar.models import FaceModels
from emotalk_avatar.warping import Region, cut, letterboxed
from emotalk_client.threads import in_thread
from emotalk_contract.avatar import DETECTOR_SIDE, LANDMARKS_SIDE

Box = tuple[float, float, float, float]

MIN_SCORE = 0.5
"""Of a proposal."""
SAME = 0.3
"""Overlap of two proposals of one face, as the share of what both cover together."""
INSIDE = 0.5
"""Share of a smaller face's box that lies in a larger one's, from which on they are one."""
MOST = 32
"""Proposals that are looked at, the likeliest first."""
PASSES = 2
"""Times that the landmark network looks at each."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A place where the detector sees a face."""

    score: float
    """0..1."""
    box: Box
    """Left, top, right, bottom in pixels."""
    angle: float
    """Radians by which the line of its eyes leans, clockwise as seen."""

    @property
    def region(self) -> Region:
        """The square in which the landmark network is to look."""
        left, top, right, bottom = self.box
        return Region((left + right) / 2, (top + bottom) / 2, MARGIN * max(right - left, bottom - top), self.angle)


async def find_face(picture: Picture, models: FaceModels) -> Face:
    """Return the only face of ``picture``; those too small for :data:`~emotalk_avatar.limits.MIN_FACE_SHARE` do not
    count beside it.

    Raises:
        NoFace: none is seen.
        SeveralFaces: more than one is.
        ServerError: as :class:`~emotalk_avatar.models.FaceModels`.
    """
    faces = await find_faces(picture, models)
    if not faces:
        raise NoFace(
            "no face is seen in the picture; accepted: one person's face from the front, upright, not cut off, and a "
            "fair part of the picture"
        )
    least = limits.MIN_FACE_SHARE * max(picture.width, picture.height)
    counting = [face for face in faces[1:] if face.box[2] - face.box[0] >= least]
    if counting:
        raise SeveralFaces(
            f"{1 + len(counting)} faces are seen in the picture; accepted: one. Cut the picture to the person that is "
            "to speak"
        )
    return faces[0]


async def find_faces(picture: Picture, models: FaceModels) -> list[Face]:
    """Return the faces of ``picture``, the largest first.

    Raises:
        ServerError: as :class:`~emotalk_avatar.models.FaceModels`.
    """
    proposals = await _proposals(picture, models)
    faces = await _looked_at(picture, models, [proposal.region for proposal in proposals], PASSES)
    certain = [
        Face(face.landmarks, face.weights, face.presence, proposal.box)
        for face, proposal in zip(faces, proposals, strict=True)
        if face.presence >= limits.MIN_PRESENCE
    ]
    return _distinct(certain)


async def follow_face(picture: Picture, models: FaceModels, before: Face | None) -> Face:
    """Return the face of a clip's next frame: looked for where it was ``before``, and anew where it is not there.

    Its ``box`` is that of its landmarks.

    Raises:
        NoFace, SeveralFaces, ServerError: as :func:`find_face`, where it is looked for anew.
    """
    if before is None:
        return await find_face(picture, models)
    (face,) = await _looked_at(picture, models, [region_of(before.landmarks)], 1)
    return face if face.presence >= limits.MIN_PRESENCE else await find_face(picture, models)


async def _proposals(picture: Picture, models: FaceModels) -> list[Proposal]:
    def views() -> tuple[NDArray[np.float32], list[Region]]:
        shown = [letterboxed(picture.pixels, part, DETECTOR_SIDE) for part in parts(picture.width, picture.height)]
        return np.stack([square for square, _ in shown]) / 127.5 - 1, [region for _, region in shown]

    images, regions = await in_thread(views)
    boxes, scores = await models.detect(images)
    found = [
        proposal
        for one, certain, region in zip(boxes, scores, regions, strict=True)
        for proposal in merged(decoded(one, certain, region))
    ]
    return merged(found)[:MOST]


def parts(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, top, right, bottom of what the detector sees: the whole, then tiles of half its sides, that overlap
    by half.
    """
    yield 0, 0, width, height
    if min(width, height) < 4:
        return
    for row, column in itertools.product(range(3), repeat=2):
        left, top = width * column // 4, height * row // 4
        yield left, top, left + width // 2, top + height // 2


def _anchors() -> NDArray[np.float32]:
    """Return the middles [896, 2], 0..1: two at each of 16 by 16 places, then six at each of 8 by 8."""
    rows = [
        ((x + 0.5) / places, (y + 0.5) / places)
        for places, each in ((16, 2), (8, 6))
        for y, x in itertools.product(range(places), repeat=2)
        for _ in range(each)
    ]
    return np.array(rows, np.float32)


ANCHORS = _anchors()


def decoded(boxes: NDArray[np.float32], scores: NDArray[np.float32], region: Region) -> list[Proposal]:
    """Return the proposals in the detector's ``boxes`` [896, 16] and ``scores`` [896] of what ``region`` shows."""
    likely = np.flatnonzero(scores >= MIN_SCORE)
    pairs = boxes[likely].reshape(-1, 8, 2) / DETECTOR_SIDE
    sizes = np.abs(pairs[:, 1])
    pairs += ANCHORS[likely, None]
    corners = np.stack([pairs[:, 0] - sizes / 2, pairs[:, 0] + sizes / 2, pairs[:, 2], pairs[:, 3]], axis=1)
    placed = region.to_picture(corners * DETECTOR_SIDE, DETECTOR_SIDE)
    found = []
    for score, (low, high, right_eye, left_eye) in zip(scores[likely], placed, strict=True):
        along = left_eye - right_eye
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        found.append(Proposal(float(score), box, math.atan2(float(along[1]), float(along[0]))))
    return found


def merged(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return one proposal for each place, the likeliest first: the mean of those that overlap, by their scores."""
    left = sorted(proposals, key=lambda proposal: -proposal.score)
    kept = []
    while left:
        same = [other for other in left if _overlap(left[0].box, other.box) > SAME or other is left[0]]
        share = np.array([other.score for other in same])
        box = np.average([other.box for other in same], axis=0, weights=share)
        angle = math.atan2(
            float(np.average([math.sin(other.angle) for other in same], weights=share)),
            float(np.average([math.cos(other.angle) for other in same], weights=share)),
        )
        kept.append(Proposal(left[0].score, (float(box[0]), float(box[1]), float(box[2]), float(box[3])), angle))
        left = [other for other in left if not any(other is one for one in same)]
    return kept


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _common(one: Box, other: Box) -> float:
    return _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))


def _overlap(one: Box, other: Box) -> float:
    common = _common(one, other)
    together = _area(one) + _area(other) - common
    return common / together if together > 0 else 0.0


async def _looked_at(picture: Picture, models: FaceModels, regions: Sequence[Region], passes: int) -> list[Face]:
    """Return what the landmark network sees in each of ``regions``, however sure it is."""
    if not regions:
        return []
    for _ in range(passes):
        squares = await in_thread(_cuts, picture, regions)
        seen, presences = await models.landmarks(squares)
        landmarks = [region.to_picture(points, LANDMARKS_SIDE) for region, points in zip(regions, seen, strict=True)]
        regions = [region_of(points) for points in landmarks]
    expressions = await models.expressions(np.stack([expression_points(points) for points in landmarks]))
    return [
        Face(points, weights, float(presence), _box(points))
        for points, weights, presence in zip(landmarks, weights_of(expressions), presences, strict=True)
    ]


def _cuts(picture: Picture, regions: Sequence[Region]) -> NDArray[np.float32]:
    return np.stack([cut(picture.pixels, region, LANDMARKS_SIDE) / 255 for region in regions])


def _box(landmarks: NDArray[np.float32]) -> Box:
    (left, top), (right, bottom) = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _distinct(faces: Sequence[Face]) -> list[Face]:
    """Return ``faces``, the largest first, each once: a tile may show a part of one that the whole picture shows."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -_area(_box(face.landmarks))):
        box = _box(face.landmarks)
        if all(_common(box, _box(other.landmarks)) <= INSIDE * _area(box) for other in kept):
            kept.append(face)
    return kept

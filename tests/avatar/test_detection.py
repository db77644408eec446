"""Proposals of the detector: where they lie, which are one, and which faces count."""

import math

import numpy as np
import pytest

from emotalk_avatar.detection import ANCHORS, Proposal, _distinct, decoded, find_face, merged, parts
from emotalk_avatar.errors import SeveralFaces
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.landmarks import EXPRESSION_LANDMARKS, EXPRESSION_NAMES, region_of, roll, weights_of
from emotalk_avatar.warping import Region
from emotalk_contract import avatar
from emotalk_contract.arkit import INDEX

pytestmark = pytest.mark.unit


def answer(*faces):
    """The detector's boxes and scores: of each face x, y, size in 0..1, the lean of its eyes, and its score."""
    boxes, scores = np.zeros((avatar.ANCHORS, 16), np.float32), np.zeros(avatar.ANCHORS, np.float32)
    for x, y, size, lean, score in faces:
        number = int(np.argmin(np.linalg.norm(ANCHORS - [x, y], axis=1) + scores))
        eye = np.array([math.cos(lean), math.sin(lean)]) * size / 4
        pairs = np.zeros((8, 2))
        pairs[0] = pairs[2:] = np.array([x, y]) - ANCHORS[number]
        pairs[1] = size
        pairs[2] -= eye
        pairs[3] += eye
        boxes[number], scores[number] = (pairs * 128).ravel(), score
    return boxes, scores


def test_anchors_lie_on_two_grids():
    assert ANCHORS.shape == (896, 2)
    assert ANCHORS[0].tolist() == [1 / 32, 1 / 32]
    assert len(np.unique(ANCHORS[:512], axis=0)) == 256
    assert len(np.unique(ANCHORS[512:], axis=0)) == 64


@pytest.mark.parametrize("lean", [0.0, 0.7, -2.0])
def test_a_proposal_lies_where_the_picture_shows_it(lean):
    (found,) = decoded(*answer((0.5, 0.25, 0.2, lean, 0.9)), Region(500, 300, 400))
    assert found.box == pytest.approx((460, 160, 540, 240), abs=0.5)
    assert found.angle == pytest.approx(lean, abs=1e-3)
    assert found.region.size == pytest.approx(120, abs=1)


def test_what_is_unlikely_is_no_proposal():
    assert decoded(*answer((0.5, 0.5, 0.2, 0, 0.49)), Region(64, 64, 128)) == []


def test_overlapping_proposals_are_one_by_their_scores():
    one, other = Proposal(0.9, (0, 0, 10, 10), 0.1), Proposal(0.6, (2, 0, 12, 10), 0.4)
    (found,) = merged([other, one])
    assert found.score == 0.9
    assert found.box == pytest.approx((0.8, 0, 10.8, 10))
    assert found.angle == pytest.approx(0.22, abs=0.01)


def test_angles_are_averaged_around_the_back():
    one, other = Proposal(0.9, (0, 0, 10, 10), math.pi - 0.1), Proposal(0.9, (0, 0, 10, 10), 0.1 - math.pi)
    assert abs(merged([one, other])[0].angle) == pytest.approx(math.pi)


def test_proposals_apart_stay_apart_the_likeliest_first():
    far = [Proposal(score, (x, 0, x + 10, 10), 0) for score, x in ((0.6, 0), (0.9, 50), (0.7, 100))]
    assert [found.score for found in merged(far)] == [0.9, 0.7, 0.6]


def test_boxes_without_a_size_are_merged_into_none():
    nothing = [Proposal(0.9, (5, 5, 5, 5), 0), Proposal(0.8, (5, 5, 5, 5), 0)]
    assert len(merged(nothing)) == 2


@pytest.mark.parametrize("size", [(400, 300), (401, 77), (5, 9)])
def test_the_parts_cover_the_picture_and_any_face_of_a_quarter_lies_in_one_whole(size):
    width, height = size
    whole, *tiles = parts(width, height)
    assert whole == (0, 0, width, height)
    assert len(tiles) == 9
    assert min(tile[0] for tile in tiles) == 0
    for x in np.linspace(0, 0.74, 6) * width:
        for y in np.linspace(0, 0.74, 6) * height:
            assert any(
                left <= x + 1 and top <= y + 1 and right >= x + width / 4 - 2 and bottom >= y + height / 4 - 2
                for left, top, right, bottom in tiles
            )


def test_of_a_tiny_picture_the_whole_is_seen():
    assert list(parts(3, 200)) == [(0, 0, 3, 200)]


def placed(x, y, size, presence=1.0):
    """A face whose landmarks fill a square."""
    points = np.random.default_rng(1).random((478, 3)) * [1, 1, 0]
    points[:2] = [[0, 0, 0], [1, 1, 0]]
    landmarks = (points * size + [x, y, 0]).astype(np.float32)
    return Face(landmarks, np.zeros(52, np.float32), presence, (x, y, x + size, y + size))


def test_a_part_of_a_face_is_that_face():
    large, part, other = placed(0, 0, 100), placed(60, 60, 30), placed(95, 95, 30)
    assert _distinct([part, other, large]) == [large, other]


@pytest.mark.parametrize(("size", "counts"), [(30, False), (50, True)])
async def test_a_tiny_second_face_does_not_count(monkeypatch, size, counts):
    async def two(picture, models):
        return [placed(0, 0, 400), placed(600, 0, size)]

    monkeypatch.setattr("emotalk_avatar.detection.find_faces", two)
    picture = Picture(np.zeros((1000, 1000, 3), np.uint8))
    if counts:
        with pytest.raises(SeveralFaces, match="2 faces"):
            await find_face(picture, None)
    else:
        assert (await find_face(picture, None)).box == (0, 0, 400, 400)


def test_a_region_is_upright_around_turned_landmarks():
    points = placed(0, 0, 100).landmarks.copy()
    points[33, :2], points[263, :2] = (30, 40), (70, 40)
    straight = region_of(points)
    angle = 0.6
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ turn + [300, 200]
    found = region_of(turned)
    assert roll(turned) == pytest.approx(angle, abs=1e-4)
    assert found.size == pytest.approx(straight.size, rel=1e-4)
    assert (found.x, found.y) == pytest.approx(np.array([straight.x, straight.y]) @ turn + [300, 200], abs=0.01)


def test_scores_become_weights_by_their_names():
    scores = np.arange(52, dtype=np.float32)[None] / 100
    weights = weights_of(scores)
    for column, name in enumerate(EXPRESSION_NAMES):
        if name is not None:
            assert weights[0, INDEX[name]] == scores[0, column]
    assert weights[0, INDEX["tongueOut"]] == 0
    assert EXPRESSION_NAMES[9] == "eyeBlinkLeft"
    assert EXPRESSION_NAMES[25] == "jawOpen"
    assert weights_of(np.full((1, 52), 1.5, np.float32)).max() == 1


def test_expressions_are_read_from_as_many_landmarks_as_the_model_takes():
    assert len(EXPRESSION_LANDMARKS) == len(set(EXPRESSION_LANDMARKS)) == avatar.EXPRESSION_POINTS
    assert len(EXPRESSION_NAMES) == avatar.EXPRESSION_SCORES

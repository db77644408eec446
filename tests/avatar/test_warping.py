"""Squares cut out of a picture show what their positions say, at any size and turn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_avatar.warping import Region, cut, filled, letterboxed

pytestmark = pytest.mark.unit

WIDTH, HEIGHT = 200, 160


def slope():
    """Red is the position across, green the position down, in pixels; both are linear."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    return np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8)


def middles(side):
    places = np.stack(np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5), axis=-1)
    return places.reshape(-1, 2)


regions = st.builds(Region, st.floats(70, 130), st.floats(60, 100), st.floats(8, 70), st.floats(-math.pi, math.pi))


@given(regions, st.sampled_from([8, 32, 64]))
def test_a_cut_shows_the_places_that_its_region_names(region, side):
    expected = region.to_picture(middles(side), side)
    found = cut(slope(), region, side)[..., :2].reshape(-1, 2)
    assert np.abs(found - expected).max() < 1.1  # of rounding, and of means where it is smaller


@given(regions)
def test_points_go_there_and_come_back(region):
    points = np.array([[0.0, 0, 0], [64, 64, 1], [20, 40, -3]])
    placed = region.to_picture(points, 64)
    assert np.hypot(*(placed[1, :2] - placed[0, :2])) == pytest.approx(region.size * math.sqrt(2), rel=1e-3)
    assert placed[:, 2] == pytest.approx(points[:, 2] * region.size / 64, abs=1e-5)
    middle = region.to_picture(np.array([[32.0, 32.0]]), 64)
    assert middle[0] == pytest.approx([region.x, region.y], abs=1e-3)


@pytest.mark.parametrize(
    "region", [Region(0, 0, 60), Region(WIDTH, HEIGHT, 900, 1.0), Region(-500, 80, 40), Region(9e5, 0, 30)]
)
def test_beyond_the_picture_its_edge_goes_on(region):
    found = cut(slope(), region, 16)
    assert np.isfinite(found).all()
    assert found[..., 0].min() >= 0
    assert found[..., 0].max() <= WIDTH


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_the_smallest_pictures_can_be_cut(size):
    pixels = np.full((*size, 3), 77, np.uint8)
    assert np.all(cut(pixels, Region(0.5, 0.5, 400), 32) == 77)
    square, _ = letterboxed(pixels, (0, 0, size[1], size[0]), 32)
    assert square.max() == 77


@pytest.mark.parametrize("part", [(0, 0, WIDTH, HEIGHT), (50, 20, 150, 160), (0, 0, 40, 160)])
def test_a_letterbox_shows_the_whole_part(part):
    side = 64
    square, region = letterboxed(slope(), part, side)
    left, top, right, bottom = part
    corners = region.to_picture(np.array([[0.0, 0.0], [side, side]]), side)
    assert (corners[0] <= [left + 1, top + 1]).all()
    assert (corners[1] >= [right - 1, bottom - 1]).all()
    middle = region.to_picture(np.array([[side / 2, side / 2]]), side)[0]
    assert middle == pytest.approx([(left + right) / 2, (top + bottom) / 2], abs=2)
    shown = square[side // 2 - 1 : side // 2 + 1, side // 2 - 1 : side // 2 + 1, :2].mean(axis=(0, 1))
    assert shown == pytest.approx(middle, abs=2.5)


def test_a_polygon_covers_what_is_inside():
    mask = filled(np.array([[8.0, 8], [24, 8], [24, 16], [8, 16]]), 32)
    assert 16 * 8 <= mask.sum() <= 17 * 9  # its border included
    assert mask[12, 16]
    assert not mask[20, 16]

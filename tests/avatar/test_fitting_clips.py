"""Clips: calm landmarks, a walk without jumps, and frames whose fit is that of a photograph."""

import dataclasses

import numpy as np
import pytest
from avatar_faces import face, picture, weights
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from emotalk_avatar.clips import fit_clip, smoothed
from emotalk_avatar.fitting import fit
from emotalk_avatar.walking import walked

pytestmark = pytest.mark.unit


def shifted(one, x, y):
    return dataclasses.replace(one, landmarks=one.landmarks + np.array([x, y, 0], np.float32))


@given(st.integers(1, 600), st.integers(0, 10**6))
def test_the_walk_goes_one_frame_at_a_time_and_visits_all(count, number):
    assert 0 <= walked(number, count) < count
    assert abs(walked(number + 1, count) - walked(number, count)) == (count > 1)
    assert {walked(k, count) for k in range(count)} == set(range(count))
    assert walked(number, count) == walked(number + max(1, 2 * count - 2), count)


def test_landmarks_are_smoothed_as_scipy_does_within_a_clip():
    jitter = np.random.default_rng(0).normal(0, 1, (12, 2))
    faces = [shifted(face(), *step) for step in jitter]
    calm = np.stack([one.landmarks for one in smoothed(faces)])
    judge = savgol_filter(np.stack([one.landmarks for one in faces]), 5, 2, axis=0)
    assert calm[2:-2] == pytest.approx(judge[2:-2], abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_clip_of_few_frames_is_one(count):
    still = fit_clip(picture(), [face()] * count, 25)
    assert still.differences.shape[0] == count
    assert np.abs(still.differences).max() < 1e-4


@pytest.mark.parametrize("expression", [{}, {"jawOpen": 0.4}])
def test_each_frame_is_fitted_as_its_photograph_would_be(expression):
    """A head that moves at one speed is not changed by smoothing: away from the ends, frames are as photographs."""
    faces = [shifted(face(weights(**expression)), 2 * k, k) for k in range(9)]
    clip = fit_clip(picture(), faces, 25)
    alone = fit(picture(), faces[4])
    scale = clip.first.surface.pose.scale
    start = 0
    for layer, wanted in zip(clip.first.layers, alone.layers, strict=True):
        rows = slice(start, start + len(layer.points))
        start = rows.stop
        points = layer.points[:, :2] + clip.differences[4, rows, :2] * [1, -1] * scale
        places = layer.places + clip.differences[4, rows, 2:]
        # Which triangles are drawn may differ by one at the outline.
        _, here, there = np.intersect1d(layer.numbers, wanted.numbers, return_indices=True)
        both = (here, there) if len(here) else (slice(None), slice(None))
        assert np.abs(points[both[0]] - wanted.points[both[1], :2]).max() < 0.1
        assert np.abs(places[both[0]] - wanted.places[both[1]]).max() * 560 < 0.2
    assert len(clip.packed()) == 9 * start * 8

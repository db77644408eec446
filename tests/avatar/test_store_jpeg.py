"""Pictures encoded anew."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from emotalk_avatar.jpeg import encoded, square

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("size", [(1, 1), (7, 640), (400, 320), (1500, 2048)])
def test_noise_of_any_size_is_encoded(size):
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    found = np.asarray(Image.open(io.BytesIO(encoded(noise))))
    assert found.shape == noise.shape


def test_a_picture_survives():
    x, y = np.meshgrid(np.linspace(0, 255, 300), np.linspace(0, 255, 200))
    picture = np.stack([x, y, 255 - x], -1).astype(np.uint8)
    there = np.asarray(Image.open(io.BytesIO(encoded(picture))), np.float64)
    mse = ((there - picture) ** 2).mean()
    assert 10 * np.log10(255**2 / mse) > 42


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(*[st.floats(-80, 140, allow_nan=False)] * 4),
    st.floats(0.1, 9),
)
def test_the_square_lies_in_the_picture(size, box, margin):
    found = square(np.full((*size, 3), 90, np.uint8), box, 32, margin)
    assert found.shape == (32, 32, 3)
    assert (found == 90).all()


def test_the_face_is_in_the_middle():
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[80:120, 130:170] = 255
    found = square(picture, (130, 80, 170, 120), 64, 2.0)
    assert found[16:48, 16:48].min() > 200
    assert found[:12].max() < 50

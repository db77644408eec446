"""Crops, their way into a network and back into the picture, and frames in step with the sound."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emotalk_avatar.renderers import composition, crops, hearing
from emotalk_avatar.renderers.networks import AT_ONCE, RendererModels
from emotalk_avatar.renderers.rendering import Sitter, frames
from emotalk_client.errors import ModelMissing, UnexpectedResponse
from emotalk_contract import renderers as facts
from emotalk_contract.tensors import Model

pytestmark = pytest.mark.unit

PICTURE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)


def landmarks(frames: int = 1, shift: float = 0.0) -> NDArray[np.float32]:
    """A face of 100 by 130 pixels, which moves by ``shift`` a frame."""
    points = np.zeros((frames, 478, 3), np.float32)
    spread = np.random.default_rng(1).uniform((110, 60), (190, 180), (478, 2))
    points[:, :, :2] = spread + shift * np.arange(frames)[:, None, None]
    for point, place in {
        234: (100, 100),
        454: (200, 102),
        168: (150, 90),
        4: (150, 120),
        10: (150, 50),
        152: (150, 180),
    }.items():
        points[:, point, :2] = np.array(place) + shift * np.arange(frames)[:, None]
    return points


# Crops ---------------------------------------------------------------------------------------------


def test_wav2lips_box_is_the_face_and_ten_pixels_below() -> None:
    assert crops.wav2lip_boxes(landmarks()).tolist() == [[100, 50, 200, 190]]


def test_wav2lips_boxes_are_the_mean_of_five_frames() -> None:
    found = crops.wav2lip_boxes(landmarks(8, shift=10))
    assert found[:, 0].tolist() == [120, 130, 140, 150, 150, 150, 150, 150]
    assert crops.wav2lip_boxes(landmarks(3, shift=10))[:, 0].tolist() == [110] * 3


def test_the_unets_square_hangs_from_the_bridge_of_the_nose() -> None:
    assert crops.unet_boxes(landmarks()).tolist() == [[100, 100, 200, 200]]


def test_a_face_from_the_side_has_a_square_all_the_same() -> None:
    points = landmarks()
    points[:, 454, 0] = 90
    (left, top, right, bottom) = crops.unet_boxes(points)[0]
    assert right - left == bottom - top >= 2


@pytest.mark.parametrize("box", [(-50, -20, 60, 90), (250, 200, 400, 350), (-10, -10, 330, 250), (5, 5, 5, 5)])
def test_a_box_may_reach_beyond_the_picture(box: tuple[int, int, int, int]) -> None:
    cut = crops.cut(PICTURE, np.array(box, np.int32), 96)
    assert cut.shape == (96, 96, 3)
    patch = np.full((96, 96, 3), 255, np.uint8)
    assert composition.pasted(PICTURE, patch, np.array(box, np.int32)).shape == PICTURE.shape


def test_beyond_the_picture_its_edge_goes_on() -> None:
    cut = crops.cut(PICTURE, np.array((-96, 10, 0, 106), np.int32), 96)
    assert (cut == PICTURE[10:106, :1]).all()


def test_wav2lip_sees_the_face_without_its_lower_half_first() -> None:
    crop = PICTURE[None, :96, :96]
    found = crops.wav2lip_input(crop)
    assert found.shape == (1, 6, 96, 96)
    assert np.array_equal(found[0, 3:], (crop[0] / np.float32(255)).transpose(2, 0, 1))
    assert np.array_equal(found[0, :3, :48], found[0, 3:, :48])
    assert (found[0, :3, 48:] == 0).all()


def test_the_unet_sees_a_black_rectangle_first() -> None:
    crop = np.full((1, 328, 328, 3), 255, np.uint8)
    found = crops.unet_input(crop)
    assert found.shape == (1, 6, 320, 320)
    assert (found[0, 3:] == 1).all()
    black = np.argwhere(found[0, 0] == 0)
    assert black.min(0).tolist() == [5, 5]
    assert black.max(0).tolist() == [309, 314]
    assert len(black) == 305 * 310


# Composition ---------------------------------------------------------------------------------------


def test_a_patch_fades_into_the_picture() -> None:
    grey = np.full((200, 200, 3), 100, np.uint8)
    box = np.array((50, 40, 150, 160), np.int32)
    found = composition.pasted(grey, np.full((96, 96, 3), 200, np.uint8), box)
    inside = found[40:160, 50:150]
    outside = found.copy()
    outside[40:160, 50:150] = 100
    assert (outside == 100).all()
    assert (inside[20:-20, 20:-20] == 200).all()
    assert inside[0].max() < 105
    row = inside[60, :12, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert row[0] < 105
    assert (grey == 100).all()


@given(box=st.tuples(*[st.integers(-400, 700)] * 4))
def test_any_box_is_pasted_without_an_error(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    place = np.array((left, top, max(right, left + 1), max(bottom, top + 1)), np.int32)
    assert composition.pasted(PICTURE, np.zeros((96, 96, 3), np.uint8), place).shape == PICTURE.shape


def test_what_is_cut_and_pasted_unchanged_hardly_shows() -> None:
    smooth = np.linspace(0, 255, 240)[:, None, None] * np.ones((1, 320, 3))
    picture = smooth.astype(np.uint8)
    box = crops.wav2lip_boxes(landmarks())[0]
    apart = composition.pasted(picture, crops.cut(picture, box, 96), box).astype(int) - picture
    assert np.abs(apart).max() <= 2


# Hearing -------------------------------------------------------------------------------------------


def test_sixteen_features_around_a_picture_and_zeros_beyond() -> None:
    features = np.arange(1, 31, dtype=np.float32)[:, None] * np.ones(512, np.float32)
    found = hearing.around(features, np.array([0, 10, 29]))
    assert found[:, :, 0].tolist() == [
        [0] * 8 + list(range(1, 9)),
        list(range(3, 19)),
        list(range(22, 31)) + [0] * 7,
    ]


class Fake:
    """A client whose networks show what they were asked."""

    def __init__(self, fail: Exception | None = None, shape: tuple[int, ...] | None = None) -> None:
        self.asked: dict[str, list[dict[str, NDArray[Any]]]] = {}
        self.flying = self.most = 0
        self.fail, self.shape = fail, shape

    async def infer(self, model: Model, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        for tensor in model.inputs:
            assert inputs[tensor.name].shape == (1, *tensor.axes)
            assert inputs[tensor.name].dtype == np.float32
        self.asked.setdefault(model.name, []).append(inputs)
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(0)
        self.flying -= 1
        if self.fail is not None:
            raise self.fail
        (made,) = model.outputs
        shape = self.shape or made.axes
        level = inputs["MEL"].mean() if model is facts.AVE else inputs[model.inputs[0].name].mean() / 8 + 0.5
        return {made.name: np.full((1, *shape), level, np.float32)}


async def test_features_are_one_a_picture_and_the_ends_twice() -> None:
    client = Fake()
    samples = np.random.default_rng(0).uniform(-1, 1, 16_000).astype(np.float32)
    found = await hearing.features_of(samples, RendererModels(client))  # type: ignore[arg-type]
    assert found.shape == (27, 512)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[-1], found[-2])
    assert client.most > 1


# Frames --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("renderer", facts.RENDERERS)
@pytest.mark.parametrize(("fps", "expected"), [(25.0, 25), (30.0, 30), (12.5, 13)])
async def test_as_many_frames_as_the_sound_is_long(renderer: facts.Renderer, fps: float, expected: int) -> None:
    client = Fake()
    sitter = Sitter.of(lambda _: PICTURE, landmarks())
    models = RendererModels(client)  # type: ignore[arg-type]
    samples = np.random.default_rng(0).uniform(-1, 1, 16_000).astype(np.float32)
    drawn = [pixels async for pixels in frames(samples, sitter, renderer, models, fps=fps)]
    assert len(drawn) == expected
    left, top, right, bottom = sitter.boxes[renderer][0]
    for pixels in drawn:
        assert pixels.shape == PICTURE.shape
        apart = (pixels != PICTURE).any(2)
        rows, columns = np.nonzero(apart)
        assert (rows.min() >= top, rows.max() < bottom, columns.min() >= left, columns.max() < right) == (True,) * 4
        assert apart[top:bottom, left:right].mean() > 0.8
    assert client.most <= AT_ONCE or renderer == "unet328"


async def test_frames_hear_the_sound_of_their_time() -> None:
    client = Fake()
    samples = np.zeros(32_000, np.float32)
    samples[16_000:] = np.random.default_rng(0).uniform(-1, 1, 16_000)
    sitter = Sitter.of(lambda _: PICTURE, landmarks())
    async for _ in frames(samples, sitter, "wav2lip", RendererModels(client), fps=30.0):  # type: ignore[arg-type]
        pass
    loud = [bool(inputs["MEL"].max() > -3.9) for inputs in client.asked["wav2lip"]]
    # a window is 0.2 s long and its columns hear 25 ms to either side: the first that reaches 1 s begins at 0.775 s
    assert loud.index(True) in (23, 24)
    assert all(loud[24:])


@pytest.mark.parametrize(
    ("count", "seen"), [(1, [0] * 8), (2, [0, 1, 0, 1, 0, 1, 0, 1]), (4, [0, 1, 2, 3, 2, 1, 0, 1])]
)
def test_an_avatars_own_frames_are_walked_to_and_fro(count: int, seen: list[int]) -> None:
    sitter = Sitter(lambda _: PICTURE, count, 25.0, {})
    assert [sitter.number(i / 25) for i in range(8)] == seen


async def test_a_server_without_renderers_is_told_of() -> None:
    models = RendererModels(Fake(ModelMissing("no")))  # type: ignore[arg-type]
    with pytest.raises(ModelMissing, match="emotalk-server --renderers"):
        await models.features(np.zeros((3, 1, 80, 16), np.float32))


@pytest.mark.parametrize("shape", [(3, 96, 95), (1, 96, 96)])
async def test_another_shape_is_an_unexpected_answer(shape: tuple[int, ...]) -> None:
    models = RendererModels(Fake(shape=shape))  # type: ignore[arg-type]
    with pytest.raises(UnexpectedResponse, match="wav2lip gave IMAGE"):
        await models.wav2lip(np.zeros((1, 1, 80, 16), np.float32), np.zeros((1, 6, 96, 96), np.float32))

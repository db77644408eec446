"""Faces in pictures by Triton's models, and what is said of them. docs/avatars.md has a table of these."""

import numpy as np
import pytest
from PIL import Image
from portraits import portrait

from emotalk_avatar.detection import find_face, find_faces, follow_face
from emotalk_avatar.errors import NoFace, PoorPicture, SeveralFaces
from emotalk_avatar.face import Picture
from emotalk_avatar.landmarks import LEFT_EYE_OUTER, RIGHT_EYE_OUTER, interocular, roll
from emotalk_avatar.models import FaceModels
from emotalk_avatar.quality import judge
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import ModelMissing
from emotalk_contract.arkit import INDEX

pytestmark = pytest.mark.server


def as_picture(pixels):
    return Picture(np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8)))


def resized(picture, share):
    size = round(picture.width * share), round(picture.height * share)
    return as_picture(np.asarray(Image.fromarray(picture.pixels).resize(size, Image.Resampling.LANCZOS)))


def turned(picture, degrees):
    """Clockwise as seen."""
    return as_picture(np.asarray(Image.fromarray(picture.pixels).rotate(-degrees, Image.Resampling.BICUBIC)))


def with_small_face(share):
    """Hopper, and the astronaut's face, ``share`` of the picture wide, in the corner."""
    pixels = portrait("hopper").pixels.copy()
    side = round(share * pixels.shape[1] / 0.56)  # of which the face is that much
    small = Image.fromarray(portrait("astronaut").pixels[45:225, 135:315]).resize(
        (side, side), Image.Resampling.LANCZOS
    )
    pixels[8 : 8 + side, -8 - side : -8] = np.asarray(small)
    return as_picture(pixels)


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
async def test_a_portrait_has_one_face(face_models, name):
    face = await find_face(portrait(name), face_models)
    assert face.presence > 0.99
    assert face.landmarks.shape == (478, 3)
    assert face.weights.shape == (52,)
    assert face.weights[INDEX["tongueOut"]] == 0
    right, left = face.landmarks[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER], 0]
    assert face.box[0] < right < left < face.box[2]


async def test_a_calm_portrait_is_taken_without_a_word(face_models):
    picture = portrait("hopper")
    assert judge(picture, await find_face(picture, face_models)).warnings == ()


async def test_a_small_smile_is_taken_with_warnings(face_models):
    picture = portrait("astronaut")
    small, opened, smiling = judge(picture, await find_face(picture, face_models)).warnings
    assert "eyes are 60 pixels apart" in small
    assert "A closed mouth, please" in opened
    assert "the face smiles: 0." in smiling


@pytest.mark.parametrize("name", ["cat", "coffee"])
async def test_what_is_not_a_person_has_no_face(face_models, name):
    assert await find_faces(portrait(name), face_models) == []
    with pytest.raises(NoFace, match="no face is seen"):
        await find_face(portrait(name), face_models)


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
async def test_upside_down_there_is_no_face(face_models, name):
    with pytest.raises(NoFace, match="upright"):
        await find_face(as_picture(portrait(name).pixels[::-1, ::-1]), face_models)


async def test_a_profile_is_refused(face_models):
    picture = portrait("cameraman")
    with pytest.raises(PoorPicture, match=r"turned aside by \d\d°.*Look into the camera"):
        judge(picture, await find_face(picture, face_models))


async def test_an_overexposed_face_is_refused(face_models):
    picture = as_picture(portrait("hopper").pixels * 2.5)
    with pytest.raises(PoorPicture, match="overexposed"):
        judge(picture, await find_face(picture, face_models))


@pytest.mark.parametrize("degrees", [-30, 10, 30])
async def test_a_leaning_face_is_the_same_face(face_models, degrees):
    upright = await find_face(portrait("hopper"), face_models)
    leaning = await find_face(turned(portrait("hopper"), degrees), face_models)
    assert np.degrees(roll(leaning.landmarks) - roll(upright.landmarks)) == pytest.approx(degrees, abs=1.5)
    assert interocular(leaning.landmarks) == pytest.approx(interocular(upright.landmarks), rel=0.03)
    assert np.abs(leaning.weights - upright.weights).max() < 0.25


@pytest.mark.parametrize("degrees", [-90, 90])
async def test_a_lying_face_is_to_be_turned(face_models, degrees):
    picture = turned(portrait("hopper"), degrees)
    with pytest.raises(PoorPicture, match=r"leans by \d\d°; .*Turn the picture upright"):
        judge(picture, await find_face(picture, face_models))


@pytest.mark.parametrize("share", [0.15, 0.5, 2.0, 4.0])
async def test_landmarks_scale_with_the_picture(face_models, share):
    whole = await find_face(portrait("hopper"), face_models)
    scaled = await find_face(resized(portrait("hopper"), share), face_models)
    off = np.linalg.norm(scaled.landmarks[:, :2] / share - whole.landmarks[:, :2], axis=1).mean()
    assert off / interocular(whole.landmarks) < (0.012 if share >= 0.5 else 0.05)


async def test_two_faces_side_by_side_are_several(face_models):
    pixels = portrait("hopper").pixels
    with pytest.raises(SeveralFaces, match="2 faces are seen"):
        await find_face(as_picture(np.hstack([pixels, pixels[:, ::-1]])), face_models)


@pytest.mark.parametrize("share", [0.08, 0.1, 0.2])
async def test_a_small_face_beside_a_large_one_is_seen(face_models, share):
    picture = with_small_face(share)
    large, small = await find_faces(picture, face_models)
    assert (small.box[2] - small.box[0]) / picture.width == pytest.approx(share, rel=0.35)
    assert (large.box[2] - large.box[0]) / picture.width > 0.3
    with pytest.raises(SeveralFaces):
        await find_face(picture, face_models)


@pytest.mark.parametrize("mirrored", [False, True])
async def test_a_mirrored_face_is_one(face_models, mirrored):
    pixels = portrait("astronaut").pixels
    assert len(await find_faces(as_picture(pixels[:, ::-1] if mirrored else pixels), face_models)) == 1


async def test_a_face_is_followed_from_frame_to_frame(face_models):
    pixels = portrait("hopper").pixels
    first = await follow_face(as_picture(pixels), face_models, None)
    moved = await follow_face(as_picture(np.roll(pixels, (6, 10), axis=(0, 1))), face_models, first)
    step = (moved.landmarks - first.landmarks)[:, :2].mean(axis=0)
    assert step == pytest.approx([10, 6], abs=0.6)


async def test_a_face_that_went_is_looked_for_anew(face_models):
    picture = portrait("hopper")
    first = await find_face(picture, face_models)
    far = as_picture(np.pad(picture.pixels, ((0, 0), (600, 0), (0, 0)), "edge"))
    found = await follow_face(far, face_models, first)
    assert (found.landmarks - first.landmarks)[:, 0].mean() == pytest.approx(600, abs=3)
    with pytest.raises(NoFace):
        await follow_face(portrait("coffee"), face_models, first)


async def test_a_server_without_the_models_says_how_to_start_one(bundled_server):
    async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
        with pytest.raises(ModelMissing, match=r"face_detector.*`emotalk-server --models core,live,avatar`"):
            await find_faces(portrait("hopper"), FaceModels(client))

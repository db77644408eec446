"""Faces in pictures, by Triton's models."""

import pytest
from portraits import portrait

from emotalk_avatar.detection import find_face, find_faces
from emotalk_avatar.errors import NoFace

pytestmark = pytest.mark.server


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
async def test_a_portrait_has_one_face(face_models, name):
    face = await find_face(portrait(name), face_models)
    assert face.presence > 0.99
    assert face.landmarks.shape == (478, 3)
    assert face.weights.shape == (52,)


@pytest.mark.parametrize("name", ["cat", "coffee"])
async def test_what_is_not_a_person_has_none(face_models, name):
    assert await find_faces(portrait(name), face_models) == []
    with pytest.raises(NoFace, match="no face is seen"):
        await find_face(portrait(name), face_models)

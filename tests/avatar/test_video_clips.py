"""Avatars whose photograph moves: frames walked to and fro, and the face where it lies in each."""

from functools import partial

import avatar_faces
import numpy as np
import pytest
from drawn import drawing, face

from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.fitting import fit
from emotalk_avatar.video.clip import Clip
from emotalk_avatar.video.scene import read_scene
from emotalk_avatar.video.writing import Movie
from emotalk_avatar.walking import walked

pytestmark = pytest.mark.unit

SIZE = (240, 280)
FPS = 10.0
COUNT = 4


@pytest.fixture(scope="module")
def content():
    return fit(avatar_faces.picture(), avatar_faces.face()).glb()


@pytest.fixture(scope="module")
def vertices(content):
    return sum(len(surface.points) for surface in read_scene(content).surfaces)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A clip that becomes brighter from frame to frame."""
    path = tmp_path_factory.mktemp("clip") / "source.mp4"
    with Movie(path, avatar_faces.SIZE, FPS, 0) as movie:
        for number in range(COUNT):
            movie.picture(np.full((*avatar_faces.SIZE[::-1], 3), 60 + 40 * number, np.uint8))
    return path.read_bytes()


def still(vertices):
    return np.zeros((COUNT, vertices, 4), "<f2")


def test_frames_are_walked_to_and_fro():
    assert [walked(number, 4) for number in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [walked(number, 1) for number in range(3)] == [0, 0, 0]


def test_the_photograph_moves(content, source, vertices):
    clip = partial(Clip, source, still(vertices).tobytes(), FPS)
    with drawing(content, SIZE, clip=clip) as drawn:
        seen = [drawn.draw(face(), seconds=number / FPS)[:20].mean() for number in range(8)]
    right = [60 + 40 * walked(number, COUNT) for number in range(8)]
    assert np.allclose(seen, right, atol=6)


def test_a_face_lies_where_the_frame_has_it(content, source, vertices):
    moved = still(vertices)
    moved[1, :, 0] = 0.02  # metres to the right
    clip = partial(Clip, source, moved.tobytes(), FPS)
    with drawing(content, SIZE, clip=clip) as drawn:
        mouths = []
        for seconds in (0, 1 / FPS):
            dark = drawn.draw(face(jawOpen=1), seconds=seconds).astype(int)
            hole = np.argwhere(dark[:, 60:].max(axis=2) < 50)  # the backdrop moves too, and leaves its edge
            mouths.append(hole.mean(axis=0))
    right = mouths[1] - mouths[0]
    assert right[1] > 5
    assert abs(right[0]) < 3


@pytest.mark.parametrize("spoilt", [b"", b"not a clip"])
def test_a_damaged_clip_is_said(content, source, vertices, spoilt):
    fitted = still(vertices).tobytes()
    for clip in (partial(Clip, spoilt, fitted, FPS), partial(Clip, source, fitted[:-2], FPS)):
        with pytest.raises(DamagedAvatar), drawing(content, SIZE, clip=clip):
            pass
    other = still(vertices + 1).tobytes()
    with pytest.raises(DamagedAvatar, match="vertices"), drawing(content, SIZE, clip=partial(Clip, source, other, FPS)):
        pass

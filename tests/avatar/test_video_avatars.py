"""Avatars drawn: the photograph as it is, a mouth that opens, a head that sways before it."""

import contextlib
import io

import avatar_faces
import numpy as np
import pytest
from drawn import drawing, face
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.fitting import fit
from emotalk_avatar.video.errors import InvalidVideo
from emotalk_avatar.video.scene import read_scene
from emotalk_client.faces.head.container import Container

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def content():
    return fit(avatar_faces.picture(), avatar_faces.face()).glb()


@pytest.fixture(scope="module")
def photograph(content):
    return read_scene(content).photograph


def loss_db(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_a_face_at_rest_is_the_photograph(content, photograph):
    with drawing(content) as drawn:
        assert drawn.size == avatar_faces.SIZE
        assert loss_db(drawn.draw(face()), photograph) > 38


def test_a_smaller_one_is_too(content, photograph):
    image = pytest.importorskip("PIL.Image")
    with drawing(content, (240, 280)) as drawn:
        small = np.asarray(image.fromarray(photograph).resize((240, 280), image.BICUBIC))
        assert loss_db(drawn.draw(face()), small) > 34


@pytest.mark.parametrize("size", [(320, 180), (180, 320)])
def test_another_shape_is_filled(content, size):
    with drawing(content, size) as drawn:
        picture = drawn.draw(face(jawOpen=0.5))
    assert picture.shape == (size[1], size[0], 3)
    assert (picture.max(axis=2) > 30).mean() > 0.98  # no bars at its sides


def test_only_what_can_move_does(content, photograph):
    with drawing(content) as drawn:
        rest, opened = drawn.draw(face()).copy(), drawn.draw(face(jawOpen=0.7)).copy()
    moved = np.abs(rest.astype(int) - opened).max(axis=2) > 40
    rows, columns = np.nonzero(moved)
    assert len(rows) > 500
    height, width = moved.shape
    assert height / 2 < rows.mean() < 0.8 * height
    assert abs(columns.mean() - width / 2) < 10


def test_a_head_sways_and_the_picture_does_not(content):
    still = np.float32([0, 0, 0])
    with drawing(content) as drawn:
        rest, swayed = drawn.draw(face(), still).copy(), drawn.draw(face(), np.float32([0.2, 0, 0])).copy()
    moved = np.abs(rest.astype(int) - swayed).max(axis=2) > 12
    assert moved[200:360, 160:320].mean() > 0.02
    assert moved[:10].sum() == moved[-10:].sum() == moved[:, :10].sum() == moved[:, -10:].sum() == 0


def test_it_sways_to_the_side_that_it_turns_to(content):
    with drawing(content) as drawn:
        dark = drawn.draw(face(jawOpen=1), np.float32([0, 0, 0])).copy().max(axis=2) < 70
        left = drawn.draw(face(jawOpen=1), np.float32([0.4, 0, 0])).copy().max(axis=2) < 70
    assert left.sum() < 1.3 * dark.sum()  # no edge is laid bare
    assert np.nonzero(left)[1].mean() > np.nonzero(dark)[1].mean() + 2


def test_its_background_is_its_photograph(content):
    with pytest.raises(InvalidVideo, match="photograph behind it"), drawing(content, background=(0, 0, 0)):
        pass


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_spoilt_gltf_is_refused_or_read(content, data):
    size = int.from_bytes(content[12:16], "little")
    spoilt = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        # Mostly in the document, where numbers point at others.
        end = 20 + size if data.draw(st.booleans()) else len(content)
        spoilt[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DamagedAvatar):
        scene = read_scene(bytes(spoilt))
        assert all(surface.triangles.max() < len(surface.points) for surface in scene.surfaces)
        assert all(np.isfinite(surface.moves).all() for surface in scene.surfaces)


@pytest.mark.parametrize("count", [1 << 20, 1 << 31, -1, "many"])
def test_one_of_too_many_vertices_is_refused(content, count):
    container = Container.unpacked(content)
    first = container.document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    container.document["accessors"][first]["count"] = count
    with pytest.raises(DamagedAvatar):
        read_scene(container.packed())


def test_a_texture_that_is_too_large_is_refused(content):
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.new("L", (5000, 10)).save(out, "PNG")
    container = Container.unpacked(content)
    view = container.add_view(np.frombuffer(out.getvalue(), np.uint8))
    container.document["images"][0]["bufferView"] = view
    with pytest.raises(DamagedAvatar, match="5000 by 10"):
        read_scene(container.packed())

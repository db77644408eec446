"""Drawing: what moves, where, and what stays."""

import threading

import numpy as np
import pytest
from drawn import drawing, face

from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.video import context
from emotalk_avatar.video import drawing as module
from emotalk_avatar.video.errors import InvalidVideo, NoDisplay
from emotalk_avatar.video.picturing import read_background, read_size
from emotalk_avatar.video.scene import read_scene
from emotalk_client.faces import head

pytestmark = pytest.mark.unit

SIZE = (256, 256)
MOUTH, EYES = np.s_[150:220, 90:170], np.s_[95:118, 80:180]


def difference(a, b):
    return np.abs(a.astype(int) - b).max(axis=2)


def test_a_jaw_opens_the_mouth_and_nothing_else():
    with drawing(size=SIZE) as drawn:
        rest, opened = drawn.draw(face()).copy(), drawn.draw(face(jawOpen=0.7)).copy()
    moved = difference(rest, opened) > 40
    assert moved[MOUTH].sum() > 300
    assert moved[:130].sum() == 0  # eyes, brows, forehead
    assert opened[MOUTH].min(axis=2).min() < 60  # a hole


def test_a_blink_shuts_the_eyes():
    with drawing(size=SIZE) as drawn:
        rest, shut = drawn.draw(face()).copy(), drawn.draw(face(eyeBlink=1)).copy()
    iris = lambda picture: ((picture[..., 2] > picture[..., 0]) & (picture[..., 2] < 160))[EYES].sum()  # noqa: E731
    assert iris(rest) > 60
    assert iris(shut) < 5


def test_a_face_at_rest_is_drawn_the_same_again():
    with drawing(size=SIZE) as drawn:
        first = drawn.draw(face()).copy()
        drawn.draw(face(jawOpen=1), np.float32([0.2, 0.1, 0.1]))
        assert np.array_equal(first, drawn.draw(face()))


def test_a_head_turns_the_way_that_its_angles_say():
    eyes = {}
    with drawing(size=SIZE, background=(128, 128, 128)) as drawn:
        for name, angles in {"rest": (0, 0, 0), "left": (0.4, 0, 0), "down": (0, 0.3, 0), "roll": (0, 0, 0.3)}.items():
            picture = drawn.draw(face(), np.float32(angles)).astype(int)
            eyes[name] = np.argwhere(picture[..., 2] > picture[..., 0] + 20)  # irises are blue
    middle = {name: found.mean(axis=0) for name, found in eyes.items()}
    assert middle["left"][1] > middle["rest"][1] + 8  # the person's left is the picture's right
    assert middle["down"][0] > middle["rest"][0] + 5
    right = eyes["roll"][eyes["roll"][:, 1] < middle["roll"][1]].mean(axis=0)  # the person's
    assert right[0] > middle["roll"][0] + 3  # towards the person's right shoulder


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (64, 64), (301, 299)])
def test_sizes(size):
    with drawing(size=size, background=(10, 200, 30)) as drawn:
        picture = drawn.draw(face(jawOpen=0.5))
    assert picture.shape == (size[1] & ~1, size[0] & ~1, 3)
    assert tuple(picture[0, 0]) == (10, 200, 30)
    covered = (difference(picture, np.full_like(picture, (10, 200, 30))) > 30).any(axis=0).mean()
    assert 0.15 < covered < 0.8


def test_only_the_face_is_drawn():
    with drawing(size=(1280, 720)) as drawn:
        _, _, width, height = drawn._view.box
        assert width * height < 0.5 * 1280 * 720


def test_an_outline_has_no_steps():
    with drawing(size=SIZE, background=(0, 0, 0)) as drawn:
        picture = drawn.draw(face()).astype(int).sum(axis=2)
    top = picture[40:120]  # beside the forehead it is nearly upright
    inside = np.median(top[:, 128])
    edges = [row[np.nonzero(row > 20)[0][0]] for row in top]
    assert np.mean(np.array(edges) < 0.75 * inside) > 0.3  # of whole pixels, none would be


def test_several_drawings_do_not_draw_into_each_other():
    with drawing(size=SIZE, background=(255, 0, 0)) as one, drawing(size=SIZE, background=(0, 0, 255)) as other:
        for _ in range(2):
            assert tuple(one.draw(face())[0, 0]) == (255, 0, 0)
            assert tuple(other.draw(face())[0, 0]) == (0, 0, 255)


def test_it_may_be_drawn_in_another_thread():
    with drawing(size=SIZE) as drawn:
        here = drawn.draw(face(jawOpen=0.3)).copy()
        there = []
        thread = threading.Thread(target=lambda: there.append(drawn.draw(face(jawOpen=0.3)).copy()))
        thread.start()
        thread.join()
        assert np.array_equal(here, there[0])


def test_without_a_driver_it_is_said_what_to_install(monkeypatch):
    moderngl = pytest.importorskip("moderngl")
    monkeypatch.setattr(moderngl, "create_standalone_context", _refuse)
    with pytest.raises(NoDisplay, match="libegl1 libgl1 libgl1-mesa-dri"):
        context.open_context()


def _refuse(**_):
    raise Exception("libEGL.so not loaded")  # noqa: TRY002  # as moderngl does


@pytest.mark.parametrize("content", [b"", b"glTF", head.read()[:2000], head.read()[:-2000], b"x" * 100])
def test_what_is_not_a_gltf_is_refused(content):
    with pytest.raises(DamagedAvatar, match="cannot be drawn"):
        read_scene(content)


@pytest.mark.parametrize("text", ["512", "x", "512x", "10x10", "9999x9999", "512 x 512", "-1x5"])
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(InvalidVideo, match="accepted: WIDTHxHEIGHT"):
        read_size(text)


@pytest.mark.parametrize("text", ["#12345", "red", "#gggggg", "/nowhere.png"])
def test_what_is_not_a_background_is_refused(text):
    with pytest.raises(InvalidVideo, match="#RRGGBB"):
        read_background(text, None)


def test_a_picture_behind_the_head_fills_the_video(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (100, 40), (1, 2, 3)).save(tmp_path / "wall.png")
    wall = read_background(str(tmp_path / "wall.png"), SIZE)
    assert wall.shape == (256, 256, 3)
    with drawing(size=SIZE, background=wall) as drawn:
        assert tuple(drawn.draw(face())[0, 0]) == (1, 2, 3)
    with pytest.raises(InvalidVideo, match="shape"):
        module.Drawing(size=(128, 128), background=wall)

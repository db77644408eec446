"""A face is judged by what can be measured of it, whatever its skin; refusals and warnings say what to do."""

import numpy as np
import pytest
from avatar_faces import face, picture, weights
from PIL import Image, ImageDraw

from emotalk_avatar import limits
from emotalk_avatar.errors import PoorPicture
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.quality import judge, measured, verdicts

pytestmark = pytest.mark.unit

GOOD = {
    "presence": 1.0,
    "interocular_px": 120.0,
    "yaw_deg": 2.0,
    "pitch_deg": -3.0,
    "roll_deg": 1.0,
    "inside": 1.0,
    "sharpness": 200.0,
    "contrast": 40.0,
    "eye_light": 150.0,
    "clipped": 0.0,
    "light_ratio": 1.05,
    "lip_gap": 0.01,
    "smile": 0.1,
    "blink": 0.05,
}


def covered(outline, width, height):
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon([tuple(point) for point in outline[:, :2].tolist()], fill=1)
    return np.asarray(mask)


def painted(skin, eyes=220, light=1.0, at=None):
    """A face of one skin with shading of a sixth, eyes of their own, and grain; and the face in it."""
    at = face() if at is None else at
    pixels = picture().pixels.astype(float)
    height, width = pixels.shape[:2]
    inside = covered(at.landmarks[list(mesh478.OVAL)], width, height)
    shading = 1 + np.sin((np.arange(width) - at.landmarks[10, 0]) / 30) / 6
    grain = 1 + np.random.default_rng(5).normal(0, 0.05, (height, width))
    pixels[inside] = (np.array(skin) * (shading * grain)[..., None])[inside]
    for side in ("Right", "Left"):
        eye = at.landmarks[[*mesh478.EYE_UPPER[side], *mesh478.EYE_LOWER[side][-2:0:-1]]]
        pixels[covered(eye, width, height)] = eyes
    return Picture(np.clip(pixels * light, 0, 255).astype(np.uint8)), at


def test_a_good_face_is_taken_without_a_word():
    quality = judge(*painted((180, 140, 120)))
    assert quality.warnings == ()
    assert set(quality.measures) == set(GOOD)
    assert all(isinstance(value, float) for value in quality.measures.values())


@pytest.mark.parametrize("skin", [(240, 215, 200), (200, 160, 130), (120, 80, 60), (70, 45, 35), (40, 27, 22)])
def test_no_skin_is_warned_of_in_a_good_light(skin):
    assert judge(*painted(skin)).warnings == ()


@pytest.mark.parametrize("skin", [(240, 215, 200), (120, 80, 60), (40, 27, 22)])
def test_every_skin_is_warned_of_in_the_dark_and_refused_in_the_night(skin):
    given, at = painted(skin, light=0.18)
    assert any("dark" in warning for warning in judge(given, at).warnings)
    given, at = painted(skin, light=0.05)
    with pytest.raises(PoorPicture, match=r"the picture is dark: .* More light, please"):
        judge(given, at)


def test_dark_is_not_blurred():
    light = measured(*painted((200, 160, 130)))
    dark = measured(*painted((200, 160, 130), light=0.3))
    assert dark["sharpness"] == pytest.approx(light["sharpness"], rel=0.15)


@pytest.mark.parametrize(("light", "refused"), [(1.0, False), (2.0, True)])
def test_what_is_white_all_over_is_refused(light, refused):
    given, at = painted((190, 175, 170), light=light)
    if not refused:
        assert judge(given, at).measures["clipped"] < limits.GOOD_CLIPPED
        return
    with pytest.raises(PoorPicture, match=r"overexposed: .* of the face are white"):
        judge(given, at)


def test_a_smooth_face_is_blurred():
    given, at = painted((180, 140, 120))
    smooth = Picture(np.full_like(given.pixels, 120) + (np.arange(given.width)[None, :, None] // 8).astype(np.uint8))
    with pytest.raises(PoorPicture, match="blurred: its sharpness is"):
        judge(smooth, at)


def test_light_from_the_side_is_warned_of():
    given, at = painted((150, 110, 90))
    falling = np.geomspace(4, 0.05, given.width)[None, :, None]
    shaded = Picture(np.clip(given.pixels * falling, 0, 255).astype(np.uint8))
    (warning,) = judge(shaded, at).warnings
    assert "from the side" in warning
    assert judge(shaded, at).measures["light_ratio"] < 1


@pytest.mark.parametrize("roll", [-0.5, 0.0, 0.7])
def test_a_leaning_head_is_measured_as_if_it_were_upright(roll):
    given, at = painted((180, 140, 120), at=face(roll=roll))
    found = measured(given, at)
    assert found["roll_deg"] == pytest.approx(np.degrees(roll), abs=1)
    assert abs(found["yaw_deg"]) < 1
    assert found["contrast"] == pytest.approx(measured(*painted((180, 140, 120)))["contrast"], rel=0.25)


@pytest.mark.parametrize(("yaw", "pitch"), [(15, 0), (-25, 0), (0, 12), (0, -20)])
def test_turns_are_read_from_the_landmarks(yaw, pitch):
    at = face()
    y, p = np.radians([yaw, pitch])
    # In a picture's axes: to the person's left is to the right; down is down.
    turn_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    turn_p = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    middle = at.landmarks.mean(axis=0)
    landmarks = ((at.landmarks - middle) @ (turn_y @ turn_p).T + middle).astype(np.float32)
    found = measured(picture(), Face(landmarks, at.weights, 1.0, at.box))
    assert (found["yaw_deg"], found["pitch_deg"]) == pytest.approx((yaw, pitch), abs=1.5)


def test_a_face_that_leaves_the_picture_is_cut_off():
    given, at = painted((180, 140, 120))
    with pytest.raises(PoorPicture, match=r"cut off by the picture's edge: 47 %"):
        judge(Picture(np.ascontiguousarray(given.pixels[:, : given.width // 2])), at)


@pytest.mark.parametrize(
    ("name", "refused", "warned", "says"),
    [
        ("presence", 0.89, None, "upright"),
        ("interocular_px", 39, 79, "larger or closer"),
        ("yaw_deg", 21, 13, "Look into the camera"),
        ("yaw_deg", -21, -13, "Look into the camera"),
        ("pitch_deg", 26, 19, "turned down by"),
        ("pitch_deg", -26, -19, "turned up by"),
        ("roll_deg", 90, 30, "Turn the picture upright"),
        ("inside", 0.8, 0.95, "room around the head"),
        ("sharpness", 7, 30, "blurred"),
        ("clipped", 0.4, 0.2, "Less light"),
        ("light_ratio", None, 1.7, "from the front"),
        ("light_ratio", None, 0.5, "from the front"),
        ("blink", 0.6, None, "Open eyes"),
        ("lip_gap", None, 0.1, "closed mouth"),
        ("smile", None, 0.6, "closed mouth"),
    ],
)
def test_each_measure_has_its_words(name, refused, warned, says):
    assert verdicts(GOOD) == ([], [])
    if refused is not None:
        ((refusal,), warnings) = verdicts({**GOOD, name: refused})
        assert says in refusal
        assert "accepted" in refusal
        assert warnings == []
    if warned is not None:
        (refusals, (warning,)) = verdicts({**GOOD, name: warned})
        assert refusals == []
        assert says in warning
        assert "good: " in warning


def test_all_that_is_refused_is_said_at_once_with_the_measures():
    given, at = painted((180, 140, 120), at=face(weights(eyeBlink=0.9), scale=250.0))
    with pytest.raises(PoorPicture, match=r"face is small.*; an eye is closed") as raised:
        judge(given, at)
    assert raised.value.measures["interocular_px"] < limits.MIN_INTEROCULAR_PX

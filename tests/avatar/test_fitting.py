"""The head fitted to faces that are made of the head itself: what must come out is known."""

import dataclasses
import json
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from avatar_faces import SIZE, face, picture, weights

from emotalk_avatar.face import Picture
from emotalk_avatar.fitting import fit, mesh478
from emotalk_avatar.fitting.base import base
from emotalk_avatar.fitting.plane import inside_by
from emotalk_avatar.fitting.posing import eye_distance, pose_of
from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.unit

VALIDATOR = Path(__file__).parents[1] / "gltf"


@pytest.mark.parametrize("roll", [0.0, 0.4, -1.2])
def test_the_pose_is_found(roll):
    pose = pose_of(base(), face(scale=1700, roll=roll))
    assert pose.scale == pytest.approx(1700, rel=1e-4)
    assert np.arctan2(pose.turn[1, 0], pose.turn[0, 0]) == pytest.approx(roll, abs=1e-3)
    assert pose.shift[:2] == pytest.approx([SIZE[0] / 2, SIZE[1] / 2], abs=0.1)


@pytest.mark.parametrize("wider", [0.9, 1.0, 1.1])
def test_landmarks_lie_where_the_picture_shows_them(wider):
    shown = face(wider=wider)
    fitted = fit(picture(), shown)
    left = base().at_landmarks(fitted.surface.shown)[:, :2] - shown.landmarks[:468, :2]
    assert np.linalg.norm(left, axis=1).mean() < 0.01 * eye_distance(shown)


def test_a_closed_mouth_rests_as_it_is_and_an_open_one_is_closed():
    closed = fit(picture(), face())
    assert not closed.neutral.any()
    assert np.array_equal(closed.surface.rest, closed.surface.shown)
    spoken = weights(jawOpen=0.4, mouthUpperUp=0.3)
    opened = fit(picture(), face(spoken))
    assert opened.neutral == pytest.approx(spoken, abs=0.12)
    gap = np.linalg.norm(np.subtract(*base().at_landmarks(opened.surface.rest)[[13, 14], :2]))
    assert gap < 0.03 * eye_distance(face())


def test_the_file_is_valid_has_the_52_and_is_small(tmp_path):
    content = fit(picture(), face(weights(jawOpen=0.3))).glb()
    assert len(content) <= 1.2e6
    file = pygltflib.GLTF2.load_from_bytes(content)
    (mesh,) = file.meshes
    assert mesh.extras["targetNames"][:52] == list(BLENDSHAPES)
    assert {len(primitive.targets) for primitive in mesh.primitives} == {len(mesh.extras["targetNames"])}
    assert [image.mimeType for image in file.images] == ["image/jpeg", "image/png", "image/png"]
    node = shutil.which("node")
    if node is None or not (VALIDATOR / "node_modules").is_dir():
        pytest.skip("Khronos' glTF validator is not installed: `npm ci --prefix tests/gltf`")
    (tmp_path / "avatar.glb").write_bytes(content)
    done = subprocess.run(
        [node, VALIDATOR / "validate.mjs", tmp_path / "avatar.glb"], check=True, capture_output=True, text=True
    )
    issues = json.loads(done.stdout)["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_a_fit_takes_less_than_half_a_second_of_cpu():
    fit(picture(), face()).glb()  # reads the head, once a process
    start = time.process_time()
    fit(picture(), face(weights(jawOpen=0.3))).glb()
    assert time.process_time() - start < 0.5


def test_a_part_of_a_large_picture_is_kept():
    far = face(scale=400)
    large = Picture(np.zeros((1400, 2600, 3), np.uint8))
    at = dataclasses.replace(far, landmarks=far.landmarks + np.array([1500, 300, 0], np.float32))
    fitted = fit(large, at)
    left, top, width, height = fitted.frame.crop
    assert max(fitted.frame.size) <= 1024
    assert width < 600
    assert left + width <= 2600
    assert top + height <= 1400
    assert fitted.face.landmarks[:, :2].min() > 0
    assert (fitted.face.landmarks[:, :2].max(axis=0) < fitted.frame.size).all()
    assert (np.array(fitted.picture.pixels.shape[1::-1]) == fitted.frame.size).all()


def test_glasses_stay_when_brows_rise():
    seen, up = face(), weights(browInnerUp=1, browOuterUp=1, mouthSmile=1, jawOpen=0.5)
    without, worn = fit(picture(), seen).surface, fit(picture(), seen, glasses=True).surface
    near = np.linalg.norm(without.shown[:, :2] - seen.landmarks[[159, 145], :2].mean(axis=0), axis=1) < 35
    moved = [
        np.linalg.norm(np.tensordot(up, one.moves, 1)[near & (base().facing > 0)], axis=1) for one in (without, worn)
    ]
    assert moved[0].max() > 5
    assert moved[1].max() < 0.2 * moved[0].max()
    mouth = [78, 13, 14]
    assert np.allclose(*(base().at_landmarks(np.tensordot(up, one.moves, 1))[mouth] for one in (without, worn)), atol=1)


def test_a_look_moves_the_iris_and_neither_the_eyes_rim_nor_skin_over_it():
    fitted = fit(picture(), face())
    layers = {layer.name: layer for layer in fitted.layers}
    upper, lower = (table["Left"] for table in (mesh478.EYE_UPPER, mesh478.EYE_LOWER))
    opening = fitted.face.landmarks[[*upper, *lower[-2:0:-1]], :2].astype(np.float64)
    away = layers["eyes"].moves["eyeLookOutLeft"]
    iris = np.linalg.norm(layers["eyes"].points[:, :2] - fitted.face.landmarks[473, :2], axis=1).argmin()
    wide = np.ptp(opening[:, 0])
    assert 0.03 * wide < away[iris, 0] < 0.2 * wide  # the picture's right is the person's left
    outside = inside_by(layers["eyes"].points[:, :2], opening) < -0.03 * wide
    assert outside.any()
    assert not away[outside].any()
    deep = inside_by(layers["face"].points[:, :2], opening) > 0.02 * fitted.surface.eyes
    assert not deep.any()


def test_a_noisy_picture_of_full_size_makes_no_larger_file():
    size = 1024
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    far = face(scale=3300)
    middle = dataclasses.replace(far, landmarks=far.landmarks + np.array([272, 232, 0], np.float32))
    fitted = fit(Picture(noise), middle)
    assert fitted.frame.size == (size, size)
    assert len(fitted.glb()) <= 1.2e6

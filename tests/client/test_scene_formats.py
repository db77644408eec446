"""The head and the files that carry it: .glb before Khronos' validator and pygltflib, USD before OpenUSD's own."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from head_lips import accessor
from pxr import Usd, UsdGeom, UsdSkel, UsdValidation

from emotalk_client import Animation
from emotalk_client.errors import MissingExtra, UnreadableAnimation
from emotalk_client.faces import head
from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.unit

VALIDATOR = Path(__file__).parents[1] / "gltf"
USD = (".usd", ".usda", ".usdc")


@pytest.fixture
def face():
    weights = np.random.default_rng(0).uniform(0, 1, (95, 52)).astype(np.float32)
    return Animation(weights, np.arange(95) / 30)


def khronos(path):
    """The validator's report."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Khronos' glTF validator needs node, which is not installed here")
    if not (VALIDATOR / "node_modules").is_dir():
        pytest.skip("Khronos' glTF validator is not installed: `npm ci --prefix tests/gltf` (`make test` tries it)")
    done = subprocess.run([node, VALIDATOR / "validate.mjs", path], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


# The head --------------------------------------------------------------------------------------


def test_the_head_is_valid_small_and_has_the_52_by_name():
    report = khronos(head.path())
    assert report["issues"]["messages"] == []
    assert head.path().stat().st_size <= 1.5e6
    file = pygltflib.GLTF2.load_from_bytes(head.read())
    (mesh,) = file.meshes
    assert sorted(mesh.extras["targetNames"]) == sorted(BLENDSHAPES)
    assert {len(primitive.targets) for primitive in mesh.primitives} == {52}
    assert {material.name for material in file.materials} >= {"skin", "teeth", "tongue", "sclera", "iris", "pupil"}
    assert "CC0" in file.asset.copyright


def test_parts_have_the_colours_of_the_file():
    parts = {part.name: part for part in head.parts()}
    assert parts["skin"].colours.shape == (len(parts["skin"].points), 4)
    assert np.allclose(parts["skin"].colours[:, 3], 1)
    assert parts["sclera"].colours[:, :3].max() > 0.8
    assert 0.7 < parts["hair"].colours[:, 3].max() <= 1


def test_each_blendshape_moves_its_own_side_of_the_head():
    parts = {part.name: part for part in head.parts()}
    skin = parts["skin"]
    for name in BLENDSHAPES:
        moved = [part for part in parts.values() if name in part.moves]
        assert moved, name
        reach = max(float(np.linalg.norm(part.moves[name].offsets, axis=1).max()) for part in moved)
        assert 0.001 < reach < 0.06, name  # metres
        if name.endswith(("Left", "Right")) and not name.startswith(("jaw", "mouthLeft", "mouthRight", "eyeLook")):
            move = skin.moves[name]
            x = skin.points[move.vertices, 0]
            share = np.linalg.norm(move.offsets, axis=1)
            assert (np.average(x, weights=share) > 0.005) == name.endswith("Left"), name
    jaw = skin.moves["jawOpen"].offsets[:, 1]
    assert jaw.min() < -0.02
    pupil = parts["pupil"].moves["eyeLookUpLeft"]
    assert pupil.offsets[:, 1].max() > 0.002


def test_the_head_is_closed_and_its_normals_are_of_unit_length():
    for part in head.parts():
        np.testing.assert_allclose(np.linalg.norm(part.normals, axis=1), 1, atol=1e-3)
        assert part.triangles.max() == len(part.points) - 1
        assert np.isfinite(part.points).all()
        assert np.abs(part.points).max() < 0.25


def test_a_container_keeps_its_arrays_aligned_and_reads_them_again():
    container = head.Container({"asset": {"version": "2.0"}})
    odd = container.add_array(np.arange(5, dtype=np.uint8), "SCALAR")
    even = container.add_array(np.arange(6, dtype=np.float32).reshape(2, 3), "VEC3")
    again = head.Container.unpacked(container.packed())
    assert [view["byteOffset"] % 4 for view in again.document["bufferViews"]] == [0, 0]
    np.testing.assert_array_equal(again.array(odd), np.arange(5))
    np.testing.assert_array_equal(again.array(even), np.arange(6).reshape(2, 3))


# glTF ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [None, 24, 60])
def test_glb_is_valid_for_khronos(tmp_path, face, fps):
    face.save(tmp_path / "face.glb", fps=fps)
    report = khronos(tmp_path / "face.glb")
    assert report["issues"]["messages"] == []
    assert report["info"]["animationCount"] == 1


def test_glb_has_its_weights_by_name_for_a_foreign_reader(tmp_path, face):
    face.save(tmp_path / "face.glb", fps=60)
    expected = face.resampled(60)
    file = pygltflib.GLTF2().load(tmp_path / "face.glb")
    (animation,) = file.animations
    (channel,) = animation.channels
    assert channel.target.path == "weights"
    names = file.meshes[file.nodes[channel.target.node].mesh].extras["targetNames"]
    sampler = animation.samplers[channel.sampler]
    seconds = accessor(file, sampler.input)[:, 0]
    weights = accessor(file, sampler.output).reshape(len(seconds), len(names))
    np.testing.assert_allclose(seconds, np.arange(190) / 60, atol=1e-6)
    for name in BLENDSHAPES:
        np.testing.assert_array_equal(weights[:, names.index(name)], expected.channel(name))


def test_glb_goes_by_the_meshs_own_order(tmp_path, face, monkeypatch):
    """A head whose targets lie in another order gets its weights in that order."""
    container = head.Container.unpacked(head.read())
    names = head.target_names(container)[::-1]
    container.document["meshes"][0]["extras"]["targetNames"] = names
    other = container.packed()
    monkeypatch.setattr(head, "read", lambda: other)
    face.save(tmp_path / "face.glb")
    file = pygltflib.GLTF2().load(tmp_path / "face.glb")
    weights = accessor(file, file.animations[0].samplers[0].output).reshape(95, 52)
    np.testing.assert_array_equal(weights, face.weights[:, [BLENDSHAPES.index(name) for name in names]])
    np.testing.assert_array_equal(Animation.load(tmp_path / "face.glb").weights, face.weights)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:1000], "ends within a chunk"),
        (lambda data: data[:14], "ends within a chunk's head"),
        (
            lambda data: data.replace(b'"extras":{"fps":30}', b'"extras":{"fps":-1}'),
            r"its fps is -1; accepted: 1\.\.240",
        ),
        (lambda data: data.replace(b'"path":"weights"', b'"path":["eight"]'), "no animation of morph weights"),
        (lambda data: data.replace(b'"targetNames"', b'"targetNamez"'), "does not name its morph targets"),
        (lambda data: b"\0\0\0\0" + data[4:], "does not start with glTF"),
        (lambda data: head.read(), "no animation of morph weights"),
    ],
)
def test_a_damaged_glb_says_what_is_wrong(tmp_path, face, damage, words):
    path = tmp_path / "face.glb"
    face.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableAnimation, match=words):
        Animation.load(path)


def test_a_glb_that_says_no_rate_is_read_at_that_of_its_times(tmp_path, face):
    def unsaid(animation):
        animation.save(tmp_path / "face.glb", fps=24)
        data = (tmp_path / "face.glb").read_bytes()
        (tmp_path / "face.glb").write_bytes(data.replace(b'"extras":{"fps":24.0}', b'"extras":{"fbs":24.0}'))
        return tmp_path / "face.glb"

    assert Animation.load(unsaid(face)).fps == pytest.approx(24, abs=1e-3)
    one = Animation(face.weights[:1], face.timecodes[:1])
    assert Animation.load(unsaid(one)).fps == 30
    assert Animation.load(unsaid(one), fps=24).fps == 24


# USD -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", USD)
def test_usd_is_valid_and_has_its_weights_by_name(tmp_path, face, suffix):
    path = tmp_path / f"face{suffix}"
    face.save(path, fps=24)
    expected = face.resampled(24)
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 5
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [(str(issue.GetName()), issue.GetMessage()) for issue in found] == []
    assert stage.GetTimeCodesPerSecond() == 24
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, 75)
    assert stage.GetDefaultPrim().IsA(UsdSkel.Root)
    (clip,) = [UsdSkel.Animation(prim) for prim in stage.Traverse() if prim.IsA(UsdSkel.Animation)]
    names = list(clip.GetBlendShapesAttr().Get())
    assert sorted(names) == sorted(BLENDSHAPES)
    for frame in (0, 7, 75):
        row = np.array(clip.GetBlendShapeWeightsAttr().Get(frame))
        np.testing.assert_allclose(row, [expected.channel(name)[frame] for name in names], atol=1e-6)


def test_usd_deforms_the_head_as_the_weights_say(tmp_path, face):
    """OpenUSD's own skinning moves the skin by weight times offset."""
    only = np.zeros((2, 52), np.float32)
    only[1, BLENDSHAPES.index("jawOpen")] = 0.5
    Animation(only, np.arange(2) / 30).save(tmp_path / "face.usdc")
    stage = Usd.Stage.Open(str(tmp_path / "face.usdc"))
    rest = np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/Head/skin")).GetPointsAttr().Get(1))
    assert UsdSkel.BakeSkinning(stage.Traverse())
    moved = np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/Head/skin")).GetPointsAttr().Get(1)) - rest
    move = next(part for part in head.parts() if part.name == "skin").moves["jawOpen"]
    expected = np.zeros_like(moved)
    expected[move.vertices] = 0.5 * move.offsets
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_usda_is_text_and_the_others_are_binary(tmp_path, face):
    for suffix in USD:
        face.save(tmp_path / f"face{suffix}")
        start = (tmp_path / f"face{suffix}").read_bytes()[:8]
        assert start == (b"#usda 1." if suffix == ".usda" else b"PXR-USDC")


def test_without_usd_core_the_extra_is_named_before_anything_is_written(tmp_path, face, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pxr", None)
    with pytest.raises(MissingExtra, match=re.escape("emotalk-triton[formats]")):
        face.save(tmp_path / "face.usda")
    assert list(tmp_path.iterdir()) == []
    face.save(tmp_path / "face.glb")  # needs nothing

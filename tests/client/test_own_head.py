"""Heads of one's own: what is read, what is missing, what is refused, and animations of them."""

import json
import struct

import heads
import numpy as np
import pygltflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client import Animation, UnreadableHead
from emotalk_client.faces import head
from emotalk_client.faces.head import own
from emotalk_client.faces.head.own import OwnHead
from emotalk_client.faces.life import Life
from emotalk_client.faces.rotations import HEAD, quaternions
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.errors import InvalidOption

pytestmark = pytest.mark.unit

MADE = heads.made()


def speaking(frames=20):
    weights = np.random.default_rng(3).uniform(0, 0.5, (frames, 52)).astype(np.float32)
    return Animation(weights, np.arange(frames) / 30)


@pytest.mark.parametrize("name", list(MADE))
def test_heads_are_read_in_their_own_words(name):
    content, vocabulary = MADE[name]
    found = OwnHead.of(content, name)
    assert found.vocabulary == vocabulary
    assert found.missing == (("cheekPuff", "tongueOut") if name == "partly.glb" else ())
    assert found.words().startswith(f"{name} speaks ")
    moves = {
        one
        for expression in found.expressions
        for one, on in zip(BLENDSHAPES, expression.column, strict=True)
        if on > 0
    }
    assert {"jawOpen", "eyeBlinkLeft", "eyeBlinkRight"} <= moves


def test_what_is_missing_is_told():
    few = heads.renamed(lambda name: name if name.startswith(("jaw", "mouth")) else None)
    words = OwnHead.of(few, "few.glb").words()
    assert words.startswith("few.glb speaks ARKit's blendshapes: 27 of 52; missing: browDownLeft, ")
    assert words.endswith(" and 17 more")


def test_no_blink_is_moved_twice():
    both = heads.posed({**heads.every_pose("vrm"), "blink": {"eyeBlinkLeft": 1, "eyeBlinkRight": 1}})
    names = {expression.name for expression in OwnHead.of(both, "x.glb").expressions}
    assert {"blinkLeft", "blinkRight"} <= names
    assert "blink" not in names
    poses = {name: pose for name, pose in heads.every_pose("vrm").items() if not name.startswith("blink")}
    one = OwnHead.of(heads.posed({**poses, "blink": {"eyeBlinkLeft": 1, "eyeBlinkRight": 1}}), "x.glb")
    shared = {expression.name: expression.column for expression in one.expressions}["blink"]
    assert shared[INDEX["eyeBlinkLeft"]] == shared[INDEX["eyeBlinkRight"]] == pytest.approx(0.5, abs=0.03)
    assert one.missing == ()


@pytest.mark.parametrize("name", list(MADE))
def test_an_animation_moves_the_targets_of_the_file(name, tmp_path):
    face = speaking()
    found = OwnHead.of(MADE[name][0], name)
    face.save(tmp_path / "face.glb", head=found)
    read = pygltflib.GLTF2().load(str(tmp_path / "face.glb"))
    (animation,) = read.animations
    channel = animation.channels[0]
    assert (channel.target.path, channel.target.node) == ("weights", 0)
    accessor = read.accessors[animation.samplers[0].output]
    view = read.bufferViews[accessor.bufferView]
    values = np.frombuffer(read.binary_blob(), "<f4", accessor.count, view.byteOffset).reshape(len(face), -1)
    assert values.shape[1] == len(read.meshes[0].primitives[0].targets)
    assert values.max() <= 1 + 1e-6
    if name == "pascal.glb":
        np.testing.assert_allclose(Animation.load(tmp_path / "face.glb").weights, face.weights, atol=1e-6)
    if name == "perfect.vrm":
        np.testing.assert_allclose(values, face.weights[:, [INDEX[one] for one in _order()]], atol=1e-6)


def _order():
    return head.target_names(own.Container.unpacked(head.read()))


@pytest.mark.parametrize("version", [0, 1])
def test_bones_turn_the_head_as_the_face_turns(version, tmp_path):
    """A VRM 0.x looks the other way; to its own left is to its own left."""
    found = OwnHead.of(heads.vrm(version, looks=False), "x.vrm")
    rotations = np.zeros((1, 9), np.float32)
    rotations[0, :3] = 0.3, 0.2, 0.1
    turned = found.turned(rotations)
    document = found.container().document
    by_bone = {document["nodes"][node]["name"]: quaternion[0] for node, quaternion in turned.items()}
    assert set(by_bone) == {"J_head", "J_leftEye", "J_rightEye"}
    right = quaternions(rotations[:, HEAD])[0]
    np.testing.assert_allclose(by_bone["J_head"], right * ([-1, 1, -1, 1] if version == 0 else 1), atol=1e-6)
    np.testing.assert_allclose(by_bone["J_leftEye"], [0, 0, 0, 1], atol=1e-6)


def test_eyes_that_expressions_turn_are_not_turned_by_bones_too():
    found = OwnHead.of(heads.vrm(1), "x.vrm")
    names = [found.container().document["nodes"][node]["name"] for node in found.turned(np.ones((1, 9), np.float32))]
    assert names == ["J_head"]


def test_a_bone_below_others_turns_about_the_faces_axes():
    """Parents that are turned themselves: what counts is where the face goes."""

    def change(document):
        nodes = document["nodes"]
        place = next(i for i, node in enumerate(nodes) if node["name"] == "J_head")
        nodes[place]["rotation"] = quaternions(np.array([[0.5, 0.1, -0.4]]))[0].tolist()
        nodes.append(
            {"name": "spine", "rotation": quaternions(np.array([[-0.2, 1.1, 0.3]]))[0].tolist(), "children": [place]}
        )

    container = OwnHead.of(heads.vrm(1), "x.vrm").container()
    change(container.document)
    found = OwnHead.of(container.packed(), "x.vrm")
    rotations = np.zeros((1, 9), np.float32)
    rotations[0, :3] = 0.3, 0.2, 0.1
    ((node, after),) = ((node, q[0]) for node, q in found.turned(rotations).items())
    nodes = found.container().document["nodes"]
    above = np.array(next(one for one in nodes if node in one.get("children", []))["rotation"])
    whole = own.product(above, after)  # in the world, where the face lies
    rest = own.product(above, np.array(nodes[node]["rotation"]))
    np.testing.assert_allclose(
        own.product(whole, rest * [-1, -1, -1, 1]), quaternions(rotations[:, HEAD])[0], atol=1e-6
    )


def test_the_packaged_head_turns_about_its_neck(tmp_path):
    face = speaking(60).lively(Life(1, 1, 1))
    face.save(tmp_path / "face.glb")
    read = pygltflib.GLTF2().load(str(tmp_path / "face.glb"))
    targets = {channel.target.path: channel.target.node for channel in read.animations[0].channels}
    neck = read.nodes[targets["rotation"]]
    assert neck.name == "neck"
    assert neck.children == [targets["weights"]]
    np.testing.assert_allclose(np.add(neck.translation, read.nodes[0].translation), 0)
    np.testing.assert_allclose(Animation.load(tmp_path / "face.glb").weights, face.weights, atol=1e-6)


def test_only_glb_has_a_head_of_ones_own(tmp_path):
    with pytest.raises(InvalidOption, match=r"accepted: \.glb"):
        speaking().save(tmp_path / "face.csv", head=OwnHead.of(head.read(), "x.glb"))


def refused(content, said, name="x.glb"):
    with pytest.raises(UnreadableHead, match=said):
        OwnHead.of(content, name)


@pytest.mark.parametrize(
    ("extension", "said"),
    [
        ("KHR_draco_mesh_compression", "packed with Draco"),
        ("EXT_meshopt_compression", "packed with meshopt"),
        ("KHR_texture_basisu", "Basis"),
    ],
)
def test_packings_that_are_not_read_are_named(extension, said):
    refused(heads.packed_with(extension), said)


def test_files_that_are_not_whole_are_refused():
    refused(
        heads.changed(lambda d: d.update(images=[{"uri": "../../etc/passwd"}])), "images outside.*'../../etc/passwd'"
    )
    content = own.Container.unpacked(head.read())
    text = json.dumps({**content.document, "buffers": [{"byteLength": 9, "uri": "https://example.org/x.bin"}]}).encode()
    text += b" " * (-len(text) % 4)
    refused(
        struct.pack("<4sII", b"glTF", 2, 20 + len(text)) + struct.pack("<I4s", len(text), b"JSON") + text,
        "buffers outside",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not start with glTF"),
        (b'{"asset": {}}', "glTF as text"),
        (b"PK\x03\x04", "does not start with glTF"),
        (head.read()[:1000], "ends within a chunk"),
        (heads.renamed(lambda name: None), r"its 52 expressions \(shape0, .* and 44 more\) are not in any vocabulary"),
        (heads.changed(lambda d: d["meshes"][0].pop("extras")), "have no names"),
        (heads.changed(lambda d: d.update(meshes=[])), "have no names"),
        (heads.changed(lambda d: d.update(meshes=[{"primitives": []}])), "not glTF as its specification"),
        (heads.changed(lambda d: d.update(extensions={"VRM": []})), "not glTF as its specification"),
    ],
)
def test_what_is_not_a_head_is_refused_in_words(content, said):
    refused(content, said)


def test_a_file_that_is_too_large_or_missing_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "MAX_HEAD_BYTES", 1 << 20)
    path = tmp_path / "big.glb"
    path.write_bytes(head.read())
    with pytest.raises(UnreadableHead, match=r"big.glb has \d MiB; accepted: at most 1 MiB"):
        OwnHead.load(path)
    for wrong in (tmp_path / "none.glb", tmp_path):
        with pytest.raises(UnreadableHead, match="cannot be read"):
            OwnHead.load(wrong)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_heads_are_refused_or_read_and_never_anything_else(data):
    content = bytearray(MADE[data.draw(st.sampled_from(["one.vrm", "zero.vrm", "rpm.glb"]))][0])
    size = struct.unpack_from("<I", content, 12)[0]
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(20, 19 + size))] = data.draw(st.sampled_from(b'0123456789{}[],:"-x'))
    try:
        found = OwnHead.of(bytes(content), "x.glb")
        found.weights(np.zeros((1, 52), np.float32))
        found.turned(np.zeros((1, 9), np.float32))
    except UnreadableHead:
        pass

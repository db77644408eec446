"""Heads of other makings, made of the packaged one: other names, other vocabularies, VRM, bones."""

from __future__ import annotations

import numpy as np

from emotalk_client.faces import head
from emotalk_client.faces.head.container import Container
from emotalk_client.faces.vocabularies import POSES
from emotalk_contract.arkit import BLENDSHAPES


def changed(change):
    """The packaged head after ``change(document)``."""
    container = Container.unpacked(head.read())
    change(container.document)
    return container.packed()


def renamed(name):
    """Targets under other names: ``name(arkit)``; None: the target has none of these."""

    def change(document):
        extras = document["meshes"][0]["extras"]
        extras["targetNames"] = [name(one) or f"shape{i}" for i, one in enumerate(extras["targetNames"])]

    return changed(change)


def posed(poses, keep=()):
    """A head whose targets are ``poses``, name → {blendshape: amount}, and those of ``keep``."""
    container = Container.unpacked(head.read())
    mesh = container.document["meshes"][0]
    names = mesh["extras"]["targetNames"]
    wanted = {**poses, **{name: {name: 1.0} for name in keep}}
    for primitive in mesh["primitives"]:
        count = container.document["accessors"][primitive["attributes"]["POSITION"]]["count"]
        targets = []
        for pose in wanted.values():
            offsets = np.zeros((count, 3), np.float32)
            for name, amount in pose.items():
                vertices, moves = container.sparse(primitive["targets"][names.index(name)]["POSITION"])
                offsets[vertices] += np.float32(amount) * moves.reshape(-1, 3)
            targets.append({"POSITION": container.add_array(offsets, "VEC3", bounds=True)})
        primitive["targets"] = targets
    mesh["extras"]["targetNames"] = list(wanted)
    mesh["weights"] = [0.0] * len(wanted)
    return container.packed()


def every_pose(name):
    """All poses of a vocabulary."""
    return {one: pose for poses in POSES[name].values() for one, pose in poses.items()}


def vrm(version, custom=(), looks=True):
    """A VRM: expressions that move targets whose own names say nothing, bones of a head and of eyes, and ``custom``
    clips by name → the blendshape that each moves. Without ``looks`` eyes turn by their bones only.
    """
    names = BLENDSHAPES if version == 0 else sorted(BLENDSHAPES, reverse=True)
    poses = every_pose("vrm0" if version == 0 else "vrm")
    if not looks:
        poses = {name: pose for name, pose in poses.items() if not name.lower().startswith("look")}

    def change(document):
        mesh = document["meshes"][0]
        place = {name: i for i, name in enumerate(mesh["extras"]["targetNames"])}
        mesh["extras"]["targetNames"] = [f"Fcl_{i}" for i in range(len(names))]
        front = -1 if version == 0 else 1
        bones = [
            ("head", [0.0, -0.1, 0.0]),
            ("leftEye", [front * 0.03, 0.13, front * 0.06]),
            ("rightEye", [-front * 0.03, 0.13, front * 0.06]),
        ]
        first = len(document["nodes"])
        document["nodes"] += [{"name": f"J_{bone}", "translation": place_} for bone, place_ in bones]
        document["nodes"][first]["children"] = [first + 1, first + 2]
        document["scenes"][0]["nodes"].append(first)
        human = {bone: first + i for i, (bone, _) in enumerate(bones)}
        clips = {**poses, **{name: {arkit: 1.0} for name, arkit in dict(custom).items()}}
        if version == 0:
            document["nodes"][0]["rotation"] = [0, 1, 0, 0]  # it looks against z
            document["extensionsUsed"] = ["VRM"]
            groups = []
            for name, pose in clips.items():
                binds = [{"mesh": 0, "index": place[one], "weight": 100 * amount} for one, amount in pose.items()]
                preset = name.lower() if name in poses else "unknown"
                groups.append({"name": name, "presetName": preset, "binds": binds})
            document["extensions"] = {
                "VRM": {
                    "blendShapeMaster": {"blendShapeGroups": groups},
                    "humanoid": {"humanBones": [{"bone": bone, "node": node} for bone, node in human.items()]},
                }
            }
        else:
            document["extensionsUsed"] = ["VRMC_vrm"]
            preset, own = {}, {}
            for name, pose in clips.items():
                binds = [{"node": 0, "index": place[one], "weight": amount} for one, amount in pose.items()]
                (preset if name in poses else own)[name] = {"morphTargetBinds": binds}
            document["extensions"] = {
                "VRMC_vrm": {
                    "specVersion": "1.0",
                    "expressions": {"preset": preset, "custom": own},
                    "humanoid": {"humanBones": {bone: {"node": node} for bone, node in human.items()}},
                }
            }

    return changed(change)


def packed_with(extension):
    """A head that says it is compressed."""
    return changed(lambda document: document.update(extensionsUsed=[extension], extensionsRequired=[extension]))


def made():
    """Every head that can be read, by name, with the vocabulary that moves its mouth."""
    return {
        "camel.glb": (head.read(), "arkit"),
        "pascal.glb": (renamed(lambda name: name[0].upper() + name[1:]), "arkit"),
        "snake.glb": (renamed(lambda name: "BS." + name.replace("Left", "_L").replace("Right", "_R")), "arkit"),
        "partly.glb": (renamed(lambda name: None if name in ("tongueOut", "cheekPuff") else name), "arkit"),
        "oculus.glb": (posed(every_pose("oculus"), ("eyeBlinkLeft", "eyeBlinkRight", "browInnerUp")), "oculus"),
        "rpm.glb": (posed(every_pose("rpm")), "rpm"),
        "one.vrm": (vrm(1), "vrm"),
        "zero.vrm": (vrm(0), "vrm0"),
        "perfect.vrm": (vrm(0, {name[0].upper() + name[1:]: name for name in BLENDSHAPES}), "arkit"),
    }

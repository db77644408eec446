"""``--head``, ``--map`` and ``--life``: heads and names of one's own, and life, in files and outputs."""

import csv
import socket
import sys

import heads
import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from typer.testing import CliRunner

from emotalk_cli import main
from emotalk_cli.app import app
from emotalk_client import Animation
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.formats import gltf
from emotalk_client.faces.head.container import Container
from emotalk_client.faces.life import Life
from emotalk_client.faces.living import LivingFrames
from emotalk_client.faces.vocabularies import vocabulary
from emotalk_contract.arkit import HEAD_AND_EYE_ROTATIONS

pytestmark = pytest.mark.unit


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def refused(monkeypatch, capsys):
    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["emotalk", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code in (1, 2)
        return " ".join(capsys.readouterr().err.replace("│", " ").split())

    return said


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.vrm"
    path.write_bytes(heads.made()["one.vrm"][0])
    return path


def test_files_show_the_head_and_say_the_names_that_were_asked_for(served, speech, tmp_path, own):
    arguments = ["-o", tmp_path / "out", "--format", "glb,csv,npy", "--head", own, "--map", "oculus"]
    assert run("animate", speech, *arguments).exit_code == 0
    document = Container.unpacked((tmp_path / "out" / "speech.glb").read_bytes()).document
    assert "VRMC_vrm" in document["extensions"]
    assert document["animations"][0]["name"] == gltf.NAME
    (header, *rows) = csv.reader((tmp_path / "out" / "speech.csv").read_text().splitlines())
    assert header[2:-9] == list(vocabulary("oculus").names)
    assert len(rows) == 30


def test_life_is_written_where_it_is_asked_for(served, speech, tmp_path):
    for name, more in (("still", []), ("lively", ["--life", "head=1", "--life", "idle=0.5", "--seed", "3"])):
        assert run("animate", speech, "-o", tmp_path / name, "--format", "npy,csv,jsonl", *more).exit_code == 0
    still = Animation.load(tmp_path / "still" / "speech.jsonl")
    assert still.rotations is None
    right = still.lively(Life(head=1, idle=0.5, seed=3))
    for suffix in ("csv", "jsonl"):
        found = Animation.load(tmp_path / "lively" / f"speech.{suffix}")
        np.testing.assert_allclose(found.rotations, right.rotations, atol=1e-6)
        np.testing.assert_allclose(found.weights, right.weights, atol=1e-6)


def test_a_live_stream_lives_as_the_file_does(served, speech, tmp_path):
    life = ["--life", "head=0.5", "--life", "gaze=0.5", "--life", "idle=0.5"]
    for name, more in (("still", []), ("lively", life)):
        assert run("live", speech, "-o", tmp_path / f"{name}.jsonl", *more).exit_code == 0
    right = Animation.load(tmp_path / "still.jsonl").lively(Life(0.5, 0.5, 0.5))
    found = Animation.load(tmp_path / "lively.jsonl")
    np.testing.assert_allclose(found.rotations, right.rotations, atol=1e-6)
    np.testing.assert_allclose(found.weights, right.weights, atol=1e-6)


def test_vmc_speaks_the_names_that_were_asked_for_and_turns_bones(served, speech, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(60)
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        arguments = ["--vmc", address, "--map", "vrm", "--life", "head=1", "-o", tmp_path / "x.jsonl"]
        assert run("live", speech, *arguments).exit_code == 0
        messages = list(OscBundle(listening.recv(65536)))
    bones = [message.params[0] for message in messages if message.address == "/VMC/Ext/Bone/Pos"]
    names = [message.params[0] for message in messages if message.address == "/VMC/Ext/Blend/Val"]
    assert bones == ["Head", "LeftEye", "RightEye"]
    assert names == list(vocabulary("vrm").names)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "x.npy", "--head", "OWN"], "nothing that is written takes it; accepted with: .glb"),
        (["-o", "x.glb", "--map", "vrm"], "accepted with: .csv, --vmc"),
        (["-o", "x.glb", "--head", "none.glb"], "UnreadableHead: none.glb cannot be read"),
        (["-o", "x.csv", "--map", "klingon"], "InvalidMap: the map is 'klingon'; accepted: arkit, pascal, oculus"),
        (["-o", "x.csv", "--life", "head=2"], "InvalidOption: head is 2.0; accepted: 0..1"),
        (["-o", "x.csv", "--life", "hair=1"], "'hair'; accepted: head, gaze, idle"),
        (["-o", "x.csv", "--life", "head"], "'head'; accepted: NAME=NUMBER"),
    ],
)
def test_mistakes_are_found_before_a_server_is_asked(refused, served, speech, own, arguments, words):
    arguments = [str(own) if argument == "OWN" else argument for argument in arguments]
    assert words in refused("animate", speech, *arguments)
    assert not served.sent


def test_frames_that_were_left_out_and_utterances_that_begin_anew():
    weights = np.random.default_rng(1).uniform(0, 0.6, (60, 52)).astype(np.float32)
    weights[20:23] = weights[19]  # left out below: they count as the one before them
    whole = Life(1, 1, 1).of(weights)
    living = LivingFrames(Life(1, 1, 1))
    for _ in range(2):
        frames = [Frame(i, i / 30, weights[i]) for i in range(60) if not 20 <= i < 23]
        for frame in living.of(frames):
            np.testing.assert_array_equal(frame.rotations, whole.rotations[frame.index])
            np.testing.assert_array_equal(frame.weights, whole.weights[frame.index])
    assert living.of([]) == []
    assert len(HEAD_AND_EYE_ROTATIONS) == 9

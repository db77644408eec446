"""A client of the EmoTalk service with stubs compiled from its proto, in a process of its own, over a real Triton."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from asking import RATE, VOICE
from grpc_tools import protoc

import emotalk_gateway.grpc
from emotalk_client import EmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_gateway.grpc.emotalk.door import emotalk_door

pytestmark = pytest.mark.server

PROTOS = Path(emotalk_gateway.grpc.__file__).parent / "protos"
CALLER = Path(__file__).parents[2] / "helpers" / "emotalk_caller.py"
SECONDS = 5
HANG_S = 120


@pytest.fixture(scope="module")
def said(gateway_to, triton, tmp_path_factory):
    """What came, and what our own client says of the same sound."""
    folder = tmp_path_factory.mktemp("emotalk")
    stubs = [f"-I{PROTOS}", f"--python_out={folder}", f"--grpc_python_out={folder}", "emotalk.proto"]
    assert protoc.main(["protoc", *stubs]) == 0
    sound = folder / "voice.wav"
    soundfile.write(sound, load(VOICE)[: SECONDS * RATE], RATE)
    with (
        gateway_to(doors=lambda service: [emotalk_door(service, "127.0.0.1", 0)]) as gateway,
        EmoTalkClient(triton.grpc_url) as client,
    ):
        address = f"127.0.0.1:{gateway.doors[0].port}"
        run = subprocess.run(
            [sys.executable, CALLER, address, sound, folder / "said"],
            env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=HANG_S, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        ours = client.animate(str(sound)).weights, client.animate(str(sound), raw=True).weights
    return json.loads((folder / "said").read_text()), *ours


def face(results):
    return np.array([frame["blendshapes"] for result in results for frame in result["frames"]])


def test_it_is_healthy(said):
    assert said[0]["healthy"]


def test_the_face_is_our_own(said):
    told, ours, _ = said
    (whole,) = told["whole"]
    assert (whole["request_id"], whole["chunk_index"], whole["is_final"]) == ("one", 0, True)
    assert [frame["timecode"] for frame in whole["frames"]] == [number / 30 for number in range(SECONDS * 30)]
    np.testing.assert_allclose(face([whole]), ours, atol=1e-6)


def test_chunks_are_the_same_face(said):
    told, ours, _ = said
    assert [len(result["frames"]) for result in told["chunks"]] == [45, 45, 45, 15]
    np.testing.assert_allclose(face(told["chunks"]), ours, atol=1e-6)


def test_without_post_processing_it_is_the_decoders_own(said):
    told, ours, raw = said
    np.testing.assert_allclose(face(told["raw"]), raw, atol=1e-6)
    assert np.abs(raw - ours).max() > 0.01


def test_an_error_comes_in_words(said):
    assert said[0]["error"].startswith("UnreadableAudio: ")


def test_a_chunk_can_be_had_alone(said):
    assert said[0]["first"] == 15

"""LAM-A2E at the real size, through a real Triton: `make parity` runs this (a minute, 2 GB of memory)."""

import shutil

import lam_reference
import numpy as np
import pytest
import soundfile
import tritonclient.grpc
from infer import infer

import seeded
import seeded_lam
from emotalk_export.exporter import export
from emotalk_export.speech import pieces, sample_voice
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Raw weights of the real size: a 400 MB seeded checkpoint, exported and served."""
    folder = tmp_path_factory.mktemp("lam-full")
    checkpoint = seeded_lam.checkpoint("full", seeded_lam.SEED, folder / "lam_audio2exp_streaming.tar")
    export(checkpoint, folder / "repository", layout="lam")
    checkpoint.unlink()
    with (
        EmbeddedServer(folder / "repository") as server,
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
    ):
        yield lambda **inputs: infer(tritonclient.grpc, client, {"raw": True}, **inputs)["BLENDSHAPES"]
    shutil.rmtree(folder)


def test_recorded_goldens_at_the_real_size(reference, full):
    lam_reference.check_recorded(reference, "full", soundfile.read(sample_voice(), dtype="float32")[0], full)


def test_torchs_own_modules_agree_at_the_real_size(full):
    state = seeded_lam.torch_state("full")
    quiet = (pieces([sample_voice()])[0] * np.float32(1e-3)).astype(np.float32)
    for audio, style in ((seeded.speechlike(84_800), 0), (quiet, 7)):
        frames = -(-len(audio) * 30 // 16_000)
        expected = lam_reference.weights(state, audio, style, frames, 12)
        assert (
            np.abs(full(AUDIO=audio[None], PERSON=np.array([[style]], np.int32))[0] - expected).max()
            <= lam_reference.TOLERANCE
        )

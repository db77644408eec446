"""What the paper's code gives at the real size, through a real Triton."""

import shutil

import pytest
import tritonclient.grpc
from goldens import SEED, check_ours, check_recorded
from infer import infer

import seeded
from emotalk_export.exporter import export
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Inference on the real size: a 2.5 GB seeded checkpoint, exported and served."""
    folder = tmp_path_factory.mktemp("full")
    checkpoint = seeded.checkpoint("full", SEED, folder / "EmoTalk.pth")
    export(checkpoint, folder / "repository")
    checkpoint.unlink()
    with (
        EmbeddedServer(folder / "repository") as server,
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
    ):
        yield lambda parameters, **inputs: infer(tritonclient.grpc, client, parameters, **inputs)
    shutil.rmtree(folder)


def test_our_goldens_at_the_real_size(data, speech, full):
    check_ours(data, "full", speech, full, at_least=2)


def test_goldens_of_recorded_speech_at_the_real_size(reference, full):
    check_recorded(reference, "full", full)

"""LAM-A2E at the real size, through a real Triton: `make parity` runs this (a minute, 2 GB of memory)."""

import logging
import shutil

import lam_reference
import numpy as np
import pytest
import soundfile
import tritonclient.grpc
from infer import infer

import seeded
import seeded_lam
from emotalk_client.windows.planner import Layout, plan
from emotalk_contract.clip_statistics import statistics_of
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_to_sample
from emotalk_export.exporter import export
from emotalk_export.speech import pieces, sample_voice
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.full
logger = logging.getLogger(__name__)

SECONDS = 30


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


@pytest.fixture(scope="module")
def clip():
    voice = soundfile.read(sample_voice(), dtype="float32")[0]
    return np.tile(voice, 4)[: SECONDS * SAMPLE_RATE]


@pytest.fixture(scope="module")
def whole(full, clip):
    return full(AUDIO=clip[None])[0]


def shares(way, off):
    """Shares of weights that are off by more than 0.02 and 0.1: written down for docs/networks.md."""
    found = float((off > 0.02).mean()), float((off > 0.1).mean())
    logger.info("%s: %.1f %%, %.2f %%", way, 100 * found[0], 100 * found[1])
    return found


@pytest.mark.parametrize(
    ("layout", "most"),
    [((10, 2, 1), (0.61, 0.089)), ((20, 3.5, 2), (0.51, 0.026)), ((20, 1, 0.5), (1, 1)), ((20, 0, 0), (1, 1))],
)
def test_windows_that_know_their_clip(full, clip, whole, layout, most):
    """``most``: what the same windows of the authors' own code are off by, with the clip's statistics and grid."""
    statistics = statistics_of(clip[None], "patches")
    off = []
    for window in plan(len(clip), Layout.of_seconds(*layout)):
        sound = clip[window.start_sample : window.start_sample + window.samples]
        place = {"START_FRAME": np.array([[window.start_frame]]), "CLIP_SAMPLES": np.array([[len(clip)]])}
        weights = full(AUDIO=sound[None], CLIP_STATS=statistics, **place)[0]
        off.append(np.abs(weights[window.kept] - whole[window.first : window.end]))
    found = shares("windows of {:g} s, {:g} s before and {:g} s after".format(*layout), np.concatenate(off))
    assert found <= most
    assert found[1] <= most[1]


def streamed(full, clip, whole, context_s, look_ahead_s, hop_s, every=1):
    """What a live stream's windows are off by: the sound so far counts, the rest is not known."""
    hop, context, ahead = (round(seconds * FPS) for seconds in (hop_s, context_s, look_ahead_s))
    off = []
    for first in range(FPS, len(whole) - hop - ahead + 1, hop * every):
        start, end = max(0, first - context) // 3 * 3, first + hop + ahead
        heard = clip[: frame_to_sample(end)]
        sound = heard[frame_to_sample(start) :]
        weights = full(
            AUDIO=sound[None], START_FRAME=np.array([[start]]), CLIP_STATS=statistics_of(heard[None], "patches")
        )[0]
        off.append(np.abs(weights[first - start : first - start + hop] - whole[first : first + hop]))
    way = f"live, {context_s:g} s of context, {look_ahead_s:g} s of look-ahead, every {hop_s:g} s"
    return shares(way, np.concatenate(off))


def test_a_live_stream_is_nearer_to_the_whole_than_the_authors_streaming_at_the_same_delay(full, clip, whole):
    """Theirs: chunks of 1 s, each the end of 34133 samples of which the rest is silence."""
    off = []
    for second in range(1, SECONDS):
        sound = np.zeros(34_133, np.float32)
        sound[-SAMPLE_RATE:] = clip[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE]
        off.append(np.abs(full(AUDIO=sound[None])[0][34:64] - whole[second * FPS : (second + 1) * FPS]))
    theirs = shares("the authors' streaming", np.concatenate(off))
    for context_s in (2, 4):
        ours = streamed(full, clip, whole, context_s, 0, 1)
        assert ours[0] < theirs[0] - 0.03
        assert ours[1] < theirs[1] - 0.05
    for context_s in (2, 4, 8):
        ours = streamed(full, clip, whole, context_s, 0.5, 0.1, every=8)
        assert ours[1] < theirs[1] - 0.08

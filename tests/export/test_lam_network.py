"""LAM-A2E in torch: against the authors' recorded outputs, and against torch's own modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lam_reference
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

import seeded
import seeded_lam
from emotalk_contract import tensors
from emotalk_contract.clip_statistics import statistics_of
from emotalk_contract.pipeline import pipeline
from emotalk_contract.timing import Window, feature_count, frame_count, frame_grid
from emotalk_export.face import LamFace, open_face
from emotalk_export.speech import sample_voice

pytestmark = pytest.mark.torch

TOLERANCE = 1e-5
SMALL: tuple[seeded_lam.Size, ...] = ("small", "small_transformer")
Array = NDArray[np.float32]


class Network:
    """The modules of a face, as one."""

    def __init__(self, face: LamFace) -> None:
        self.frontend, self.content, self.decoder = (face.graph(model) for model in pipeline(face.recipe).graphs)
        self.styles = face.recipe.styles

    def __call__(self, audio: Array, style: int, at: Array, statistics: Array | None = None) -> Array:
        """Weights [F, 52] of a clip [n] at feature indices [F]."""
        if statistics is None:
            statistics = statistics_of(audio, "patches")
        code = torch.eye(self.styles)[style : style + 1]
        with torch.inference_mode():
            features = self.frontend(torch.from_numpy(audio)[None], torch.from_numpy(statistics)[None])
            found: Array = self.decoder(self.content(features, torch.from_numpy(at)[None]), code)[0].numpy()
        return found


def positions(samples: int, frames: int) -> Array:
    """torch's own, with align_corners, in float32."""
    step = (feature_count(samples) - 1) / (frames - 1) if frames > 1 else 0
    return np.arange(frames, dtype=np.float32) * np.float32(step)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[seeded_lam.Size, Network]:
    folder = tmp_path_factory.mktemp("lam")
    found = {}
    for size in SMALL:
        path = seeded_lam.checkpoint(size, seeded_lam.SEED, folder / f"{size}.tar")
        face = open_face(path, seeded_lam.ATTENTION_HEADS[size], "lam")
        assert isinstance(face, LamFace)
        found[size] = Network(face)
    return found


@pytest.fixture(scope="module")
def voice() -> Array:
    samples, rate = soundfile.read(sample_voice(), dtype="float32")
    assert (rate, len(samples)) == (16_000, 171_600)
    return np.asarray(samples)


@pytest.mark.parametrize("size", SMALL)
def test_recorded_goldens(
    networks: dict[seeded_lam.Size, Network], voice: Array, reference: Path | None, size: seeded_lam.Size
) -> None:
    if reference is None:
        pytest.skip("no recorded reference here (EMOTALK_REFERENCE)")
    found = {}
    for clip, style, expected in lam_reference.goldens(reference / "lam" / f"goldens_{size}"):
        audio = lam_reference.clip(voice, clip)
        weights = networks[size](audio, style, positions(len(audio), len(expected)))
        found[clip, style] = float(np.abs(weights - expected).max())
    assert len(found) >= 6
    assert max(found.values()) <= TOLERANCE, found


def test_seeded_weights_are_the_references(reference: Path | None) -> None:
    if reference is None:
        pytest.skip("no reference here (EMOTALK_REFERENCE)")
    script = reference / "lam" / "seeded_lam.py"
    theirs: dict[str, Any] = {"__name__": "reference", "__file__": str(script)}
    exec(compile(script.read_text("utf-8"), "seeded_lam.py", "exec"), theirs)  # noqa: S102
    assert seeded_lam.shapes("full") == theirs["shapes"]("full")
    for size in SMALL:
        expected = theirs["state"](theirs["shapes"](size), seeded_lam.SEED)
        ours = seeded_lam.state(seeded_lam.shapes(size), seeded_lam.SEED)
        assert {key: value.tobytes() for key, value in ours.items()} == {k: v.tobytes() for k, v in expected.items()}


@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize(
    ("samples", "style", "gain", "seed"),
    [(400, 0, 1, 7), (720, 11, 1, 7), (16_000, 3, 1, 11), (84_801, 5, 1, 12), (48_000, 0, 1e-3, 7)],
)
def test_torchs_own_modules_agree(
    tmp_path: Path, size: seeded_lam.Size, samples: int, style: int, gain: float, seed: int
) -> None:
    path = seeded_lam.checkpoint(size, seed, tmp_path / "lam.tar")
    heads = seeded_lam.ATTENTION_HEADS[size]
    face = open_face(path, heads, "lam")
    assert isinstance(face, LamFace)
    audio = (seeded.speechlike(samples) * np.float32(gain)).astype(np.float32)
    frames = frame_count(samples)
    expected = lam_reference.weights(seeded_lam.torch_state(size, seed), audio, style, frames, heads)
    at = frame_grid(Window.whole(samples), face.recipe.frame_grid).content
    assert np.abs(Network(face)(audio, style, at) - expected).max() <= TOLERANCE


def test_a_window_knows_its_clip(networks: dict[seeded_lam.Size, Network]) -> None:
    """The whole clip's statistics and grid leave nothing different but what attention cannot see."""
    network = networks["small"]
    audio = seeded.speechlike(160_000)
    audio[80_000:] *= 0.05  # louder at first than as a whole
    whole = network(audio, 0, positions(len(audio), 300))
    window = Window(80_000, 0, len(audio))
    at = frame_grid(window).content
    known = network(audio[: window.samples], 0, at, statistics_of(audio, "patches"))
    unknown = network(audio[: window.samples], 0, positions(window.samples, 150))
    errors = [float(np.abs(found - whole[:150]).mean()) for found in (known, unknown)]
    assert errors[0] < 0.7 * errors[1]
    features = [
        network.frontend(torch.from_numpy(part)[None], torch.from_numpy(statistics_of(audio, "patches"))[None])
        for part in (audio, audio[: window.samples])
    ]
    assert (features[0][:, : features[1].shape[1]] - features[1]).abs().max() < TOLERANCE


def test_quiet_speech_is_not_normalised_up(networks: dict[seeded_lam.Size, Network]) -> None:
    network, audio = networks["small"], seeded.speechlike(32_000)
    quiet = (audio * np.float32(1e-3)).astype(np.float32)
    loud = network(audio, 0, positions(32_000, 60))
    assert np.abs(network(quiet, 0, positions(32_000, 60)) - loud).mean() > 0.01
    shifted = network(audio + np.float32(0.2), 0, positions(32_000, 60))
    assert np.abs(shifted - loud).max() < TOLERANCE  # but a DC offset is nothing


def test_silence_has_a_face(networks: dict[seeded_lam.Size, Network]) -> None:
    found = networks["small"](np.zeros(32_000, np.float32), 0, positions(32_000, 60))
    assert np.isfinite(found).all()
    assert 0 < found.min() < found.max() < 1


def test_a_style_is_a_column(networks: dict[seeded_lam.Size, Network]) -> None:
    network, audio = networks["small"], seeded.speechlike(16_000)
    at = positions(16_000, 30)
    first, fifth, last = (network(audio, style, at) for style in (0, 5, 11))
    assert min(np.abs(a - b).mean() for a, b in ((first, fifth), (fifth, last), (first, last))) > 0.01


def test_the_recipe_says_what_the_network_needs(tmp_path: Path) -> None:
    face = open_face(seeded_lam.checkpoint("small_transformer", 7, tmp_path / "lam.tar"), 4, "lam")
    recipe = face.recipe
    assert (recipe.styles, recipe.emotional, recipe.normalisation, recipe.min_samples) == (20, False, "patches", 400)
    assert (face.widths.styles, face.widths.statistics, face.widths.content) == (20, 110, 64)
    assert [model.name for model in pipeline(recipe).graphs] == [
        model.name for model in tensors.GRAPHS if model is not tensors.EMOTION_ENCODER
    ]

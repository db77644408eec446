"""The checkpoint's emotion head: against torch from its description, its names, and checkpoints without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from emotalk_contract import tensors
from emotalk_contract.pipeline import pipeline
from emotalk_contract.plans import profiles
from emotalk_contract.recipe import Manifest, Precision
from emotalk_export import int8
from emotalk_export.checkpoint import CLASSIFIER_PREFIX
from emotalk_export.errors import CheckpointMismatch, CheckpointNotFinite, InvalidEmotionNames
from emotalk_export.exporter import export
from emotalk_export.face import EmoTalkFace, open_face
from emotalk_export.onnx_export import export_graph
from emotalk_export.precision import halve
from emotalk_export.validate import Trial, open_session, run_torch, torch_inputs, trials, validate_graph

pytestmark = pytest.mark.torch

State = dict[str, torch.Tensor]
NUMBERED = tuple(f"emotion_{number}" for number in range(7))


def encoder(face: EmoTalkFace) -> tensors.Model:
    return next(model for model in pipeline(face.recipe).graphs if model.name == tensors.EMOTION_ENCODER.name)


@pytest.fixture(scope="module")
def emotion_trials(small_face: EmoTalkFace) -> list[Trial]:
    """The export's own trials, as far as the emotion encoder."""
    running = trials(small_face.widths, small_face.recipe)
    for model in (tensors.FRONTEND, encoder(small_face)):
        module = small_face.graph(model)
        for trial in running:
            run_torch(module, model, trial)
    return running


def described(state: State, emotion: torch.Tensor) -> torch.Tensor:
    """The head in torch's own words, on EMOTION [B, F, hidden]."""
    weights = {key.removeprefix(CLASSIFIER_PREFIX): value for key, value in state.items() if "classifier" in key}
    hidden = torch.tanh(emotion.mean(1) @ weights["dense.weight"].T + weights["dense.bias"])
    return torch.softmax(hidden @ weights["out_proj.weight"].T + weights["out_proj.bias"], -1)


def test_head_is_the_described_one(small_state: State, emotion_trials: list[Trial]) -> None:
    for trial in emotion_trials:
        found = trial.expected["EMOTIONS"]
        expected = described(small_state, torch.from_numpy(trial.expected["EMOTION"])).numpy()
        assert found.shape == (trial.batch, 7)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_graph_gives_what_torch_gives(small_face: EmoTalkFace, emotion_trials: list[Trial], tmp_path: Path) -> None:
    model = encoder(small_face)
    files = export_graph(small_face.graph(model), model, small_face.widths, tmp_path)
    assert validate_graph(files.graph, model, emotion_trials, "fp32")["EMOTIONS"] <= 1e-5


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_less_precision_keeps_the_emotion(
    small_face: EmoTalkFace, emotion_trials: list[Trial], tmp_path: Path, precision: Precision
) -> None:
    model = encoder(small_face)
    module = small_face.graph(model)
    given = [torch_inputs(trial, model) for trial in emotion_trials]
    rewrite = None
    if precision == "fp16":
        halve(module, given)
    else:
        plan = int8.prepare(module, given)

        def rewrite(graph: object) -> None:
            int8.quantise(graph, plan)  # type: ignore[arg-type]

    files = export_graph(module, model, small_face.widths, tmp_path, rewrite=rewrite)
    assert validate_graph(files.graph, model, emotion_trials, precision)["EMOTIONS"] <= 0.05


def test_tensorrt_takes_the_same_inputs(small_face: EmoTalkFace) -> None:
    mine, plain = (
        profiles(model, small_face.widths, small_face.recipe)
        for model in (encoder(small_face), tensors.EMOTION_ENCODER)
    )
    assert mine == plain


def test_recipe_names_them(small_repository: Path) -> None:
    manifest = Manifest.load(small_repository)
    assert manifest.recipe.detected_emotions == NUMBERED
    assert manifest.widths.detected_emotions == 7
    config = (small_repository / "emotalk" / "config.pbtxt").read_text()
    assert '"EMOTIONS"' in config
    assert ",".join(NUMBERED) in config
    assert not any("classifier" in key for key in manifest.provenance["unneeded_keys"])


def test_checkpoint_without_the_head_has_no_output(small_state: State, tmp_path: Path) -> None:
    kept = {key: value for key, value in small_state.items() if "classifier" not in key}
    torch.save(kept, tmp_path / "headless.pth")
    manifest = export(tmp_path / "headless.pth", tmp_path / "repository", attention_heads=4)
    assert manifest.recipe.detected_emotions == ()
    assert Manifest.load(tmp_path / "repository").recipe == manifest.recipe
    assert "EMOTIONS" not in "".join(path.read_text() for path in (tmp_path / "repository").rglob("*.pbtxt"))
    session = open_session(tmp_path / "repository" / "wav2vec_emotion" / "1" / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["EMOTION"]


def test_half_a_head_is_a_mismatch(small_state: State, tmp_path: Path) -> None:
    del small_state[CLASSIFIER_PREFIX + "dense.bias"]
    torch.save(small_state, tmp_path / "half.pth")
    with pytest.raises(CheckpointMismatch) as caught:
        open_face(tmp_path / "half.pth", 4)
    assert caught.value.missing == [CLASSIFIER_PREFIX + "dense.bias"]


def test_head_must_be_finite(small_state: State, tmp_path: Path) -> None:
    small_state[CLASSIFIER_PREFIX + "out_proj.bias"][3] = float("nan")
    torch.save(small_state, tmp_path / "broken.pth")
    with pytest.raises(CheckpointNotFinite, match=r"classifier\.out_proj\.bias"):
        open_face(tmp_path / "broken.pth", 4)


def test_user_names_them(small_checkpoint: Path) -> None:
    names = ["neutral", "joy", "Wut", "شادی", "e 4", "e.5", "6"]
    assert open_face(small_checkpoint, 4, emotion_names=names).recipe.detected_emotions == tuple(names)


@pytest.mark.parametrize(
    "names",
    [["joy"], [*NUMBERED, "one more"], [*NUMBERED[:6], "emotion_0"], [*NUMBERED[:6], ""], [*NUMBERED[:6], "a,b"]],
)
def test_names_that_do_not_fit(small_checkpoint: Path, names: list[str]) -> None:
    with pytest.raises(InvalidEmotionNames, match="accepted: "):
        open_face(small_checkpoint, 4, emotion_names=names)


def test_names_for_nothing(small_state: State, tmp_path: Path) -> None:
    kept = {key: value for key, value in small_state.items() if "classifier" not in key}
    torch.save(kept, tmp_path / "headless.pth")
    with pytest.raises(InvalidEmotionNames, match="detects no emotions"):
        open_face(tmp_path / "headless.pth", 4, emotion_names=NUMBERED)


def test_command_tells_of_wrong_names(small_checkpoint: Path, tmp_path: Path) -> None:
    from emotalk_export.cli import application

    given = ["--checkpoint", str(small_checkpoint), "--repository", str(tmp_path / "repository")]
    done = CliRunner().invoke(application, [*given, "--attention-heads", "4", "--emotion-names", "joy, anger"])
    assert done.exit_code == 1
    assert "InvalidEmotionNames: 2 emotions are named" in done.output
    assert not (tmp_path / "repository").exists()

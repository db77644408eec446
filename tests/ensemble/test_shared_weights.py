"""Weights that stand in other graphs' files: what is damaged is said, and nothing else is loaded."""

import json
import shutil

import numpy as np
import pytest

from emotalk_contract import tensors
from emotalk_contract.configs import LIVE_SESSION
from emotalk_contract.recipe import SHARED_WEIGHTS_NAME, Manifest
from emotalk_contract.repository import bundled
from emotalk_ensemble.backend.errors import BackendError
from emotalk_ensemble.backend.session import Instance
from emotalk_ensemble.live import MOST_FEATURES
from emotalk_ensemble.live_model import load

pytestmark = pytest.mark.unit


@pytest.fixture
def repository(tmp_path):
    shutil.copytree(bundled(), tmp_path / "repository", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "repository"


def loaded(repository):
    recipe = Manifest.load(repository).recipe.strings()
    config = {
        "name": "emotalk_live",
        "parameters": {k: {"string_value": v} for k, v in (LIVE_SESSION | recipe).items()},
    }
    return load(config, Instance(repository / tensors.LIVE.name / "1", "CPU", 0))


def a_step(seed, features=4):
    reach = Manifest.load(bundled()).recipe.steps
    sound = np.random.default_rng(seed).normal(0, 0.1, (1, reach.span(0, features)[1]))
    return {"AUDIO": sound.astype(np.float32)}


def test_the_graph_runs_with_them(repository):
    steps = loaded(repository)
    (answer,) = steps.answers([steps.read(a_step(0), {})])
    assert answer["STATE"].shape[0] == 1


def test_other_weights_make_other_states(repository):
    steps = loaded(repository)
    (answer,) = steps.answers([steps.read(a_step(0), {})])
    table = repository / tensors.LIVE.name / "1" / SHARED_WEIGHTS_NAME
    table.write_text(table.read_text() + "\n")
    from emotalk_contract.errors import StaleState

    with pytest.raises(StaleState):
        loaded(repository).read({**a_step(1), "STATE": answer["STATE"]}, {})


def test_a_graph_that_was_exchanged_is_said(repository):
    path = repository / "wav2vec_content" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BackendError, match=r"wav2vec_content.*export the repository again"):
        loaded(repository)


def test_a_graph_that_is_missing_is_said(repository):
    (repository / "emotalk_decoder" / "1" / "model.onnx").unlink()
    with pytest.raises(BackendError, match=r"emotalk_decoder.*cannot be read"):
        loaded(repository)


@pytest.mark.parametrize("damage", ["", "[]", '{"sha256": {}}', '{"sha256": {}, "tensors": {"a": {"model": "b"}}}'])
def test_a_damaged_table_is_said(repository, damage):
    (repository / tensors.LIVE.name / "1" / SHARED_WEIGHTS_NAME).write_text(damage)
    with pytest.raises(BackendError, match="damaged"):
        loaded(repository)


def test_an_offset_beyond_the_file_is_said(repository):
    path = repository / tensors.LIVE.name / "1" / SHARED_WEIGHTS_NAME
    table = json.loads(path.read_text())
    next(iter(table["tensors"].values()))["offset"] = 10**9
    path.write_text(json.dumps(table))
    with pytest.raises(BackendError, match="damaged"):
        loaded(repository)


def test_many_late_streams_are_computed_in_parts(repository, monkeypatch):
    """Whatever comes at once, memory and the others' wait are bounded; each still gets what it gets alone."""
    steps = loaded(repository)
    sizes = []
    run = steps._run
    monkeypatch.setattr(steps, "_run", lambda inputs: sizes.append(len(inputs["AUDIO"])) or run(inputs))
    asked = [a_step(n, 100) for n in range(16)] + [a_step(99, 4)]
    together = steps.answers([steps.read(inputs, {"raw": True}) for inputs in asked])
    assert sizes[0] == 1  # the one that brings the least
    assert max(sizes) == MOST_FEATURES // 100
    for inputs, answer in zip(asked, together, strict=True):
        (alone,) = steps.answers([steps.read(inputs, {"raw": True})])
        np.testing.assert_allclose(answer["BLENDSHAPES"], alone["BLENDSHAPES"], rtol=0, atol=1e-5)

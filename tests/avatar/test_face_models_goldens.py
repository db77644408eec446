"""The converted graphs say what Google's interpreter says; ``python -m face_models --goldens tests/data/faces`` wrote
its answers.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from emotalk_contract import avatar
from emotalk_contract.repository import avatar_repository

PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "tools"))

from face_models.inputs import inputs  # noqa: E402  # of tools/

pytestmark = pytest.mark.unit

FACES = PROJECT / "tests" / "data" / "faces"
TOLERANCE = 1e-4
"""Of an output's range over all inputs."""


@pytest.fixture(scope="module")
def goldens():
    with np.load(FACES / "litert.npz") as answers:
        return dict(answers)


@pytest.fixture(scope="module")
def given():
    return inputs(FACES / "head.png")


def session(model):
    return onnxruntime.InferenceSession(avatar_repository() / model.name / "1" / "model.onnx")


@pytest.mark.parametrize("model", avatar.MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
def test_a_graph_answers_as_the_interpreter(model, together, goldens, given):
    graph, items = session(model), given[model.name]
    (name,) = (tensor.name for tensor in model.inputs)
    batches = [items] if together else [items[i : i + 1] for i in range(len(items))]
    rows = [graph.run([tensor.name for tensor in model.outputs], {name: batch}) for batch in batches]
    for number, tensor in enumerate(model.outputs):
        found = np.concatenate([row[number] for row in rows])
        expected = goldens[f"{model.name}/{tensor.name}"]
        assert found.shape == expected.shape == (len(items), *tensor.axes)
        assert np.abs(found - expected).max() <= TOLERANCE * np.ptp(expected)


def test_the_head_is_seen_as_a_face_and_noise_is_not(goldens):
    presences = goldens["face_landmarks/PRESENCE"][:, 0]
    assert presences[-1] > 3
    assert (presences[:-1] < 0).all()

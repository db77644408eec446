"""A repository is scored as Triton serves it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from emotalk_contract import repository
from emotalk_training.graphs import GraphFace
from emotalk_training.served import ServedFace

pytestmark = pytest.mark.server

SAMPLE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"


def test_what_is_served_is_what_the_graphs_say() -> None:
    clip = soundfile.read(SAMPLE, dtype="float32")[0][: 2 * 16_000 + 123]
    expected = GraphFace(repository.bundled())(clip, level=0.5, person=3)
    with ServedFace(smooth=False) as face:
        found = face(clip, level=0.5, person=3)
    assert expected.max() > 0.2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_a_face_that_is_not_served_says_so() -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        ServedFace()(np.zeros(16_000, np.float32))

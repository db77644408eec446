"""The estimate of the lips' gap against the head's own mesh."""

import numpy as np
import pytest
from head_lips import Lips

from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.lips import GAP_MM, REST_MM, gap_mm

pytestmark = pytest.mark.unit


def shown(**weights):
    row = np.zeros((1, 52), np.float32)
    for name, weight in weights.items():
        row[0, INDEX[name]] = weight
    return row


def test_the_lip_gaps_are_those_of_the_head():
    lips = Lips()
    rest = lips.gap_mm(shown())[0]
    assert rest == pytest.approx(REST_MM, abs=0.1)
    for name in BLENDSHAPES:
        change = lips.gap_mm(shown(**{name: 1.0}))[0] - rest
        if name in GAP_MM:
            assert change == pytest.approx(GAP_MM[name], abs=0.1), name
        else:
            assert change < 2, name  # nothing else opens the mouth


def test_the_gap_of_a_face_is_the_sum_and_weights_outside_the_range_count_as_its_ends():
    assert gap_mm(shown())[0] == pytest.approx(REST_MM)
    assert gap_mm(shown(jawOpen=0.5, mouthClose=0.5))[0] == pytest.approx(REST_MM, abs=1e-5)
    assert gap_mm(shown(jawOpen=2.0, mouthClose=-1.0))[0] == pytest.approx(REST_MM + GAP_MM["jawOpen"])

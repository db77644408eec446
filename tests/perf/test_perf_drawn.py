"""The cost of pictures that neural renderers draw."""

import pytest

from emotalk_contract import renderers as facts
from emotalk_perf import drawn

pytestmark = pytest.mark.server


def test_every_model_is_measured(renderers):
    told = []
    costs = drawn.run(renderers, 2, 2, told.append)
    assert [(one.name, one.at_once) for one in costs] == [(name, n) for name in sorted(facts.MODELS) for n in (1, 2)]
    assert all(one.cpu_s >= 0 for one in costs)
    assert max(one.cpu_s for one in costs) > 0.01
    assert len(told) == 6


def test_the_table_says_what_a_core_could_draw():
    text = drawn.markdown([drawn.Cost("wav2lip", 8, 0.05)])
    assert "| `wav2lip` | 8 | 50.0 | 20 |" in text

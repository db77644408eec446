"""A short chaos against a real server and a real gateway: counts, not seconds."""

import math
from pathlib import Path

import pytest

from emotalk_client.audio.loading import load
from emotalk_contract import tensors
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.attacked.answers import RIGHT
from emotalk_perf.attacked.processes import GATEWAY, STUB, SUPERVISOR, TRITON
from emotalk_perf.chaos import report
from emotalk_perf.chaos.run import ALL_STUBS, STOPPED_STUB, STOPPED_TRITON, Plan, run

pytestmark = pytest.mark.server

VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"


def test_every_process_may_die_and_nothing_is_lost():
    told = []
    outcome = run(
        load(VOICE)[: 4 * SAMPLE_RATE], Plan(kills=1, minutes=0.1, seed=1, files=2, uploads=1), None, told.append
    )
    assert report.wrongs(outcome) == []
    killed = {kill.kind for kill in outcome.kills}
    assert killed >= {GATEWAY, SUPERVISOR, TRITON, ALL_STUBS, STOPPED_STUB, STOPPED_TRITON}
    assert (
        len([kind for kind in killed if kind.startswith(STUB)]) == len(tensors.STEPS) + 1
    )  # and the live streams' model
    assert all(kill.victims and math.isfinite(kill.healed_s) for kill in outcome.kills)
    assert len(told) == len(outcome.kills)
    assert any(kill.down for kill in outcome.kills if kill.kind == ALL_STUBS), "nothing failed: were they killed?"
    assert all(tally.columns[RIGHT] for tally in outcome.tallies)
    well, asked = outcome.ready_when_calm
    assert well == asked > 0

"""A few hostile cases against a real server and a real gateway: counts, not seconds."""

from pathlib import Path

import pytest

from emotalk_client.audio.loading import load
from emotalk_perf.attacked import answers
from emotalk_perf.hostile import report
from emotalk_perf.hostile.run import chosen, run

pytestmark = pytest.mark.server

VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"
NAMES = ["http-endless-shape", "option-nested", "shared-memory", "grpc-model-control", "broken-origin", "head"]
NAMES += ["barge-in-on-a-standing-server"]


def test_hostile_cases_are_refused_and_honest_callers_have_their_answers(monkeypatch):
    monkeypatch.setattr(answers, "RETRIES", 30)  # a machine that starts a server slowly loses nobody's answer
    told = []
    outcome = run(load(VOICE), chosen(NAMES), None, told.append)
    assert [result.case.name for result in outcome.results] == NAMES
    assert len(told) == len(NAMES)
    for result in outcome.results:
        assert result.case.accepts(result.answer), f"{result.case.name}: {result.answer}"
        assert not result.gateway_died
        for seen in result.honest:
            assert (seen.wrong, seen.lost) == (0, 0), f"{result.case.name}: {seen}"
            assert seen.right
    assert outcome.tracebacks == []
    assert outcome.left == []
    assert 0 < outcome.gateway_peak_bytes < report.GATEWAY_BYTES
    assert outcome.cpu_s["triton"] > 0

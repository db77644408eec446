"""A short soak against a real server and a real gateway: answers, not seconds."""

from pathlib import Path

import pytest

from emotalk_client.audio.loading import load
from emotalk_perf import capacity
from emotalk_perf.attacked.answers import RIGHT
from emotalk_perf.soak.report import MEMORY, MINUTES, PAGE, PICTURE
from emotalk_perf.soak.run import Plan, run
from emotalk_perf.traffic import strangers
from emotalk_perf.traffic.mix import KINDS, TEXTS
from emotalk_perf.traffic.strangers import STRANGERS

pytestmark = pytest.mark.server

VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"


def test_every_answer_of_a_mixed_load_is_right_and_the_report_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(strangers, "PATIENCE_S", 6.0)
    monkeypatch.setattr(capacity, "SETTINGS", {**capacity.SETTINGS, "SEND_TIMEOUT_S": 2})
    told = []
    rates = {"streams": 1.0, "uploads": 60.0, "files": 60.0, "texts": 30.0}
    plan = Plan(minutes=0.1, rates=rates, hostile=10 * (len(STRANGERS) + 1))
    seen = run(load(VOICE)[: 16_000 * 3], plan, None, tmp_path, told.append)
    assert seen.ended
    assert {ledger.name.partition(",")[0] for ledger in seen.honest} == set(KINDS)
    for ledger in seen.callers:
        assert ledger.columns[RIGHT] == ledger.asked > 0, ledger.remarks
    assert seen.strangers.asked >= len(STRANGERS)
    assert max(ledger.off for ledger in seen.honest) <= 1e-6
    assert seen.tracebacks == []
    assert {"caller", "gateway", "triton", "emotalk_live"} <= {one.name for one in seen.memory.processes}
    assert len(told) > 5
    for name in (PAGE, MINUTES, MEMORY, PICTURE):
        assert (tmp_path / name).stat().st_size > 0


def test_capacity_of_a_real_server_without_a_voice():
    told = []
    found = capacity.run(load(VOICE), None, "core,live", hops=[2], seconds=0.3, most=1, tell=told.append)
    assert TEXTS not in found.requests
    assert len(told) == 1 + len(found.requests) == 5
    for one in found.requests.values():
        assert set(one.columns) == {RIGHT}
        assert one.per_minute > 0
        assert one.cpu["triton"] > 0

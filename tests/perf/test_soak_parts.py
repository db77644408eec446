"""The parts of ``emotalk-perf soak`` and ``capacity`` that need no server."""

import asyncio
import csv
import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from emotalk_perf import capacity
from emotalk_perf.attacked.answers import CUT_OFF, LOST, REFUSED, RIGHT, WRONG, Judged, Known
from emotalk_perf.cli import app
from emotalk_perf.errors import RunEnded
from emotalk_perf.process_tree import own_bytes, process_bytes
from emotalk_perf.soak import run as mixed
from emotalk_perf.soak.drawing import draw
from emotalk_perf.soak.memory import Memory, Process, trend
from emotalk_perf.soak.report import MEMORY, PAGE, PICTURE, Report, Seen
from emotalk_perf.soak.verdict import lines
from emotalk_perf.socket_door import ROW
from emotalk_perf.traffic.arrivals import arrive, dues, stopped_within
from emotalk_perf.traffic.conversations import judge
from emotalk_perf.traffic.histogram import Histogram
from emotalk_perf.traffic.ledger import Clock, Ledger
from emotalk_perf.traffic.mix import Mix

pytestmark = pytest.mark.unit

MIB = 2**20
KNOWN = Known(np.zeros(16_000, np.float32), np.linspace(0, 1, 30 * 52, dtype=np.float32).reshape(30, 52), 1e-6)


@given(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_at_most_a_hundredth_too_long(seconds, share):
    histogram = Histogram()
    for one in seconds:
        histogram.add(one)
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    assert exact * (1 - 1e-9) <= histogram.quantile(share) <= exact * 1.0101
    assert (len(histogram), histogram.largest) == (len(seconds), max(seconds))


def test_an_empty_histogram_has_no_quantile():
    assert math.isnan(Histogram().quantile(0.5))


@given(st.floats(1, 5000), st.floats(1, 600), st.integers(0, 9))
def test_every_slot_has_one_request(per_minute, seconds, seed):
    moments = list(dues(per_minute, seconds, f"{seed}"))
    slot = 60 / per_minute
    assert [int(moment / slot + 1e-9) for moment in moments] == list(range(round(seconds / slot)))


def ledger(name="files", seconds=100.0, per_minute=60.0, began=None):
    """A ledger of a run that is nearly over."""
    return Ledger(name, Clock(time.monotonic() - 0.999 * seconds if began is None else began, seconds), per_minute)


def filled(columns=((RIGHT, ""),), wait_s=0.1, late_s=0.0, name="files"):
    """A ledger with an answer of each second, whose columns come in turn."""
    one = ledger(name)
    for second in range(100):
        due = one.clock.began + second
        one.ask(due)
        one.lags = Histogram()
        one.note(Judged(*columns[second % len(columns)]), due, wait_s(second) if callable(wait_s) else wait_s)
    one.lags.add(late_s)
    return one


def held(ledgers, strangers=None, trends=(), processes=(), tracebacks=()):
    return [line.held for line in lines(ledgers, strangers, trends, processes, tracebacks)]


def test_a_good_run_holds_every_limit():
    flat = Process("triton", [*range(0, 1000, 5)], [100 * MIB] * 200)
    assert all(held([filled()], filled(name="strangers"), [trend(flat, 600)], [flat]))


@pytest.mark.parametrize(
    ("bad", "limit"),
    [
        ({"columns": [(RIGHT,)] * 99 + [(WRONG, "off by 1")]}, 0),
        ({"columns": [(RIGHT,)] * 99 + [(LOST, "")]}, 0),
        ({"columns": [(RIGHT,)] * 99 + [(CUT_OFF, "")]}, 1),
        ({"columns": [(RIGHT,)] * 9 + [(REFUSED, "GatewayFull")]}, 2),
        ({"late_s": 0.2}, 3),
        ({"wait_s": lambda second: 0.3 if second >= 97 else 0.1}, 4),
    ],
)
def test_a_limit_that_is_broken_is_said(bad, limit):
    assert not held([filled(), filled(**bad)])[limit]


def test_a_stranger_with_another_answer_breaks_a_limit():
    assert (
        held([filled()], filled(columns=[(RIGHT,)] * 99 + [(WRONG, "noise: 200")], name="strangers")).count(False) == 1
    )


def test_a_process_that_was_begun_again_and_a_traceback_break_limits():
    assert held([filled()], processes=[Process("gateway"), Process("gateway #2")]).count(False) == 1
    assert held([filled()], tracebacks=["gateway: ValueError"]).count(False) == 1


@pytest.mark.parametrize(
    ("growth", "flat"),
    [(lambda n: 0, True), (lambda n: n * MIB / 10, False), (lambda n: 10 * MIB if n == 150 else 0, True)],
)
def test_memory_is_flat_where_its_medians_are(growth, flat):
    """A moment's peak is not growth; half of a hundredth a minute is."""
    sizes = [100 * MIB + round(growth(n)) for n in range(200)]
    found = trend(Process("triton", [*range(0, 1000, 5)], sizes), 600)
    assert found.flat is flat
    assert found.per_hour == pytest.approx(72 * MIB if not flat else 0, rel=0.02)
    assert not all(held([filled()], trends=[found])) or flat


def test_what_is_not_right_is_remembered_in_words():
    one = filled(columns=[(RIGHT,), (REFUSED, "GatewayFull"), (RIGHT,), (WRONG, "off by 1")])
    assert one.columns[RIGHT] == 50
    assert one.refusals == {"GatewayFull": 25}
    assert "3.0 s, files: wrong: off by 1" in one.remarks[0]
    assert len(one.remarks) == 20
    assert (one.asked, one.open) == (100, 0)
    assert [part.asked for part in one.tenths] == [10] * 10


def test_latency_runs_from_the_moment_at_which_a_request_was_due():
    one = ledger(seconds=0.2, per_minute=600, began=time.monotonic())

    async def ask():
        time.sleep(0.15)  # nobody else gets on
        return Judged(RIGHT)

    asyncio.run(arrive(ask, one, 0, asyncio.Event()))
    assert one.columns[RIGHT] == one.asked == 2
    assert one.waits.largest > 0.16
    assert one.lags.largest > 0.01


def test_a_connection_that_breaks_is_an_answer_too():
    one = ledger(seconds=0.02, per_minute=6000, began=time.monotonic())

    async def ask():
        raise ConnectionResetError

    asyncio.run(arrive(ask, one, 0, asyncio.Event()))
    assert one.columns[CUT_OFF] == one.asked == 2


def test_requests_end_when_the_run_is_stopped():
    async def main():
        stopping = asyncio.Event()
        one = ledger(seconds=3600, began=time.monotonic())
        stopping.set()
        await asyncio.wait_for(arrive(None, one, 0, stopping), 10)
        return one.asked

    assert asyncio.run(main()) == 0
    assert not asyncio.run(stopped_within(asyncio.Event(), 0.001))


@pytest.mark.parametrize(("order", "column"), [(range(30), RIGHT), ([1, 0, *range(2, 30)], WRONG), (range(29), LOST)])
def test_an_utterance_is_judged_by_its_frames(order, column):
    rows = np.zeros((len(order), ROW), np.float32)
    for place, index in enumerate(order):
        rows[place] = (index, index / 30, *KNOWN.weights[place])
    assert judge(KNOWN, rows).column == column


def test_a_face_that_is_off_by_more_than_a_millionth_is_wrong():
    assert KNOWN.judge(KNOWN.weights + np.float32(5e-7)).column == RIGHT
    judged = KNOWN.judge(KNOWN.weights + np.float32(5e-6))
    assert (judged.column, judged.off) == (WRONG, pytest.approx(5e-6, rel=0.1))


MIX = Mix(dict.fromkeys(("files, 3 s", "uploads, 3 s", "uploads, 20 s", "texts")), KNOWN)


def throughput(name, per_minute):
    return capacity.Throughput(name, 2, 60.0, {RIGHT: per_minute}, Histogram(), {"triton": 1.5, "gateway": 0.25})


def test_every_kind_has_an_equal_part_of_the_share():
    found = capacity.Capacity({2: None}, {name: throughput(name, 100) for name in MIX.asks})
    assert mixed.shared(found, MIX, 0.5) == {"streams": 0.0} | dict.fromkeys(MIX.asks, pytest.approx(10.0))


def test_rates_that_are_given_are_divided_over_the_lengths():
    assert mixed.divided({"streams": 4.0, "uploads": 60.0}, MIX) == {
        "streams": 4.0,
        "uploads, 3 s": 30.0,
        "uploads, 20 s": 30.0,
    }


def test_the_most_requests_are_those_of_as_many_callers_as_bring_something(monkeypatch):
    tried = []

    async def saturated(name, ask, callers, seconds, mark):
        tried.append(callers)
        return capacity.Throughput(name, callers, 60.0, {RIGHT: min(callers, 4) * 100}, Histogram(), {})

    monkeypatch.setattr(capacity, "saturated", saturated)
    best = asyncio.run(capacity.most_requests("files", None, 1.0, ""))
    assert (best.callers, best.per_minute) == (4, 400)
    assert tried == [1, 2, 4, 8]


def test_an_operator_reads_what_the_machine_holds():
    found = capacity.Capacity({2: None}, {"uploads, 3 s": throughput("uploads, 3 s", 600)})
    text = capacity.markdown(found)
    assert "| live streams, hops of 67 ms | 0 at once |" in text
    assert "| uploads, 3 s | 600 a minute | 2 |" in text
    assert "1.75: triton 1.50, gateway 0.25" in text
    assert "| `EMOTALK_GATEWAY_MAX_COMPUTING` | 8 | 2 |" in text
    assert "| `EMOTALK_GATEWAY_MAX_REQUESTS` | 32 | 50 |" in text
    assert "| `EMOTALK_GATEWAY_MAX_STREAMS` | 16 | 1 |" in text
    assert capacity.advice(capacity.Capacity()) == {}


def test_a_run_that_was_cut_has_its_report_and_its_picture(tmp_path):
    clock = Clock(time.monotonic() - 50, 100.0)
    one = Ledger("files", clock, 60.0)
    for second in range(50):
        one.ask(clock.began + second)
        one.note(Judged(RIGHT), clock.began + second, 0.1)
    report = Report(tmp_path / "a" / "b")
    with Memory("nobody's", clock, report.folder / MEMORY) as memory:
        seen = Seen(clock, [one], None, memory, 0, 0.7, None)
        until = time.monotonic() + 10
        while memory.seconds == 0 and time.monotonic() < until:
            time.sleep(0.01)
        report.write(seen)
        report.write(seen)
    text = (report.folder / PAGE).read_text()
    assert "minutes, 70 % of the capacity, 0 live streams" in text
    assert "| files | 60 | 50 | 50 | 0 | 0.0e+00 | 100 ms |" in text
    assert "| caller |" in text
    draw(report.folder)
    assert (report.folder / PICTURE).read_bytes()[:4] == b"\x89PNG"
    assert not list(report.folder.glob("*new*"))
    with (report.folder / MEMORY).open() as file:
        assert {row["process"] for row in csv.DictReader(file)} == {"caller"}


def test_a_run_that_is_ended_while_the_capacity_is_measured_says_so(monkeypatch):
    async def measure(*_, **__):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.Event().wait()

    async def main():
        stopping = asyncio.Event()
        with mixed._signals(stopping):
            await mixed._measured(None, None, MIX, stopping, None)

    monkeypatch.setattr(capacity, "measure", measure)
    with pytest.raises(RunEnded, match="while the capacity was being measured"):
        asyncio.run(asyncio.wait_for(main(), 30))


def test_memory_of_ones_own_has_no_files():
    """A process that maps a library has its pages in the one number, and not in the other."""
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1) as process:
        process.stdout.readline()
        assert 0 < own_bytes(process.pid) < process_bytes(process.pid)
        process.communicate(b"\n")
    assert own_bytes(process.pid) == 0


@pytest.mark.parametrize(
    "rate", ["uploads", "uploads=", "uploads=-1", "downloads=3", "=3", "uploads=many", "uploads=0"]
)
def test_a_rate_that_cannot_be_is_refused(rate, tmp_path):
    audio = tmp_path / "a.wav"
    result = CliRunner().invoke(app, ["soak", str(audio), "--rate", rate, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "accepted: KIND=N" in result.output

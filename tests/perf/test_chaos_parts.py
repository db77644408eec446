"""What chaos counts, from answers that are made up: its judgements must be able to fail."""

import math
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from emotalk_client import Frame
from emotalk_perf.attacked import answers, leftovers
from emotalk_perf.attacked.answers import CUT_OFF, DOUBLED, LOST, REFUSED, RIGHT, UNHEARD, WRONG, Callers, Known, Tally
from emotalk_perf.attacked.interrupts import interrupts
from emotalk_perf.attacked.kept import Kept
from emotalk_perf.attacked.prober import Answer
from emotalk_perf.attacked.processes import GATEWAY, HELPER, MARK, SUPERVISOR, TRITON, Process, kind_of, of_run
from emotalk_perf.chaos import report
from emotalk_perf.chaos.outages import healed_at, late_s, lie_s
from emotalk_perf.chaos.run import AT_RANDOM, Kill, Outcome, Plan

pytestmark = pytest.mark.server

KNOWN = Known(np.zeros(16_000, np.float32), np.linspace(0, 1, 30 * 52, dtype=np.float32).reshape(30, 52))


def asked(*well, start=0.0):
    """Answers a tenth of a second apart, each half a tenth long."""
    return [Answer(start + 0.1 * n, start + 0.1 * n + 0.05, one) for n, one in enumerate(well)]


def test_an_outage_is_over_with_the_first_right_answer_after_the_last_that_failed():
    assert healed_at(asked(False, True, False, True, True, True), calm=3) == pytest.approx(0.35)
    assert healed_at(asked(False, True, False, True, True), calm=3) is None
    assert healed_at(asked(True, True, True), calm=3) == pytest.approx(0.05)
    assert healed_at([], calm=1) is None


def test_readiness_lies_until_its_last_yes_before_the_last_face_that_failed():
    faces = asked(False, False, False, False, True, start=10.0)
    assert lie_s(asked(True, True, True, False, True, start=10.05), faces, 10.0, 10.5) == pytest.approx(0.25)
    assert lie_s(asked(False, False, False, False, True, start=10.05), faces, 10.0, 10.5) == 0
    assert lie_s(asked(True, True, start=10.05), asked(True, True, start=10.0), 10.0, 10.1) == 0


def test_readiness_is_late_until_its_first_yes_after_the_last_no():
    assert late_s(asked(False, False, True, False, True, start=10.0), 10.1) == pytest.approx(0.3)
    assert late_s(asked(False, True, True, start=10.0), 10.1) == 0
    assert late_s(asked(True, True, start=10.0), 10.1) == 0
    assert late_s(asked(True, False, False, start=10.0), 10.1) == math.inf


def test_an_answer_stands_in_its_column():
    off = KNOWN.weights.copy()
    off[3, 7] += 2e-4
    assert KNOWN.column(KNOWN.weights + 1e-6) == RIGHT
    assert KNOWN.column(off) == WRONG
    assert KNOWN.column(KNOWN.weights[:-1]) == LOST
    assert KNOWN.column(np.concatenate([KNOWN.weights, KNOWN.weights[-1:]])) == DOUBLED


def frames(indices):
    return [Frame(index, index / 30, KNOWN.weights[index]) for index in indices]


@pytest.mark.parametrize(
    ("indices", "column"),
    [
        (range(30), RIGHT),
        ([n for n in range(30) if n != 11], LOST),
        ([*range(12), *range(11, 30)], DOUBLED),
        ([1, 0, *range(2, 30)], WRONG),
    ],
)
def test_a_live_stream_is_judged_by_its_frames(indices, column):
    tally = Tally("live")
    answers._judge_live(tally, KNOWN, frames(indices), 30, 1.0)
    assert dict(tally.columns) == {column: 1}
    assert bool(tally.remarks) == (column != RIGHT)


def test_frames_that_came_before_a_refusal_are_judged_too():
    tally = Tally("live")
    assert answers._judge_order(tally, frames(range(12)), 12)
    assert not tally.columns
    assert not answers._judge_order(tally, frames([0, 1, 3]), 4)
    assert not answers._judge_order(tally, frames([0, 1, 1, 2]), 3)
    assert dict(tally.columns) == {LOST: 1, DOUBLED: 1}


def test_a_port_where_nobody_listens_cuts_nothing_off():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert answers.uploaded("127.0.0.1", port, KNOWN, b"", "text/plain")[:2] == (UNHEARD, "ConnectionRefusedError")


def test_no_more_calls_are_cut_off_than_a_gateway_can_have_had():
    tally = Tally("uploads")
    callers = Callers()
    for _ in range(2):
        callers.add(tally, lambda tally, stopping: None)
    callers.stop()
    assert (callers.tallies, tally.callers) == ([tally], 2)
    outcome = Outcome(Plan(), tallies=[tally], kills=[Kill("gateway", ("gateway",), 1.0, False, 0.0)])
    tally.note(CUT_OFF)
    tally.note(CUT_OFF)
    assert report.wrongs(outcome) == []
    tally.note(CUT_OFF)
    assert len(report.wrongs(outcome)) == 1


def test_refusals_of_all_callers_are_added():
    tallies = [Tally("files"), Tally("uploads")]
    for tally in tallies:
        tally.note(REFUSED, 1.0, "ServerBusy")
    text = report.markdown(Outcome(Plan(), tallies=tallies))
    assert "Refused in words by: ServerBusy 2." in text


def test_a_run_that_is_ended_unwinds():
    with pytest.raises(KeyboardInterrupt), interrupts():
        signal.raise_signal(signal.SIGTERM)


def event(rows, first=0):
    listed = ",".join(f'{{"blendshapes": {row.tolist()}}}' for row in rows[first:])
    return f"data: [{listed}]\n\n"


def test_a_stream_of_events_is_judged_by_its_end():
    whole = event(KNOWN.weights)
    end = 'event: end\ndata: {"frames": 30}\n\n'
    assert answers._read_events(KNOWN, whole + end)[0] == RIGHT
    assert answers._read_events(KNOWN, whole)[0] == CUT_OFF
    assert answers._read_events(KNOWN, event(KNOWN.weights, 1) + end)[0] == LOST
    assert answers._read_events(KNOWN, whole + whole + end)[0] == DOUBLED
    error = 'event: error\ndata: {"error": "ServerBusy"}\n\n'
    assert answers._read_events(KNOWN, whole + error)[:2] == (REFUSED, "ServerBusy")


def test_processes_are_known_by_their_arguments():
    stub = "/x/triton_python_backend_stub\0/r/emotalk_decoder/1/model.onnx\0region\0336\0emotalk_decoder_0_0\0DEFAULT\0"
    assert kind_of(stub) == "stub emotalk_decoder"
    assert kind_of("/opt/bin/tritonserver\0--model-repository=/r\0") == TRITON
    assert kind_of("python\0-m\0emotalk_server.cli\0--http-port\x001\0") == SUPERVISOR
    assert kind_of("python\0-m\0emotalk_cli\0gateway\0--url\0x\0") == GATEWAY
    assert kind_of("sleep\x0060\0") == HELPER


def test_a_process_is_found_by_its_mark_wherever_it_has_gone(tmp_path):
    code = "import subprocess; print(subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL).pid)"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, MARK: "here"}, stdout=subprocess.PIPE, text=True, check=True
    )
    orphan = int(said.stdout)
    try:
        assert of_run("here") == [Process(orphan, HELPER)]
        assert f"process {orphan} (helper)" in leftovers.left_behind(leftovers.files(tmp_path), "here", tmp_path)
    finally:
        os.kill(orphan, 9)
    while of_run("here"):
        time.sleep(0.01)


def test_a_command_is_started_again_until_it_is_stopped(tmp_path):
    log = tmp_path / "log"
    with Kept(["sh", "-c", "echo started; read never"], {MARK: "kept"}, log) as kept:
        while kept.starts < 3:
            time.sleep(0.01)
    assert log.read_text().count("started") >= 2
    assert of_run("kept") == []


def test_limits_are_told_from_what_may_never_be():
    tally = Tally("files")
    tally.note(RIGHT, 1.0)
    tally.note(REFUSED, 2.0, "ServerBusy")
    outcome = Outcome(Plan(), tallies=[tally])
    outcome.kills = [
        Kill("triton", ("triton",), 2.9, True, 0.2),
        Kill("gateway", ("gateway",), 4.9, False, 0.0),
        Kill(AT_RANDOM, ("gateway", "triton"), 4.9, True, 0.0),
    ]
    assert report.wrongs(outcome) == []
    assert report.late(outcome) == []
    outcome.kills += [Kill("a stub, stopped", ("stub x",), 4.9, True, 0.0, 0.9, 9.0)]
    assert report.late(outcome) == []
    outcome.kills += [Kill("triton", ("triton",), 1.0, True, 0.0, 1.1)]
    assert len(report.late(outcome)) == 1
    outcome.kills.pop()
    outcome.kills += [Kill("triton", ("triton",), 3.1, True, 1.1), Kill("triton", ("triton",), math.inf, True, 0.0)]
    assert len(report.late(outcome)) == 2
    assert report.wrongs(outcome) == ["triton: not healed"]
    tally.note(WRONG, 1.0, "by a lot")
    tally.note(RIGHT, 99.0)
    outcome.left = ["python_env_1"]
    outcome.slow_stops = ["gateway"]
    assert len(report.wrongs(outcome)) == 5
    assert "| triton | 3 |" in report.markdown(outcome)
    assert '"wrong": [' in report.as_json(outcome)

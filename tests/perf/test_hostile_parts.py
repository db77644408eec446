"""The parts of ``emotalk-perf hostile`` that need no server."""

import json
import math
import socket
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from emotalk_perf.attacked.answers import LOST, RIGHT, WRONG
from emotalk_perf.attacked.leftovers import in_use
from emotalk_perf.attacked.prober import Answer
from emotalk_perf.attacked.watched import tracebacks
from emotalk_perf.cli import app
from emotalk_perf.hostile import honest, report
from emotalk_perf.hostile.bargein import BINARY, message
from emotalk_perf.hostile.case import CLOSED, HANG, Case
from emotalk_perf.hostile.gateway import _code
from emotalk_perf.hostile.honest import Seen, Waits, since
from emotalk_perf.hostile.run import CASES, Outcome, Result, UnknownCase, chosen, longest_outage_s
from emotalk_perf.hostile.wire import exchange, form, in_words

pytestmark = pytest.mark.unit

CASE = Case("a-case", "Z1", "400 InvalidOption", lambda target: "400 InvalidOption")
WELL = tuple(Seen(caller, 9, 0, 0, 5.0, 6.0) for caller in ("gRPC", report.LIGHT, "gateway, upload"))


def result(**changed):
    given = {
        "case": CASE,
        "answer": "400 InvalidOption",
        "seconds": 0.1,
        "triton_died": False,
        "gateway_died": False,
        "outage_s": 0.0,
        "honest": WELL,
        "gateway_peak_bytes": 2**27,
    }
    return Result(**{**given, **changed})


def test_a_run_in_which_all_is_well_breaks_nothing():
    outcome = Outcome([result()])
    assert report.broken(outcome, strict=True) == []
    assert "| `a-case` | Z1 | 400 InvalidOption | no | - | 27 | 0 | 0 |" in report.markdown(outcome)
    assert json.loads(report.as_json(outcome))["results"][0]["honest"][0]["right"] == 9


@pytest.mark.parametrize(
    "changed",
    [
        {"answer": "500 InternalError"},
        {"answer": HANG},
        {"outage_s": 3.1},
        {"outage_s": math.inf},
        {"gateway_died": True},
        {"gateway_peak_bytes": 2**30 + 1},
        {"honest": (Seen("gRPC", 9, 1, 0, 5.0, 6.0),)},
        {"honest": (Seen("gRPC", 9, 0, 1, 5.0, 6.0),)},
        {"honest": (Seen("gRPC", 0, 0, 0, 0.0, 0.0),)},
    ],
)
def test_each_limit_is_one_that_breaks(changed):
    outcome = Outcome([result(**changed)])
    assert len(report.broken(outcome)) == 1
    json.loads(report.as_json(outcome), parse_constant=pytest.fail)
    assert report.markdown(outcome)


def test_a_slow_light_request_counts_only_where_the_machine_is_quiet():
    outcome = Outcome([result(honest=(Seen(report.LIGHT, 9, 0, 0, 101.0, 101.0),))])
    assert report.broken(outcome) == []
    assert len(report.broken(outcome, strict=True)) == 1


def test_what_is_left_and_tracebacks_break_a_run(tmp_path):
    (tmp_path / "gateway.log").write_text(
        "INFO x\nTraceback (most recent call last):\n  File x\nValueError: y\nINFO z\n"
    )
    found = tracebacks(tmp_path / "gateway.log")
    assert found == ["gateway: ValueError: y"]
    assert len(report.broken(Outcome(tracebacks=found, left=["/tmp/emotalk-x"]))) == 2  # noqa: S108  # a word


def test_an_outage_lasts_until_the_next_face():
    answers = [Answer(at, at + 0.1, well) for at, well in ((0, True), (1, False), (2, False), (4, True), (5, True))]
    assert longest_outage_s(answers) == pytest.approx(3.0)
    assert longest_outage_s([Answer(1, 3.1, False), Answer(4, 4.1, True)]) == pytest.approx(3.1), (
        "had no answer in time"
    )
    assert longest_outage_s(answers[:1]) == 0
    assert longest_outage_s(answers[:3]) == math.inf


def test_honest_answers_are_counted_by_case(monkeypatch):
    monkeypatch.setattr(honest, "PAUSE_S", 0.0)
    waits = Waits("gRPC")
    waits.note(WRONG, 9.0)
    before = waits.state()
    for column, seconds in ((RIGHT, 0.1), (RIGHT, 0.3), (LOST, 0.2)):
        waits.note(column, seconds)
    seen = since(waits, before)
    assert (seen.right, seen.wrong, seen.lost) == (2, 0, 1)
    assert seen.longest_ms == pytest.approx(300)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b'{"error": "[InvalidOption] no"}', "400 InvalidOption"),
        (413, b'{"error": "UploadTooLarge", "message": "x"}', "413 UploadTooLarge"),
        (200, b'event: error\ndata: {"error": "ServerBusy"}\n\n', "200 ServerBusy"),
        (500, b"Internal Server Error", "500"),
        (400, b"[1]", "400"),
        (400, b'{"error": "failed to parse"}', "400"),
    ],
)
def test_an_answer_in_words(status, body, words):
    assert in_words(status, body) == words


@pytest.mark.parametrize(
    ("said", "words"),
    [(b"HTTP/1.1 431 X\r\nContent-Length: 0\r\n\r\n", "431"), (b"", CLOSED), (None, HANG)],
)
def test_a_peer_that_answers_ends_or_hangs(said, words):
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            peer, _ = server.accept()
            with peer:
                peer.recv(100)
                if said is None:
                    done.wait(30)
                else:
                    peer.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        assert exchange(server.getsockname(), [b"hello"], limit_s=0.5 if said is None else 30.0) == words
        done.set()
        thread.join()


def test_a_close_frame_is_found_behind_others():
    text = b"\x81\x7e\x00\x80" + b"a" * 128
    assert _code(text + b"\x88\x02\x03\xf0") == 1008
    assert _code(text) is None


def test_a_form_has_its_fields_and_its_file():
    body, kind = form(b"RIFF", seed="4")
    assert kind.startswith("multipart/form-data; boundary=")
    assert body.count(b"Content-Disposition") == 2
    assert b"RIFF" in body


def test_cases_have_names_of_their_own_and_are_chosen_by_them():
    assert len({case.name for case in CASES}) == len(CASES)
    assert chosen([]) == list(CASES)
    assert [case.name for case in chosen(["head", "trace"])] == ["head", "trace"]
    with pytest.raises(UnknownCase, match=r"'nothing' is not a case; accepted: http-deep-json"):
        chosen(["nothing"])


def test_the_command_lists_its_cases_and_needs_speech_for_more():
    runner = CliRunner()
    listed = runner.invoke(app, ["hostile", "--list"])
    assert [line.split("\t")[0] for line in listed.output.splitlines()] == [case.name for case in CASES]
    assert runner.invoke(app, ["hostile"]).exit_code == 2


def test_what_a_living_process_uses_is_not_left_behind(tmp_path):
    name = tmp_path / "emotalk-another-run"
    assert not in_use(name)
    waiting = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", str(name)]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert in_use(name)
        process.stdin.close()
    assert not in_use(name)


@pytest.mark.parametrize("size", [0, 3, 125, 126, 65_535, 65_536])
def test_a_message_is_what_a_websocket_server_reads(size):
    protocol = ServerProtocol(state=OPEN)
    payload = bytes(n % 251 for n in range(size))
    protocol.receive_data(message(BINARY, payload))
    (frame,) = protocol.events_received()
    assert (frame.opcode, frame.data) == (BINARY, payload)

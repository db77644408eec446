"""Cases of Triton's HTTP. Declared shapes are bounded: the machine must survive a Triton that believes them."""

from __future__ import annotations

import gzip
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from emotalk_contract import tensors
from emotalk_perf.attacked.processes import TRITON, of_run
from emotalk_perf.hostile.case import Case, Target
from emotalk_perf.hostile.wire import exchange, head, post

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
INFER = f"/v2/models/{tensors.ENSEMBLE.name}/infer"
REFUSED = r"4\d\d( \w+)?|500|closed"
"""Triton's own front end may refuse in any words, or die: then it must serve again in time."""
GIB_IN_FLOATS = 2**28


def request(shape: list[int], data: str, parameters: dict[str, Any] | None = None) -> bytes:
    """Return a request whose AUDIO has ``data``, which is JSON."""
    given = json.dumps(parameters or {}, ensure_ascii=False)
    audio = f'{{"name": "AUDIO", "datatype": "FP32", "shape": {shape}, "data": {data}}}'
    return f'{{"parameters": {given}, "inputs": [{audio}]}}'.encode()


def _sound(samples: int) -> str:
    return "[" + ",".join(["0.125", "-0.125"] * (samples // 2)) + "]"


def _deep(target: Target) -> str:
    return post(target.triton, INFER, request([1, 1000], "[" * 100_000 + "0" + "]" * 100_000), JSON)


def _brackets(target: Target) -> str:
    return post(target.triton, INFER, b"[" * 5_000_000, FORM)


def _endless_shape(target: Target) -> str:
    return post(target.triton, INFER, request([1, 2**63 - 1], _sound(1000)), JSON)


def _huge_shape(target: Target) -> str:
    return post(target.triton, INFER, request([GIB_IN_FLOATS, 1], _sound(1000)), JSON)


def _many_samples(target: Target) -> str:
    body = request([1, 10_000_000], "[" + "0," * 9_999_999 + "0]")
    return post(target.triton, INFER, body, JSON)


def _chunks(target: Target) -> str:
    start = head("POST", INFER, {"Content-Type": JSON, "Transfer-Encoding": "chunked"})
    return exchange(target.triton, [start, *[b"1\r\n[\r\n" * 10_000] * 100, b"0\r\n\r\n"])


def _bomb(target: Target) -> str:
    body = gzip.compress(b" " * 200_000_000)
    return post(target.triton, INFER, body, JSON, {"Content-Encoding": "gzip"})


def _form(target: Target) -> str:
    return post(target.triton, INFER, request([1, 16000 * 25], _sound(16000 * 25)), FORM)


def _emotions(emotions: str) -> bytes:
    return request([1, 16000], _sound(16000), {"emotions": emotions})


def _nested(target: Target) -> str:
    return post(target.triton, INFER, _emotions("[" * 10_000), JSON)


def _not_utf8(target: Target) -> str:
    return post(target.triton, INFER, _emotions("BYTES").replace(b"BYTES", b"\xff\xfe"), JSON)


def _cross_talk(target: Target) -> str:
    """100 mistakes among which honest clips are batched; the answers must be one kind."""
    body = _emotions("[" * 5000)
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: post(target.triton, INFER, body, JSON), range(100)))
    return ", ".join(sorted(answers))


def _inner(target: Target) -> str:
    """100 requests to the first step, whose tickets nobody brings back."""
    body = request([1, 720], _sound(720))
    path = f"/v2/models/{tensors.PREPROCESS.name}/infer"
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: post(target.triton, path, body, JSON), range(101)))
    return ", ".join(sorted(answers))


def _ticket(target: Target) -> str:
    """A ticket that was never given, to the last step."""
    ticket = tensors.TICKET
    inputs = [
        {"name": "RAW_BLENDSHAPES", "datatype": "FP32", "shape": [1, 3, 52], "data": [0.0] * 156},
        {"name": "START_FRAME", "datatype": "INT64", "shape": [1, 1], "data": [0]},
        {"name": ticket.name, "datatype": ticket.datatype, "shape": [1, *ticket.axes], "data": [2**62]},
    ]
    path = f"/v2/models/{tensors.POSTPROCESS.name}/infer"
    return post(target.triton, path, json.dumps({"inputs": inputs}).encode(), JSON)


def _region(target: Target) -> str:
    body = json.dumps({"key": "/emotalk_hostile", "offset": 0, "byte_size": 64}).encode()
    return post(target.triton, "/v2/systemsharedmemory/region/hostile/register", body, "text/plain")


def _logging(target: Target) -> str:
    return post(target.triton, "/v2/logging", b'{"log_error": true}', JSON)


def _trace(target: Target) -> str:
    return post(target.triton, "/v2/trace/setting", b'{"trace_level": ["OFF"]}', JSON)


def _load(target: Target) -> str:
    return post(target.triton, f"/v2/repository/models/{tensors.ENSEMBLE.name}/load", b"{}", JSON)


def _argv(target: Target) -> str:
    """Every NAME=VALUE that Triton's command line shows, tried as the header that opens model control."""
    found = []
    for one in of_run(target.mark):
        if one.kind == TRITON:
            arguments = Path(f"/proc/{one.pid}/cmdline").read_bytes().split(b"\0")
            found += [
                part for argument in arguments if b"restricted" in argument and (part := argument.partition(b":")[2])
            ]
    answers = set()
    for lock in found:
        name, _, value = lock.partition(b"=")
        for key in {name, re.split(rb"\s", name)[0], re.split(rb"\s", name)[-1]}:
            start = head("POST", "/v2/repository/index", {"Content-Length": "0"})[:-2]
            answers.add(exchange(target.triton, [start, key + b": " + value + b"\r\n\r\n"]))
    return ", ".join(sorted(answers)) or "nothing is locked"


CASES = (
    Case("http-deep-json", "A2 F4", REFUSED, _deep),
    Case("http-brackets-as-form", "A2 F4", REFUSED, _brackets),
    Case("http-endless-shape", "A2 F4", REFUSED, _endless_shape),
    Case("http-huge-shape", "A2 F4", REFUSED, _huge_shape),
    Case("http-many-samples", "A2", REFUSED, _many_samples),
    Case("http-million-chunks", "A2 F4", REFUSED, _chunks),
    Case("http-gzip-bomb", "A2 F4", REFUSED, _bomb),
    Case("http-form-of-25-s", "A13 F3", REFUSED + "|200", _form),
    Case("option-nested", "A7 F8", "400 InvalidOption", _nested),
    Case("option-not-utf8", "A7 F8", "400 InvalidOption|400", _not_utf8),
    Case("option-cross-talk", "A14 F8", "400 InvalidOption", _cross_talk),
    Case("inner-preprocess", "A4 F6", r"200|4\d\d( \w+)?", _inner),
    Case("inner-ticket", "A4 F6", "400 InvalidTicket", _ticket),
    Case("shared-memory", "A5 F1", "403", _region),
    Case("logging", "A5 F1", "403", _logging),
    Case("trace", "A5 F1", "403", _trace),
    Case("model-control", "A6 F2", "403", _load),
    Case("argv-opens-nothing", "A6 F2", r"(4\d\d|closed)(, (4\d\d|closed))*", _argv),
)

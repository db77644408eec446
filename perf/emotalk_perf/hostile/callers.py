"""Cases of gRPC callers."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from emotalk_perf.attacked.prober import EVERY_S, ready_of
from emotalk_perf.attacked.processes import MARK
from emotalk_perf.hostile.case import HANG, Case, Target

LEAVE_S = (0.1, 0.2, 0.3, 0.5, 0.8, 1.2)
"""Seconds after which each of them leaves."""
LIMIT_S = 20.0
BETWEEN_S = 1.0


def _vanish(target: Target) -> str:
    """Callers that are gone, one after another, with requests on their way."""
    for leave_s in LEAVE_S:
        subprocess.run(
            [sys.executable, "-m", "emotalk_perf.hostile.vanishing", f"{target.host}:{target.grpc}", f"{leave_s}"],
            env={**os.environ, MARK: target.mark},
            timeout=60,
            check=True,
        )
        _await_ready(target)
    return "gone"


def _await_ready(target: Target) -> None:
    """Wait until faces are to be had again, and somebody had one: the next caller's harm is counted by itself."""
    ready = ready_of(target.host, target.http, "/v2/models/emotalk/ready")
    until = time.monotonic() + LIMIT_S
    time.sleep(BETWEEN_S)
    while time.monotonic() < until:
        with suppress(OSError, http.client.HTTPException):
            if ready():
                break
        time.sleep(EVERY_S)
    time.sleep(BETWEEN_S)


def _asks(ask: Callable[[Any], object]) -> Callable[[Target], str]:
    """Return a sender of one gRPC call; its answer is ``granted``, or the status code."""

    def send(target: Target) -> str:
        import tritonclient.grpc as triton
        from tritonclient.utils import InferenceServerException

        with triton.InferenceServerClient(f"{target.host}:{target.grpc}") as client:
            try:
                ask(client)
            except InferenceServerException as error:
                code = str(error.status()).rpartition(".")[2]
                return HANG if code == "DEADLINE_EXCEEDED" else code
            return "granted"

    return send


_NOT_GRANTED = "UNAVAILABLE|PERMISSION_DENIED|UNIMPLEMENTED"

CASES = (
    Case("grpc-vanishing", "A3 F5", "gone", _vanish),
    Case(
        "grpc-shared-memory",
        "A5 F1",
        _NOT_GRANTED,
        _asks(
            lambda client: client.register_system_shared_memory(
                "hostile", "/emotalk_hostile", 64, client_timeout=LIMIT_S
            )
        ),
    ),
    Case(
        "grpc-logging",
        "A5 F1",
        _NOT_GRANTED,
        _asks(lambda client: client.update_log_settings({"log_error": True}, client_timeout=LIMIT_S)),
    ),
    Case(
        "grpc-model-control",
        "A6 F2",
        _NOT_GRANTED,
        _asks(lambda client: client.load_model("emotalk", client_timeout=LIMIT_S)),
    ),
)

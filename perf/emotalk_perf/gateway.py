"""Cost of the gateway: the thin client's ``animate`` of a file against the gateway's stream of the same file.

The gateway runs in a process of its own, as it does for its users; its answer is read by the standard library and
parsed. Runs alternate, and each is compared with the one beside it, so that both meet the same machine.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson

from emotalk_client import EmoTalkClient
from emotalk_client.errors import UnexpectedResponse
from emotalk_perf.report import table

PATH = "/api/v1/process-audio-stream"
DATA = b"data: "
READ = 1 << 20
"""Bytes that are read at once, at most."""
AGREES = 1e-5
"""Difference of a weight up to which two faces are the same: batches round differently."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds of each run, [runs]."""

    thin: list[float]
    gateway: list[float]
    first: list[float]
    """To the gateway's first event."""
    seconds: float
    """Of the clip."""

    @property
    def share(self) -> float:
        """Median of by how much a gateway's run is longer than the thin client's beside it, of the latter's median."""
        return self.added_s / median(self.thin)

    @property
    def added_s(self) -> float:
        """That median, in seconds."""
        return median(gateway - thin for gateway, thin in zip(self.gateway, self.thin, strict=True))


def run(url: str, audio: Path, seconds: float, runs: int) -> Overhead:
    """Measure ``runs`` runs of each for the file ``audio`` of ``seconds`` seconds.

    Raises:
        UnexpectedResponse: the two faces are not the same.
    """
    measured = Overhead([], [], [], seconds)
    with EmoTalkClient(url) as client, _gateway(url) as connection:
        for number in range(-2, runs):  # the first two warm both up
            began = time.perf_counter()
            face = client.animate(audio)
            thin_s = time.perf_counter() - began
            began = time.perf_counter()
            frames, first_s = _streamed(connection, audio, began)
            gateway_s = time.perf_counter() - began
            weights = np.array([frame["blendshapes"] for frame in frames], np.float32)
            if weights.shape != face.weights.shape or not np.allclose(weights, face.weights, rtol=0, atol=AGREES):
                raise UnexpectedResponse("the gateway's face is not the thin client's")
            if number >= 0:
                measured.thin.append(thin_s)
                measured.gateway.append(gateway_s)
                measured.first.append(first_s)
    return measured


def markdown(measured: Overhead) -> str:
    """The table."""
    head = ("", "median", "fastest", "slowest")
    rows = [
        (name, *(f"{1000 * value:.0f} ms" for value in (median(runs), min(runs), max(runs))))
        for name, runs in (("thin client", measured.thin), ("gateway", measured.gateway))
    ]
    return (
        f"{table(head, rows)}\n\nA clip of {measured.seconds:g} s, {len(measured.thin)} alternating runs of each: "
        f"the gateway adds {1000 * measured.added_s:.1f} ms, {100 * measured.share:.1f} %."
    )


@contextmanager
def _gateway(url: str) -> Iterator[http.client.HTTPConnection]:
    """A connection to a gateway to ``url`` in a process of its own; it stays open, as the thin client's does."""
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", url, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout is not None else ""
            if "127.0.0.1:" not in said:
                raise UnexpectedResponse(f"the gateway did not start; it said {said!r}")
            port = int(said.split("http://127.0.0.1:")[1].split(",")[0])
            with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                yield connection
        finally:
            process.terminate()


def _streamed(connection: http.client.HTTPConnection, audio: Path, began: float) -> tuple[list[dict[str, Any]], float]:
    """The frames, parsed, and the seconds until the first event was there."""
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    body = head + audio.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    connection.request("POST", PATH, body, {"Content-Type": f"multipart/form-data; boundary={edge}"})
    answer = connection.getresponse()
    frames: list[dict[str, Any]] = []
    first_s, rest = 0.0, b""
    while piece := answer.read1(READ):
        *events, rest = (rest + piece).split(b"\n\n")
        for event in events:
            if event.startswith(DATA):
                first_s = first_s or time.perf_counter() - began
                frames += orjson.loads(event[len(DATA) :])
    return frames, first_s

"""Ways to ask a gateway that are not ours: the standard library's."""

import http.client
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from waiting import HANG_S

RATE = 16_000
VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"
STREAM = "/api/v1/process-audio-stream"
CHUNKS = "/process-audio/"


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Gateway:
    port: int
    service: Any
    wire: Any
    server: Any
    doors: Any = ()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def connection(self, timeout=HANG_S):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None):
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post(self, path, audio=None, headers=None, part="file", **fields):
        body, kind = form(audio, part, fields)
        return self.ask("POST", path, body, {"Content-Type": kind, **(headers or {})})

    def settle(self, seconds=HANG_S, among=0):
        """Wait until all but ``among`` are gone."""
        until = time.monotonic() + seconds
        while self.service.uploads.admitted + self.service.streams.admitted > among:
            assert time.monotonic() < until, "somebody is still being served"
            time.sleep(0.01)


def form(audio, part, fields):
    """A multipart body and its type."""
    edge = uuid.uuid4().hex
    pieces = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if audio is not None:
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{part}"; filename="../../x.wav"\r\n\r\n'
        pieces += [head.encode(), audio, b"\r\n"]
    return b"".join(pieces) + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


def events(body):
    """(name, data) of each event, as WHATWG's rules read them."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines()]
        name = next((value for field, _, value in lines if field == "event"), "message")
        data = "\n".join(value for field, _, value in lines if field == "data")
        if data:
            found.append((name, json.loads(data)))
    return found


def face(body):
    """Timecodes [F] and weights [F, 52] of a stream's body, which must have ended well."""
    found = events(body)
    assert found[-1][0] == "end", found[-1]
    frames = [frame for name, data in found[:-1] for frame in data]
    assert found[-1][1]["frames"] == len(frames)
    return np.array([f["timecode"] for f in frames]), np.array([f["blendshapes"] for f in frames], np.float32)

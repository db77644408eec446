"""Cases of the gateway."""

from __future__ import annotations

import base64
import gzip
import io
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import soundfile

from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.attacked.answers import UPLOAD_PATH
from emotalk_perf.hostile.case import CLOSED, HANG, Case, Target
from emotalk_perf.hostile.wire import LIMIT_S, exchange, form, head, post

CONVERT = "/api/v1/convert?format=csv"
CAPABILITIES = "/api/v1/capabilities"
MIB = 2**20
LARGE = 60 * MIB
AT_ONCE = 6
SLOW, SILENT = 32, 300
NOT_READING, NOT_READING_S = 8, 300
NOT_READING_WAIT_S = 20.0
"""Seconds that others may wait for a face meanwhile: 40 minutes of sound are work as any other's, and Triton has it."""
HELD_S = 5.0
"""Seconds for which callers that send or read nothing are watched."""


def sound(seconds: float) -> bytes:
    """Return a WAV file of a quiet tone."""
    file = io.BytesIO()
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    soundfile.write(file, 0.1 * np.sin(2 * np.pi * 220 * time_s), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _base64(target: Target) -> str:
    body, kind = form(b"AB " * (LARGE // 3))
    return post(target.page, UPLOAD_PATH, body, kind)


def _base64_at_once(target: Target) -> str:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return ", ".join(sorted(set(pool.map(lambda _: _base64(target), range(AT_ONCE)))))


def _convert(target: Target) -> str:
    return post(target.page, CONVERT, b"[" + b"0," * (LARGE // 2) + b"0]", "application/json")


def _convert_rows(target: Target) -> str:
    return post(target.page, CONVERT, b"[" + b"[0]," * (LARGE // 4) + b"[0]]", "application/json")


def _endless(start: bytes) -> Callable[[Target], str]:
    def pieces() -> Iterator[bytes]:
        yield start
        for _ in range(200):
            yield b"a" * MIB

    return lambda target: exchange(target.page, pieces())


def _not_reading(target: Target) -> str:
    """Callers that read nothing of their faces; the answer is that of somebody who does."""
    body, kind = form(sound(NOT_READING_S))
    start = head("POST", UPLOAD_PATH, {"Content-Type": kind, "Content-Length": str(len(body))})
    with ExitStack() as held:
        for _ in range(NOT_READING):
            peer = held.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.settimeout(LIMIT_S)
            peer.connect(target.page)
            peer.sendall(start + body)
        time.sleep(HELD_S)
        return upload(target)


def upload(target: Target) -> str:
    """Upload a second of sound as anybody does."""
    body, kind = form(sound(1.0))
    return post(target.page, UPLOAD_PATH, body, kind)


def _slow(target: Target) -> str:
    """Bodies that come by the byte; the answer is that of somebody who sends all at once."""
    body, kind = form(sound(1.0))
    start = head("POST", UPLOAD_PATH, {"Content-Type": kind, "Content-Length": str(len(body))})
    with ExitStack() as held:
        peers = [held.enter_context(socket.create_connection(target.page, LIMIT_S)) for _ in range(SLOW)]
        for peer in peers:
            peer.sendall(start)
        for offset in range(3):
            for peer in peers:
                peer.sendall(body[offset : offset + 1])
            time.sleep(0.3)
        return upload(target)


def handshake(target: Target, **headers: str) -> bytes:
    """Return the request for a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    given = {"Host": f"{target.host}:{target.gateway}", "Connection": "Upgrade", "Upgrade": "websocket"}
    return head("GET", "/ws/stream", {**given, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **headers})


def closing(peer: socket.socket) -> str:
    """Return the answer to a handshake: a status, or the code with which the connection is closed."""
    data = b""
    try:
        while piece := peer.recv(65536):
            data += piece
            start, ended, frames = data.partition(b"\r\n\r\n")
            status = re.match(rb"HTTP/1.1 (\d+)", start)
            if ended and status and status[1] != b"101":
                return status[1].decode()
            if ended and (code := _code(frames)) is not None:
                return f"close {code}"
    except TimeoutError:
        return HANG
    except OSError:
        return CLOSED
    return CLOSED


def _code(frames: bytes) -> int | None:
    """Return the code of the first close frame in what a server sent; None while there is not one."""
    at = 0
    while at + 2 <= len(frames):
        size, skip = frames[at + 1] & 127, 2
        if size == 126:
            size, skip = int.from_bytes(frames[at + 2 : at + 4]), 4
        if frames[at] & 15 == 8 and at + skip + 2 <= len(frames):
            code: int = struct.unpack(">H", frames[at + skip : at + skip + 2])[0]
            return code
        at += skip + size
    return None


def _silent(target: Target) -> str:
    """WebSockets that never say ``start``: each is closed in time, and an upload is answered beside them."""
    with ExitStack() as held:
        peers = [held.enter_context(socket.create_connection(target.page, LIMIT_S)) for _ in range(SILENT)]
        for peer in peers:
            peer.sendall(handshake(target))
        beside = upload(target)
        answers = {closing(peer) for peer in peers}
    return ", ".join(sorted({beside, *answers}))


def _origin(origin: str) -> Callable[[Target], str]:
    def send(target: Target) -> str:
        with socket.create_connection(target.page, LIMIT_S) as peer:
            peer.sendall(handshake(target, Origin=origin))
            return closing(peer)

    return send


def _foreign_host(target: Target) -> str:
    return exchange(target.page, [head("GET", CAPABILITIES, {"Host": "evil.example"})])


def _rebound(target: Target) -> str:
    with socket.create_connection(target.page, LIMIT_S) as peer:
        peer.sendall(handshake(target, Host="evil.example", Origin="http://evil.example"))
        return closing(peer)


def _gzip(target: Target) -> str:
    body, kind = form(sound(1.0))
    return post(target.page, UPLOAD_PATH, gzip.compress(body), kind, {"Content-Encoding": "gzip"})


def _head(target: Target) -> str:
    try:
        with socket.create_connection(target.page, LIMIT_S) as peer:
            peer.sendall(head("HEAD", CAPABILITIES, {}))
            return peer.recv(64).decode().split(" ")[1]
    except TimeoutError:
        return HANG


def _nameless(disposition: str) -> Callable[[Target], str]:
    def send(target: Target) -> str:
        body, kind = form(sound(1.0), disposition)
        return post(target.page, UPLOAD_PATH, body, kind)

    return send


def _field(name: str, value: str) -> Callable[[Target], str]:
    def send(target: Target) -> str:
        body, kind = form(sound(1.0), **{name: value})
        return post(target.page, UPLOAD_PATH, body, kind)

    return send


_MISTAKE = r"4\d\d \w+"
_HEADERS = r"4(14|31|00)( \w+)?|closed"

CASES = (
    Case("base64-in-words", "B1 F9", _MISTAKE, _base64),
    Case("base64-six-at-once", "B1 F9", rf"({_MISTAKE}|503 \w+)(, ({_MISTAKE}|503 \w+))*", _base64_at_once),
    Case("convert-zeros", "B1 F9", _MISTAKE, _convert),
    Case("convert-rows", "B1 F9", _MISTAKE, _convert_rows),
    Case("endless-header", "B2 F10", _HEADERS, _endless(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")),
    Case("endless-url", "B2 F10", _HEADERS, _endless(b"GET /")),
    Case("not-reading", "B3 F11", "200", _not_reading, without_face_s=NOT_READING_WAIT_S),
    Case("slow-bodies", "B4 F11", "200", _slow),
    Case("silent-sockets", "B4", r"200(, (close \d+|closed|403|503))*", _silent),
    Case("broken-origin", "A7 F17", "close 1008|403", _origin("http://[::1")),
    Case("foreign-origin", "F17", "close 1008|403", _origin("http://evil.example")),
    Case("foreign-host", "B6 F17", r"4\d\d( \w+)?", _foreign_host),
    Case("rebound-socket", "B6 F17", r"close 1008|4\d\d", _rebound),
    Case("gzip-body", "B6", r"415( \w+)?", _gzip),
    Case("head", "B6", "200", _head),
    Case("part-without-filename", "B7", "200", _nameless('name="file"')),
    Case("part-with-other-filename", "B7", "200", _nameless("name=\"file\"; filename*=UTF-8''clip.wav")),
    Case("emotions-nested", "A7 F8", r"4(00|22) Invalid\w+", _field("emotions", "[" * 60_000)),
    Case("seed-of-6000-digits", "F17", _MISTAKE, _field("seed", "9" * 6000)),
)

"""Callers of a gateway who send what is broken, leave early, or never read; each has the answers that are accepted."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

import numpy as np

from emotalk_perf.attacked.answers import RIGHT, UPLOAD_PATH, WRONG, Judged
from emotalk_perf.hostile.case import HANG, Target
from emotalk_perf.hostile.gateway import closing, handshake, sound
from emotalk_perf.hostile.wire import LIMIT_S, form, head, post
from emotalk_perf.traffic.arrivals import Ask

LEFT, LET_GO = "left", "let go of"
LONG_S, LONG_FPS = 40.0, 240
"""Seconds of the clip whose face nobody reads, and its frames a second: megabytes, more than lies in sockets' buffers,
for the computing of a clip as any other's."""
SMALL_BUFFER = 4096
"""Bytes that the system keeps for somebody who does not read."""
PATIENCE_S = 45.0
"""Seconds in which a gateway must have let go of somebody who does not read: its ``send_timeout_s``, 30, and the time
in which the answer is computed and fills all buffers."""
SPOKEN_S = 1.0

Send = Callable[[Target], str]


def _noise(target: Target) -> str:
    return post(target.page, UPLOAD_PATH, *form(np.random.default_rng(0).bytes(100_000)))


def _half(target: Target) -> str:
    whole = sound(4.0)
    return post(target.page, UPLOAD_PATH, *form(whole[: len(whole) // 2]))


def _nothing(target: Target) -> str:
    return post(target.page, UPLOAD_PATH, *form(b""))


def _option(target: Target) -> str:
    return post(target.page, UPLOAD_PATH, *form(sound(1.0), smoothing="very"))


def _begin(
    target: Target, seconds: float, share: float = 1.0, buffer: int | None = None, **fields: str
) -> socket.socket:
    """Return a connection over which ``share`` of an upload has been sent."""
    body, kind = form(sound(seconds), **fields)
    start = head("POST", UPLOAD_PATH, {"Content-Type": kind, "Content-Length": str(len(body))})
    peer = socket.socket()
    if buffer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    peer.settimeout(LIMIT_S)
    peer.connect(target.page)
    peer.sendall(start + body[: round(share * len(body))])
    return peer


def _leaves_in_body(target: Target) -> str:
    with _begin(target, 4.0, 0.5):
        time.sleep(0.2)
    return LEFT


def _leaves_in_answer(target: Target) -> str:
    with _begin(target, 20.0) as peer:
        peer.recv(1)
    return LEFT


def _leaves_in_speech(target: Target) -> str:
    """Somebody who is gone in the middle of a frame of a WebSocket."""
    with socket.create_connection(target.page, LIMIT_S) as peer:
        peer.sendall(handshake(target))
        peer.recv(65536)
        peer.sendall(_masked(1, b'{"type": "start", "sample_rate": 16000, "format": "int16"}'))
        for _ in range(round(SPOKEN_S / 0.1)):
            peer.sendall(_masked(2, bytes(3200)))
            time.sleep(0.1)
        peer.sendall(_masked(2, bytes(3200))[:100])
    return LEFT


def _masked(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame (RFC 6455, 5.2) with the mask 0, of a payload of up to 65535 bytes."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def _never_reads(target: Target) -> str:
    """Somebody who sends a clip and reads nothing until :data:`PATIENCE_S`; ``let go of`` where the rest is gone."""
    with _begin(target, LONG_S, buffer=SMALL_BUFFER, fps=f"{LONG_FPS}") as peer:
        time.sleep(PATIENCE_S)
        said = bytearray()
        try:
            while piece := peer.recv(1 << 20):
                said += piece
        except TimeoutError:
            return HANG
        except OSError:
            return LET_GO
    return "kept" if b"event: end" in said else LET_GO


def _never_starts(target: Target) -> str:
    with socket.create_connection(target.page, LIMIT_S) as peer:
        peer.sendall(handshake(target))
        return closing(peer)


_MISTAKE = r"4\d\d \w+|503 GatewayFull"
STRANGERS: Mapping[str, tuple[str, Send]] = {
    "noise": (_MISTAKE, _noise),
    "half a file": (_MISTAKE, _half),
    "an empty file": (_MISTAKE, _nothing),
    "a wrong option": (_MISTAKE, _option),
    "leaves in the body": (LEFT, _leaves_in_body),
    "leaves in the answer": (LEFT, _leaves_in_answer),
    "leaves in speech": (LEFT, _leaves_in_speech),
    "never reads": (LET_GO, _never_reads),
    "never starts": (r"close \d+", _never_starts),
}
"""Name to the regular expression of accepted answers, and what they do."""


def strangers(target: Target, pool: Executor) -> Ask:
    """Return what does the next of :data:`STRANGERS`, in turn; an answer that is accepted is right."""
    turns = itertools.cycle(STRANGERS.items())

    async def ask() -> Judged:
        name, (accepted, send) = next(turns)
        answer = await asyncio.get_running_loop().run_in_executor(pool, send, target)
        well = re.fullmatch(accepted, answer) is not None
        return Judged(RIGHT if well else WRONG, f"{name}: {answer}")

    return ask

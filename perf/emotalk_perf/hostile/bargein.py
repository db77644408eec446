"""A caller of the gateway who interrupts while the face server stands still, and then goes on speaking."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.attacked.processes import TRITON, of_run
from emotalk_perf.hostile.case import CLOSED, HANG, Case, Target
from emotalk_perf.hostile.gateway import handshake
from emotalk_perf.hostile.wire import LIMIT_S

TEXT, BINARY = 1, 2
HEARD_S = 1.0
"""Seconds in which ``cancel`` must be answered."""
UNHEARD_S = 8.0
"""Seconds after which it is not any more: before a Triton that stands still is taken for dead."""
STANDS_S = 0.5
"""Seconds for which Triton has stood still when the caller interrupts."""


def message(opcode: int, payload: bytes) -> bytes:
    """Return a client's WebSocket message of one frame, masked as clients must."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    repeated = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(size, "big")


def _said(peer: socket.socket, kind: str, limit_s: float) -> str | None:
    """Read until a message of ``kind`` has come; return None, or why it has not: ``hang`` or ``closed``."""
    return _read_to(peer, re.compile(rb'"type": ?"' + kind.encode() + rb'"'), limit_s)


def _read_to(peer: socket.socket, wanted: re.Pattern[bytes], limit_s: float) -> str | None:
    data, until = b"", time.monotonic() + limit_s
    while not wanted.search(data):
        peer.settimeout(max(0.01, until - time.monotonic()))
        try:
            piece = peer.recv(1 << 16)
        except TimeoutError:
            return HANG
        except OSError:
            return CLOSED
        if not piece:
            return CLOSED
        data = data[-64:] + piece
    return None


@contextmanager
def _standing_still(mark: str) -> Iterator[None]:
    """Stop Triton for the block."""
    tritons = [one for one in of_run(mark) if one.kind == TRITON]
    for one in tritons:
        one.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in tritons:
            one.send(signal.SIGCONT)


def _barge_in(target: Target) -> str:
    second = message(BINARY, b"\x00\x10\x00\xf0" * (SAMPLE_RATE // 2))
    start = {"type": "start", "sample_rate": SAMPLE_RATE, "format": "int16"}
    with socket.create_connection(target.page, LIMIT_S) as peer:
        peer.sendall(handshake(target))
        if failed := _read_to(peer, re.compile(rb"HTTP/1.1 101[^\n]*\r\n"), LIMIT_S):
            return f"handshake: {failed}"
        peer.sendall(message(TEXT, json.dumps(start).encode()) + second)
        if failed := _said(peer, "frames", LIMIT_S):
            return f"start: {failed}"
        with _standing_still(target.mark):
            peer.sendall(second)
            time.sleep(STANDS_S)
            began = time.monotonic()
            peer.sendall(message(TEXT, json.dumps({"type": "cancel", "fade_s": 0.3}).encode()))
            if failed := _said(peer, "cancelled", UNHEARD_S):
                return f"cancel: {failed}"
            heard_s = time.monotonic() - began
        peer.sendall(second + message(TEXT, json.dumps({"type": "end"}).encode()))
        if failed := _said(peer, "end", LIMIT_S):
            return f"after cancel: {failed}"
    return "cancelled, goes on" if heard_s <= HEARD_S else f"cancelled after {heard_s:.1f} s"


CASES = (Case("barge-in-on-a-standing-server", "B5", "cancelled, goes on", _barge_in),)

"""Raw bytes to a port, and the answer in a few words: status and error class, ``hang`` or ``closed``."""

from __future__ import annotations

import http.client
import json
import re
import socket
import uuid
from collections.abc import Iterable, Mapping

from emotalk_perf.hostile.case import CLOSED, HANG

LIMIT_S = 20.0
"""Seconds after which a peer that says nothing hangs."""
_CLASS = re.compile(r"\[(\w+)\]")

Address = tuple[str, int]


def exchange(address: Address, pieces: Iterable[bytes], limit_s: float = LIMIT_S) -> str:
    """Send ``pieces`` over a new connection, read the answer to its end, and return it in a few words."""
    try:
        with socket.create_connection(address, limit_s) as peer:
            try:
                for piece in pieces:
                    peer.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered before
            answer = http.client.HTTPResponse(peer)
            answer.begin()
            return in_words(answer.status, answer.read())
    except TimeoutError:
        return HANG
    except (OSError, http.client.HTTPException):
        return CLOSED


def in_words(status: int, body: bytes) -> str:
    """Return ``status`` and the class of the error in ``body``, of JSON or of a stream's event."""
    text = body[-4096:].decode("utf-8", "replace")
    if "event: error" in text:
        text = text.rpartition("data: ")[2].strip()
    try:
        said = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        said = ""
    found = _CLASS.search(said)
    name = found[1] if found else said if re.fullmatch(r"\w+", said) else ""
    return f"{status} {name}".strip()


def head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request after which the connection ends."""
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {"Host": "localhost", "Connection": "close", **headers}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(address: Address, path: str, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> str:
    """Send ``body`` with the content type ``kind``."""
    given = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
    return exchange(address, [head("POST", path, given), body])


def form(content: bytes, disposition: str = 'name="file"; filename="clip.wav"', **fields: str) -> tuple[bytes, str]:
    """Return a multipart form with ``content`` in a part, and its content type."""
    border = uuid.uuid4().hex
    parts = [
        f'--{border}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(f"--{border}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n")
    body = "".join(parts).encode() + content + f"\r\n--{border}--\r\n".encode()
    return body, f"multipart/form-data; boundary={border}"

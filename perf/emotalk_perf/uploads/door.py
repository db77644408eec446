"""A gateway's door for pictures, asked as a browser asks."""

from __future__ import annotations

import http.client
import json
import uuid
from typing import ClassVar
from urllib.parse import urlsplit

PATIENCE_S = 30.0
"""Seconds in which an answer is there."""


class Door:
    """``POST /avatar/register`` of the gateway at ``url``; what it registers, it deletes again."""

    ACCEPTED: ClassVar = frozenset({"201", "413", "415", "422"})
    """Statuses: registered, too large, not a picture, refused in words."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def asked(self, data: bytes) -> str:
        """Send ``data``; return the status, or what is wrong with the answer."""
        boundary = uuid.uuid4().hex
        body = b"".join(
            [
                f'--{boundary}\r\nContent-Disposition: form-data; name="avatar_name"\r\n\r\ndamaged\r\n'.encode(),
                f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="face"\r\n\r\n'.encode(),
                data,
                f"\r\n--{boundary}--\r\n".encode(),
            ]
        )
        status, answer = self._ask(
            "POST", "/avatar/register", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
        if status == "201":
            self._ask("DELETE", f"/avatar/{json.loads(answer)['id']}")
        elif status in self.ACCEPTED and not json.loads(answer).get("message"):
            return f"{status} without a message"
        return status

    def health(self) -> str | None:
        """Return what is wrong with the gateway's health; None where nothing is."""
        try:
            status, _ = self._ask("GET", "/health")
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        return None if status == "200" else status

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[str, bytes]:
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return str(answer.status), answer.read()
        finally:
            connection.close()

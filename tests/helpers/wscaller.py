"""A caller of the gateway's WebSocket without a network: the other side of ASGI, step by step."""

import asyncio
import json

import numpy as np

from emotalk_gateway.app import create_app
from emotalk_gateway.service.settings import GatewaySettings

GUARD_S = 120
"""Seconds after which a test that hangs ends; nothing takes as long."""


class Caller:
    """``async with Caller(app) as caller``: one connection to ``app``.

    ``reads`` is cleared to stop reading; after ``breaks`` sends each raises, as to a caller that has left.
    """

    def __init__(self, app, breaks=None, scheme="ws", **headers):
        self.app = app
        headers = {"host": "localhost:8080", **headers}
        self.scope = {
            "type": "websocket",
            "scheme": scheme,
            "path": "/ws/stream",
            "raw_path": b"/ws/stream",
            "query_string": b"",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "subprotocols": [],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        }
        self.spoken = asyncio.Queue()
        self.answers = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.breaks = breaks
        self.sends = 0
        self.code = None
        self.status = None
        self.task = None

    async def __aenter__(self):
        self.spoken.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self.app(self.scope, self.spoken.get, self.take))
        return self

    async def __aexit__(self, kind, error, trace):
        self.leave()
        self.reads.set()
        await self.over()

    async def take(self, message):
        await self.reads.wait()
        self.sends += 1
        if self.breaks is not None and self.sends > self.breaks:
            raise OSError("the caller has left")
        if message["type"] == "websocket.close":
            self.code = message["code"]
        elif message["type"] == "websocket.http.response.start":
            self.status = message["status"]
        elif message["type"] == "websocket.send":
            data = message.get("bytes")
            self.answers.put_nowait(data if data is not None else json.loads(message["text"]))

    def say(self, message):
        key, value = ("bytes", message) if isinstance(message, bytes) else ("text", message)
        if isinstance(value, dict):
            value = json.dumps(value)
        self.spoken.put_nowait({"type": "websocket.receive", key: value})

    def leave(self):
        self.spoken.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def over(self):
        """Wait for the end of the connection; what is raised out of it is raised here."""
        await asyncio.wait_for(asyncio.shield(self.task), GUARD_S)

    async def start(self, **fields):
        self.say({"type": "start", "sample_rate": 16_000, "format": "float32", **fields})
        assert (await self.hear())["type"] == "started"

    async def hear(self):
        return await asyncio.wait_for(self.answers.get(), GUARD_S)

    async def until(self, *kinds):
        """Frames as (index, weights) up to a message of one of ``kinds``, and that message."""
        frames = []
        while True:
            message = await self.hear()
            if message["type"] in kinds:
                return frames, message
            assert message["type"] == "frames", message
            frames += [(f["frame"], np.array(f["blendshapes"])) for f in message["frames"]]

    async def refused(self):
        """The error that ends the connection, and the code of its close."""
        while (message := await self.hear())["type"] != "error":
            pass
        await self.over()
        return message, self.code


def app_of(client, **settings):
    return create_app(GatewaySettings(**settings), client)

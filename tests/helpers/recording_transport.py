"""The real wire, with a note of every window that goes over it."""

import asyncio
import time

from emotalk_client.wire.transport import TritonTransport


class RecordingTransport:
    """Begun and ended windows, by the clock that tests use. Each waits ``slow_s`` before it goes; while ``held`` is
    set, those from that number on wait until it is None.
    """

    def __init__(self, url):
        self._url = url
        self._wire = None
        self.slow_s = 0.0
        self.held = None
        self.began = []
        self.ended = []

    def _connected(self):
        if self._wire is None:  # on the loop that uses it
            self._wire = TritonTransport(self._url)
        return self._wire

    async def infer(self, inputs, parameters, timeout_s, *model):
        self.began.append(time.monotonic())
        number = len(self.began)
        try:
            await asyncio.sleep(self.slow_s)
            while self.held is not None and number > self.held:
                await asyncio.sleep(0.01)
            return await self._connected().infer(inputs, parameters, timeout_s, *model)
        finally:
            self.ended.append(time.monotonic())

    def answers(self, *asked):
        return self._connected().answers(*asked)

    async def model_parameters(self, timeout_s):
        return await self._connected().model_parameters(timeout_s)

    async def ready(self, timeout_s):
        await self._connected().ready(timeout_s)

    async def close(self):
        if self._wire is not None:
            await self._wire.close()

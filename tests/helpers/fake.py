"""A transport without a server: its face says which absolute frame it is, so that joins are provably right."""

import asyncio

import numpy as np

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_contract import tensors
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import Window, timecodes

PARAMETERS = Recipe(context_before_s=0.6, look_ahead_s=0.3).strings() | {"model": "a fake"}


class FakeTransport:
    """Column c of frame f is ``f + c / 100``. ``script`` maps the number of a request to an exception, a delay or an
    event to wait for; or is a function that does.
    """

    def __init__(self, script=None, parameters=PARAMETERS):
        self.script = script or {}
        self.parameters = parameters
        self.sent = []
        self.flying = self.most_flying = self.cancelled = 0
        self.closed = False
        self.last = None

    async def infer(self, inputs, parameters, timeout_s, model=tensors.ENSEMBLE):  # noqa: ARG002  # the protocol's
        number = len(self.sent)
        self.sent.append((inputs, parameters))
        self.last = asyncio.get_running_loop().time()
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            act = self.script(number) if callable(self.script) else self.script.get(number)
            if isinstance(act, Exception):
                raise act
            await (act.wait() if isinstance(act, asyncio.Event) else asyncio.sleep(act or 0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.flying -= 1
        samples = inputs["AUDIO"].shape[1]
        start = int(inputs["START_FRAME"][0, 0]) if "START_FRAME" in inputs else 0
        whole = None if "START_FRAME" in inputs else samples  # as the pre-processor takes it
        clip = int(inputs["CLIP_SAMPLES"][0, 0]) if "CLIP_SAMPLES" in inputs else whole
        frames = Window(samples, start, clip).frames
        weights = np.arange(start, start + frames)[:, None] + np.arange(52) / 100
        return {"BLENDSHAPES": weights[None].astype(np.float32), "TIMECODES": timecodes(start, frames)[None]}

    async def model_parameters(self, timeout_s):  # noqa: ARG002  # the protocol's
        return self.parameters

    async def ready(self, timeout_s):  # noqa: ARG002  # the protocol's
        return None

    async def close(self):
        self.closed = True


def client(script=None, parameters=PARAMETERS, **options):
    transport = FakeTransport(script, parameters)
    return AsyncEmoTalkClient(transport=transport, **options), transport

"""A transport without a server: its face says which absolute frame it is, so that joins are provably right.

Its ensemble serves windows; where its parameters say that the network streams, it serves steps too. A step's state is
its position, and the number of the weights.
"""

import asyncio

import numpy as np

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_contract import live_steps, tensors
from emotalk_contract.errors import StaleState
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import Window, timecodes

PARAMETERS = Recipe(context_before_s=0.6, look_ahead_s=0.3).strings() | {"model": "a fake"}
STREAMING = Recipe(
    normalisation="none", frame_grid="uniform", context_before_s=0.6, look_ahead_s=0.3, step_lead=520, step_ahead=5
).strings() | {"model": "a fake that streams"}


class FakeTransport:
    """Column c of frame f is ``f + c / 100``. ``script`` maps the number of a request to an exception, a delay or an
    event to wait for; or is a function that does.
    """

    def __init__(self, script=None, parameters=PARAMETERS):
        self.script = script or {}
        self.parameters = parameters
        self.sent, self.models = [], []
        self.flying = self.most_flying = self.cancelled = 0
        self.closed = False
        self.last = None
        self.weights = 1
        self.heard = {}
        """Of streams, by the frame where they began: the sound that steps brought, put together."""

    async def infer(self, inputs, parameters, timeout_s, model=tensors.ENSEMBLE):  # noqa: ARG002  # the protocol's
        number = len(self.sent)
        self.sent.append((inputs, parameters))
        self.models.append(model)
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
        if model is tensors.LIVE:
            return self._stepped(inputs, parameters)
        samples = inputs["AUDIO"].shape[1]
        start = int(inputs["START_FRAME"][0, 0]) if "START_FRAME" in inputs else 0
        whole = None if "START_FRAME" in inputs else samples  # as the pre-processor takes it
        clip = int(inputs["CLIP_SAMPLES"][0, 0]) if "CLIP_SAMPLES" in inputs else whole
        frames = Window(samples, start, clip).frames
        return self._face(start, frames)

    def _face(self, start, frames):
        weights = np.arange(start, start + frames)[:, None] + np.arange(52) / 100
        return {"BLENDSHAPES": weights[None].astype(np.float32), "TIMECODES": timecodes(start, frames)[None]}

    def _stepped(self, inputs, parameters):
        reach = Recipe.from_strings(self.parameters).steps
        first = int(inputs["START_FRAME"][0, 0]) if "START_FRAME" in inputs else 0
        weights, features, given = self.weights, 0, first
        if "STATE" in inputs:
            weights, first, features, given = inputs["STATE"][0].view(np.int64).tolist()
        if weights != self.weights:
            raise StaleState("other weights")
        brought, odd = divmod(inputs["AUDIO"].shape[1] - 2 * reach.lead, 320)
        brought += 1
        assert odd == 0
        assert 1 <= brought <= live_steps.MAX_STEP_FEATURES
        self._hear(first, reach.span(features, brought)[0], inputs["AUDIO"][0])
        smooth = parameters.get("smooth", True) and not parameters.get("raw", False)
        known = reach.known(features + brought)
        end = first + live_steps.settled(known, smooth=smooth, prompt=parameters.get("prompt", False))
        if "CLIP_SAMPLES" in inputs:
            end = first + live_steps.frames_in_all(int(inputs["CLIP_SAMPLES"][0, 0]))
        end = max(end, given)
        state = np.array([self.weights, first, features + brought, end], np.int64).view(np.uint8)
        return self._face(given, end - given) | {"STATE": state[None]}

    def _hear(self, first, start, audio):
        """Put ``audio`` beside what is there already; where both have samples, they are the same."""
        assert not audio[: max(0, -start)].any()
        audio, start = audio[max(0, -start) :], max(0, start)
        before = self.heard.get(first, np.zeros(0, np.float32))
        shared = len(before) - start
        assert shared >= 0, "a step left samples out"
        ours, theirs = before[start:], audio[:shared]
        end = min(len(ours), len(theirs))
        assert np.array_equal(ours[:end], theirs[:end]), "a step's overlap is other sound"
        self.heard[first] = np.concatenate([before[:start], audio])

    async def model_parameters(self, timeout_s):  # noqa: ARG002  # the protocol's
        return self.parameters

    async def ready(self, timeout_s):  # noqa: ARG002  # the protocol's
        return None

    async def close(self):
        self.closed = True


def client(script=None, parameters=PARAMETERS, **options):
    transport = FakeTransport(script, parameters)
    return AsyncEmoTalkClient(transport=transport, **options), transport

"""Live streams by steps against real servers: the whole clip's frames, whatever becomes of servers and states."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import GUARD_S

from emotalk_client import AsyncEmoTalkClient, EmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_client.wire.transport import TritonTransport
from emotalk_contract import tensors
from emotalk_contract.timing import FPS
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

RATE = 16_000
VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"
EXACT = 0.01
"""Of the whole clip, each weight."""


@pytest.fixture(scope="module")
def voice():
    return load(VOICE)[RATE // 2 :][: 4 * RATE + 77]


@pytest.fixture(scope="module")
def whole(bundled_server, voice):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        return client.animate(voice, sample_rate=RATE).weights


def check_exact(frames, whole):
    assert [frame.index for frame in frames] == list(range(len(whole)))
    assert np.abs(np.array([frame.weights for frame in frames]) - whole).max() <= EXACT


async def speak(session, clip, sizes, pace_s=0.0):
    """Push ``clip`` in blocks of ``sizes`` samples, again and again, then flush; all frames."""
    frames, start, turn = [], 0, 0
    while start < len(clip):
        frames += await session.push(clip[start : (start := start + sizes[turn % len(sizes)])])
        turn += 1
        await asyncio.sleep(pace_s)
    return frames + await session.flush()


class Between:
    """A transport that does to steps what a test says, before they go to one of ``urls``, in turn."""

    def __init__(self, *urls, change=None):
        self._urls, self._change, self._wires = urls, change, []
        self.steps = self.windows = 0

    def _next(self):
        if not self._wires:  # on the loop that uses them
            self._wires = [TritonTransport(url) for url in self._urls]
        self._wires.append(self._wires.pop(0))
        return self._wires[-1]

    async def infer(self, inputs, parameters, timeout_s, model=tensors.ENSEMBLE):
        if model is not tensors.LIVE:
            self.windows += 1
        else:
            self.steps += 1
            if self._change is not None:
                inputs, model = self._change(self.steps, inputs, model)
        return await self._next().infer(inputs, parameters, timeout_s, model)

    async def model_parameters(self, timeout_s):
        return await self._next().model_parameters(timeout_s)

    async def ready(self, timeout_s):
        await self._next().ready(timeout_s)

    async def close(self):
        for wire in self._wires:
            await wire.close()


@settings(max_examples=12, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 9_000), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) >= 100 * len(sizes)),
    samples=st.integers(1, 3 * RATE),
    hop=st.integers(1, 8),
)
def test_any_cut_of_the_pushes_gives_the_whole_clip(bundled_server, voice, cuts, samples, hop):
    async def run():
        async with AsyncEmoTalkClient(bundled_server.grpc_url) as client:
            clip = voice[:samples]
            # A stream shorter than the shortest clip is taken for one with silence after it.
            face = await client.animate(np.pad(clip, (0, max(0, 720 - samples))), sample_rate=RATE)
            frames = await speak(client.live(sample_rate=RATE, hop=hop / FPS, prompt=False), clip, cuts)
            check_exact(frames, face.weights[: -(-samples * FPS // RATE)])

    asyncio.run(run())


async def test_a_server_that_is_killed_twice_costs_no_frame(voice, whole):
    server = await asyncio.to_thread(EmbeddedServer().start)
    try:
        async with AsyncEmoTalkClient(server.grpc_url) as client:
            session = client.live(sample_rate=RATE)
            frames = []
            for part in (voice[: 3 * RATE // 2], voice[3 * RATE // 2 : 3 * RATE]):
                frames += await session.push(part)
                frames += await asyncio.wait_for(session.receive(), GUARD_S)
                os.killpg(server.process.pid, signal.SIGKILL)
                await asyncio.to_thread(server.restart)
            frames += await asyncio.wait_for(speak(session, voice[3 * RATE :], [1_600]), GUARD_S)
        check_exact(frames, whole)
    finally:
        await asyncio.to_thread(server.stop)


async def test_two_replicas_that_take_turns_give_what_one_does(bundled_server, voice, whole):
    other = await asyncio.to_thread(EmbeddedServer().start)
    try:
        transport = Between(bundled_server.grpc_url, other.grpc_url)
        async with AsyncEmoTalkClient(transport=transport) as client:
            frames = await asyncio.wait_for(speak(client.live(sample_rate=RATE), voice, [533], 0.005), GUARD_S)
        check_exact(frames, whole)
        assert transport.steps > 20
        assert transport.windows == 0
    finally:
        await asyncio.to_thread(other.stop)


async def test_states_that_the_server_refuses_cost_no_frame(bundled_server, voice, whole):
    def damage(number, inputs, model):
        if number % 9 == 0 and "STATE" in inputs:
            state = inputs["STATE"].copy()
            state[0, number % state.shape[1]] ^= 0xFF
            inputs = inputs | {"STATE": state}
        return inputs, model

    transport = Between(bundled_server.grpc_url, change=damage)
    async with AsyncEmoTalkClient(transport=transport) as client:
        frames = await asyncio.wait_for(speak(client.live(sample_rate=RATE), voice, [533], 0.005), GUARD_S)
    assert transport.windows == 0
    check_exact(frames, whole)


async def test_a_server_that_loses_the_model_gets_windows_and_no_frame_is_lost(bundled_server, voice, whole):
    def lose(number, inputs, model):
        return inputs, replace(model, name="emotalk_elsewhere") if number > 20 else model

    transport = Between(bundled_server.grpc_url, change=lose)
    async with AsyncEmoTalkClient(transport=transport) as client:
        frames = await asyncio.wait_for(speak(client.live(sample_rate=RATE), voice, [533], 0.005), GUARD_S)
    assert transport.steps == 21
    assert transport.windows > 5
    assert [frame.index for frame in frames] == list(range(len(whole)))
    off = np.abs(np.array([frame.weights for frame in frames]) - whole) > 0.02
    assert off.mean() <= 0.001  # windows are a little off

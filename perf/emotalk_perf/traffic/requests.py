"""Files, uploads and texts: one question, one answer, which is compared with the one of a quiet service."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient, EmoTalkError
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.attacked.answers import REFUSED, RIGHT, WRONG, Judged, Known, form_of, uploaded
from emotalk_perf.attacked.watched import HOST
from emotalk_perf.traffic.arrivals import Ask

SAME = 1e-6
"""Difference of a weight up to which an answer is the right one: the same request in another batch rounds by 2e-7."""
TEXT = "Good morning. My name is Bob, and I bring a map of the park."


async def known(client: AsyncEmoTalkClient, clip: NDArray[np.float32]) -> Known:
    """Return ``clip`` [samples, 16 kHz] with the face that a quiet server gives it."""
    return Known(clip, (await client.animate(clip, sample_rate=SAMPLE_RATE)).weights, SAME)


def files(client: AsyncEmoTalkClient, right: Known) -> Ask:
    """Return what asks the thin client for the face of a clip."""

    async def ask() -> Judged:
        try:
            face = await client.animate(right.clip, sample_rate=SAMPLE_RATE)
        except EmoTalkError as error:
            return Judged(REFUSED, type(error).__name__)
        return right.judge(face.weights)

    return ask


def uploads(port: int, right: Known, pool: Executor) -> Ask:
    """Return what uploads a clip to the gateway at ``port`` of this machine, over a connection of its own each time."""
    body, kind = form_of(right.clip)

    async def ask() -> Judged:
        return await asyncio.get_running_loop().run_in_executor(pool, uploaded, HOST, port, right, body, kind)

    return ask


async def texts(client: AsyncEmoTalkClient) -> Ask:
    """Return what has a text said; its sound must be the first answer's to the bit, its face within :data:`SAME`.

    Raises:
        InvalidRequest, ServerError: the server cannot say it.
    """
    first = await client.say(TEXT)
    right = Known(first.audio.astype(np.float32), first.animation.weights, SAME)

    async def ask() -> Judged:
        try:
            said = await client.say(TEXT)
        except EmoTalkError as error:
            return Judged(REFUSED, type(error).__name__)
        judged = right.judge(said.animation.weights)
        if judged.column == RIGHT and not np.array_equal(said.audio, first.audio):
            return judged._replace(column=WRONG, why="another sound")
        return judged

    return ask

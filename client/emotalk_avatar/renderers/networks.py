"""The neural renderers that a server has, asked through its client.

A request has one picture: those that are on their way together are joined by Triton, as far as the user's graph bears
it (:mod:`emotalk_contract.renderers`).
"""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import ModelMissing, UnexpectedResponse
from emotalk_contract import renderers as facts
from emotalk_contract.tensors import Model

AT_ONCE = 8
"""Pictures on their way to a renderer, at most."""
LISTENING_AT_ONCE = 32
"""Windows of sound on their way to the audio encoder."""


class RendererModels:
    """Triton's models ``wav2lip``, ``unet328`` and ``ave``.

    Every method takes any number of items and raises what the client raises; a
    :class:`~emotalk_client.errors.ModelMissing` says how a server with these models is started.

    Args:
        client: of a server started with ``--renderers``.
    """

    def __init__(self, client: AsyncEmoTalkClient) -> None:
        self._client = client
        self._room = asyncio.Semaphore(AT_ONCE)
        self._listening_room = asyncio.Semaphore(LISTENING_AT_ONCE)

    async def wav2lip(self, mels: NDArray[np.float32], faces: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``faces`` [n, 6, 96, 96], speaking ``mels`` [n, 1, 80, 16], as [n, 3, 96, 96], RGB 0..1."""
        return await self._each(facts.WAV2LIP, self._room, mels, faces)

    async def unet328(self, crops: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``crops`` [n, 6, 320, 320], speaking ``features`` [n, 16, 512], as [n, 3, 320, 320], RGB 0..1."""
        return await self._each(facts.UNET328, self._room, crops, features)

    async def features(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the audio encoder hears in ``mels`` [n, 1, 80, 16], [n, 512]."""
        return await self._each(facts.AVE, self._listening_room, mels)

    async def _each(self, model: Model, room: asyncio.Semaphore, *given: NDArray[np.float32]) -> NDArray[np.float32]:
        (made,) = model.outputs
        shape = tuple(map(int, made.axes))

        async def ask(i: int) -> NDArray[np.float32]:
            inputs = {tensor.name: items[i : i + 1] for tensor, items in zip(model.inputs, given, strict=True)}
            async with room:
                answer = (await self._client.infer(model, inputs))[made.name]
            if answer.shape != (1, *shape) or not np.isfinite(answer).all():
                raise UnexpectedResponse(
                    f"{model.name} gave {made.name} of shape {list(answer.shape)}; expected {[1, *shape]}, all finite"
                )
            return answer

        tasks = [asyncio.ensure_future(ask(i)) for i in range(len(given[0]))]
        try:
            answers = await asyncio.gather(*tasks)
        except ModelMissing as error:
            raise ModelMissing(
                f"{error}; `emotalk-export renderer` writes the renderers, `emotalk-server --renderers DIR` serves them"
            ) from error
        finally:
            for task in tasks:
                task.cancel()
        return np.concatenate(answers) if answers else np.zeros((0, *shape), np.float32)

"""The models that see a face, asked through the client of a server that has them."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import ModelMissing, UnexpectedResponse
from emotalk_contract import avatar
from emotalk_contract.limits import MAX_BATCH
from emotalk_contract.tensors import Model

_LARGEST_LOGIT = 80.0
"""Beyond it, a probability in float32 does not change."""


class FaceModels:
    """Triton's models ``face_detector``, ``face_landmarks`` and ``face_blendshapes``.

    Every method takes any number of items and raises what the client raises; a
    :class:`~emotalk_client.errors.ModelMissing` says how a server with these models is started.

    Args:
        client: of a server started with ``--models core,live,avatar``.
    """

    def __init__(self, client: AsyncEmoTalkClient) -> None:
        self._client = client

    async def detect(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the detector says of ``images`` [n, 128, 128, 3], RGB -1..1.

        Returns:
            boxes [n, 896, 16] as the network has them, and scores [n, 896], 0..1.
        """
        boxes, scores = await self._ask(avatar.FACE_DETECTOR, images)
        return boxes, _probability(scores[..., 0])

    async def landmarks(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the landmarks of the faces in ``images`` [n, 256, 256, 3], RGB 0..1.

        Returns:
            landmarks [n, 478, 3] in pixels of the images, and presences [n], 0..1.
        """
        landmarks, presences = await self._ask(avatar.FACE_LANDMARKS, images)
        return landmarks.reshape(-1, avatar.LANDMARK_COUNT, 3), _probability(presences[..., 0])

    async def expressions(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores [n, 52], the network's own order, that ``points`` [n, 146, 2] show."""
        (scores,) = await self._ask(avatar.FACE_BLENDSHAPES, points)
        return scores

    async def _ask(self, model: Model, items: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs of ``model`` for ``items``, in order; as many requests as its batches take."""
        (given,) = model.inputs
        parts = [items[at : at + MAX_BATCH] for at in range(0, len(items), MAX_BATCH)]
        if not parts:
            return [np.zeros((0, *_shape(tensor.axes)), np.float32) for tensor in model.outputs]
        try:
            answers = await asyncio.gather(*(self._client.infer(model, {given.name: part}) for part in parts))
        except ModelMissing as error:
            raise ModelMissing(
                f"{error}; a server with the face models is `emotalk-server --models core,live,{avatar.GROUP}`"
            ) from error
        return [
            np.concatenate(
                [_checked(answer[tensor.name], tensor, len(part)) for answer, part in zip(answers, parts, strict=True)]
            )
            for tensor in model.outputs
        ]


def _shape(axes: tuple[int | str, ...]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in axes)


def _checked(values: NDArray[Any], tensor: Any, count: int) -> NDArray[np.float32]:
    expected = (count, *_shape(tensor.axes))
    if values.shape != expected:
        raise UnexpectedResponse(f"{tensor.name} has shape {list(values.shape)}; expected {list(expected)}")
    if not np.isfinite(values).all():
        raise UnexpectedResponse(f"{tensor.name} has NaN or infinity in it")
    return values


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)
    found: NDArray[np.float32] = 1 / (1 + np.exp(-clipped))
    return found

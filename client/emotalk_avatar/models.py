"""The models that see a face, asked through the client of a server that has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_client.aio import AsyncEmoTalkClient

Images = NDArray[np.float32]


class FaceModels:
    """Triton's models ``face_detector``, ``face_landmarks`` and ``face_blendshapes``.

    Every method takes a batch of any size and raises what the client raises; a
    :class:`~emotalk_client.errors.ModelMissing` says how a server with these models is started.

    Args:
        client: of a server started with ``--models core,live,avatar``.
    """

    def __init__(self, client: AsyncEmoTalkClient) -> None:
        self._client = client

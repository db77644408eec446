"""A model repository as Triton serves it: what is scored is what a caller gets.

Any repository with the project's ensemble will do: the bundled one, one of EmoTalk's weights, one of LAM-A2E's.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient
from emotalk_server import EmbeddedServer
from emotalk_training.corpus import SAMPLE_RATE
from emotalk_training.metrics import Weights


class ServedFace:
    """Callable: a clip [N] at 16 kHz to weights [F, 52], clamped to 0..1, through a Triton of its own.

    For as long as the block lasts. Blinks are left out, smoothing is as asked for.

    Args:
        repository: a model repository; None: the bundled one.
        smooth: what callers get by default; False: the network's own frames.

    Raises (on entering):
        emotalk_server.errors.ServerStartError: the subclass says what keeps it from starting.
    """

    def __init__(self, repository: Path | None = None, smooth: bool = True) -> None:
        self._repository = repository
        self._smooth = smooth
        self._stack = ExitStack()
        self._client: EmoTalkClient | None = None

    def __enter__(self) -> ServedFace:
        with ExitStack() as stack:
            server = stack.enter_context(EmbeddedServer(self._repository, groups=("core",)))
            self._client = stack.enter_context(EmoTalkClient(server.grpc_url))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = None
        self._stack.close()

    def __call__(self, audio: NDArray[np.float32], level: float = 1.0, person: int = 0) -> Weights:
        """Weights [F, 52] of a clip, for a level 0..1 and a person 0..23.

        Raises:
            emotalk_client.EmoTalkError: the subclass says why there is no answer.
        """
        if self._client is None:
            raise RuntimeError("the block that serves this face was not entered, or has ended")
        made = self._client.animate(
            audio, sample_rate=SAMPLE_RATE, level=level, person=person, smooth=self._smooth, blink=False
        )
        return np.asarray(made.weights, np.float32)

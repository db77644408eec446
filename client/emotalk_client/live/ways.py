"""The two ways from a stream's sound to its frames, as the session sees them. Pure: no I/O.

- :class:`~emotalk_client.live.stepping.Stepping`: only what is new is sent, with the state that came back before. For
  networks that stream.
- :class:`~emotalk_client.live.windowing.Windowing`: windows that carry the past with them. For every network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_client.windows.detected import Emotions
from emotalk_contract.options import Parameter
from emotalk_contract.tensors import Model

Blocks = list[tuple[int, NDArray[np.float32]]]
"""Absolute frame of the first row, and rows [F, 52], in order."""


@dataclass(frozen=True, slots=True)
class Request:
    """A message to a model, to be sent."""

    model: Model
    inputs: dict[str, NDArray[Any]]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """Beside those of the stream's options."""


class Way(Protocol):
    """Makes requests of what was spoken, one after the other, and frames of their answers."""

    @property
    def next_frame(self) -> int:
        """Absolute frame of the first that has not come out."""

    @property
    def emotions(self) -> Emotions | None:
        """The emotion that was heard in the sound of the last answer; None: none yet, or the model detects none."""

    @property
    def waits_s(self) -> float:
        """Seconds that every frame has to wait for, from its own moment on."""

    @property
    def due(self) -> int:
        """Samples of speech that there must be before there is another request."""

    def request(self, over: bool) -> Request | None:
        """Return the next request, or None where it is not due yet.

        Args:
            over: the speech is over, and its rest is due.
        """

    def answered(self, outputs: dict[str, Any]) -> Blocks:
        """Return the frames that are final by the answer to the last request.

        Raises:
            UnexpectedResponse: the answer cannot be right.
        """

    def instead(self, error: Exception) -> Way | None:
        """Return the way to go on, after ``error`` in place of an answer; None: there is not one."""

"""Several outputs as one.

Rule that this module guards: **outputs that run side by side have one clock.** Each frame goes to all of them before
the next goes to any; put :class:`~emotalk_client.faces.outputs.paced.Paced` around this, not one around each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emotalk_client.faces.animation import Frame
from emotalk_client.faces.outputs.output import Output


class Together:
    """Every frame to every one of ``outputs``."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = tuple(outputs)

    def send(self, frame: Frame) -> None:
        """Send ``frame`` to all; the first error is raised once all have been tried."""
        self._each(lambda output: output.send(frame))

    def close(self) -> None:
        """Close all; the first error is raised once all have been tried."""
        self._each(lambda output: output.close())

    def _each(self, act: Callable[[Output], None]) -> None:
        failed: Exception | None = None
        for output in self._outputs:
            try:
                act(output)
            except Exception as error:  # noqa: BLE001  # raised below
                failed = failed or error
        if failed is not None:
            raise failed

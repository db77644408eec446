"""Keeps a server serving.

A model whose Python process died gets a new one: Triton goes on calling such a model "ready" while every request for it
fails, so the supervisor infers at intervals, and reloads the model that the failure names. A Triton that died (up to
25.02 it may crash when a gRPC client leaves in mid-request: triton-inference-server/server issues 7368 and 8034) is
started again on the same ports, unless it does nothing but die.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque

from emotalk_server.embedded import EmbeddedServer
from emotalk_server.probe import ProbeFailed
from emotalk_server.process import TritonProcess

logger = logging.getLogger(__name__)

INTERVAL_S = 5.0
"""Seconds between two inferences."""
POLL_S = 0.2
"""Seconds between two looks at the process."""
DEATHS, DEATHS_WITHIN_S = 3, 60.0
"""More deaths within that many seconds are no accident."""

_DEAD_STUB = re.compile(r"Stub process '(?P<model>\w+?)_\d+_\d+' is not healthy")


class ServerDied(RuntimeError):
    """Triton ended by itself again and again."""


def dead_model(message: str) -> str | None:
    """The model whose process the error ``message`` says is dead, if any."""
    match = _DEAD_STUB.search(message)
    return match["model"] if match else None


def supervise(server: EmbeddedServer, stopped: threading.Event, interval_s: float = INTERVAL_S) -> None:
    """Watch ``server`` until ``stopped`` is set.

    Raises:
        ServerDied: it died too often.
        ServerStartError: it died and could not be started again.
    """
    deaths: deque[float] = deque(maxlen=DEATHS + 1)
    next_look = time.monotonic() + interval_s
    while not stopped.wait(POLL_S):
        now = time.monotonic()
        if server.process.returncode is not None:
            deaths.append(now)
            if len(deaths) > DEATHS and now - deaths[0] < DEATHS_WITHIN_S:
                raise ServerDied(f"Triton died {len(deaths)} times within {now - deaths[0]:.0f} s")
            logger.warning("Triton died with status %d; starting it again", server.process.returncode)
            server.restart()
            logger.warning("Triton serves again")
        elif now >= next_look:
            heal(server.process)
            next_look = time.monotonic() + interval_s


def heal(server: TritonProcess) -> str | None:
    """Reload the model that keeps the ensemble from answering; returns its name, or None if nothing was dead.

    A server that is merely slow or busy is left alone.
    """
    try:
        server.probe()
    except ProbeFailed as error:
        model = dead_model(str(error))
        if model is None:
            logger.warning("the health inference failed: %s", error)
            return None
    else:
        return None
    logger.warning("the process of %s died; loading the model again", model)
    try:
        server.reload(model)
    except ProbeFailed as error:
        logger.error("%s could not be loaded again: %s", model, error)  # noqa: TRY400  # one line suffices
        return None
    logger.warning("%s serves again", model)
    return model

"""Keeps a server serving: a model whose Python process died gets a new one.

Triton goes on calling such a model "ready" while every request for it fails, so the supervisor infers at intervals,
and reloads the model that the failure names.
"""

from __future__ import annotations

import logging
import re
import threading

from emotalk_ensemble.server.probe import ProbeFailed
from emotalk_ensemble.server.process import TritonProcess

logger = logging.getLogger(__name__)

INTERVAL_S = 5.0
"""Seconds between two looks."""

_DEAD_STUB = re.compile(r"Stub process '(?P<model>\w+?)_\d+_\d+' is not healthy")


class ServerDied(RuntimeError):
    """Triton itself ended without being asked to."""


def dead_model(message: str) -> str | None:
    """The model whose process the error ``message`` says is dead, if any."""
    match = _DEAD_STUB.search(message)
    return match["model"] if match else None


def supervise(server: TritonProcess, stopped: threading.Event, interval_s: float = INTERVAL_S) -> None:
    """Watch ``server`` until ``stopped`` is set.

    Raises:
        ServerDied: Triton ended by itself; what runs this process should start it again.
    """
    while not stopped.wait(interval_s):
        if server.returncode is not None:
            raise ServerDied(f"Triton ended by itself with status {server.returncode}")
        heal(server)


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

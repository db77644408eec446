"""The life of a WebSocket connection: served until it is done, fails or the gateway stops, and told why it ends.

Rule that this module guards: **a connection ends with a message that says why, and nothing is raised out of it.**
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from emotalk_gateway.service.errors import GatewayStopping, Problem
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled, within

DONE = 1000
"""Close code of a connection that ended well (RFC 6455)."""
LAST_WORDS_S = 1.0
"""Seconds that the last words may take to a caller that does not read."""


async def converse(
    service: Service, socket: WebSocket, serving: Coroutine[Any, Any, None], worded: Callable[[Problem], bytes | str]
) -> None:
    """Serve one connection, whatever becomes of it.

    Args:
        serving: serves it; what it raises is said to the caller, and logged.
        worded: makes the last message of a problem, in the words of the door.
    """
    work = asyncio.create_task(serving)
    stopping = asyncio.create_task(service.stopping.wait())
    end: Exception | None = None
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        else:
            await cancelled(work)
            end = GatewayStopping("the gateway stops; try again later")
    except WebSocketDisconnect:
        return
    except Exception as error:  # noqa: BLE001  # said to the caller, and logged
        end = error
    finally:
        await cancelled(work, stopping)
    problem = None if end is None else service.problem(end)
    with suppress(asyncio.TimeoutError, RuntimeError, WebSocketDisconnect):
        await within(_last_words(socket, problem, worded), LAST_WORDS_S)


async def _last_words(socket: WebSocket, problem: Problem | None, worded: Callable[[Problem], bytes | str]) -> None:
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    if problem is None:
        await socket.close(DONE)
        return
    words = worded(problem)
    await (socket.send_bytes(words) if isinstance(words, bytes) else socket.send_text(words))
    await socket.close(problem.close_code, problem.error)

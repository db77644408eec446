"""Tasks that are no longer wanted, or not for long.

Rule that this module guards: **who is cancelled is cancelled.** ``asyncio.wait_for`` (Python 3.10 and 3.11) loses a
cancellation that comes as its work is done, and a stream that was ended would go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


async def cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancel ``tasks`` and wait until they have unwound; what they raise then has nobody to tell."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def within(work: Awaitable[T], seconds: float) -> T:
    """Return what ``work`` returns.

    Raises:
        asyncio.TimeoutError: it took longer, and was cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=max(0.0, seconds))
    except asyncio.CancelledError:
        await cancelled(task)
        raise
    if not done:
        await cancelled(task)
        raise asyncio.TimeoutError
    return task.result()

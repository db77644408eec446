"""Work that blocks, and iterables that do, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what ``work`` does; decoding takes its time, and the loop goes on meanwhile.

    A caller that is cancelled waits for it: a generator cannot be closed, nor a file read, while a thread is in it.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        raise
    finally:
        del future, arguments  # an error holds this frame, which would hold the error: a cycle, and what was worked on


async def on_a_thread(texts: Iterable[str]) -> AsyncGenerator[str, None]:
    """Yield ``texts``, each of which is waited for on a thread, so that the event loop goes on."""
    iterator = iter(texts)
    while (text := await asyncio.to_thread(next, iterator, None)) is not None:
        yield text

"""An event loop on a clock of its own: it never sleeps, so what a test says about seconds holds on any machine."""

import asyncio
import functools
import selectors

GUARD_S = 120.0
"""Seconds after which a test that hangs ends. On a :class:`VirtualLoop` they pass at once."""


class _Jumping(selectors.DefaultSelector):
    """Waits for files and for work in threads; where there is neither, the loop's clock goes on instead."""

    def __init__(self):
        super().__init__()
        self.loop = None

    def select(self, timeout=None):
        if (found := super().select(0)) or timeout is None or timeout <= 0:
            return found if timeout is not None or found else super().select(None)
        if self.loop.working:
            return super().select(None)  # a thread that is done wakes the loop
        self.loop.spend(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while anything can be done, and jumps to the next timer when nothing can.

    Work in its executor takes no time, unless it says so with :meth:`spend`. It is for one test, without sockets: an
    answer from another process would come after all timers.
    """

    def __init__(self):
        self._now = 1000.0
        self.working = 0
        selector = _Jumping()
        super().__init__(selector)
        selector.loop = self

    def time(self):
        return self._now

    def spend(self, seconds):
        """Let the clock go on, from any thread."""
        self._now += seconds

    def run_in_executor(self, executor, work, *arguments):
        future = super().run_in_executor(executor, work, *arguments)
        self.working += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _):
        self.working -= 1


def virtual(test):
    """Run the async function ``test`` on a :class:`VirtualLoop`."""

    @functools.wraps(test)
    def run(*arguments, **named):
        loop = VirtualLoop()
        try:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(test(*arguments, **named))
        finally:
            try:
                left = asyncio.all_tasks(loop)
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.run_until_complete(loop.shutdown_default_executor())
            finally:
                asyncio.set_event_loop(None)
                loop.close()

    return run


async def steps(count=200):
    """Let everything that can go on do so: ``count`` rounds of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition):
    """Wait until ``condition()`` holds."""

    async def holds():
        while not condition():
            await asyncio.sleep(0.002)

    await asyncio.wait_for(holds(), GUARD_S)

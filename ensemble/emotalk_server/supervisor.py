"""Keeps a server serving.

Theory of operation. Triton and each process of a Python model are watched through the kernel, which tells of a death
within milliseconds. Whichever dies, all of them are killed, and Triton is started again on the same ports: requests on
their way fail at once (and clients try again) instead of waiting for a model that is gone. Measured with four clients
on two cores, a restart of the bundled models takes 0.6 s, where loading one model again took 4 to 31 s by model
control, and more than a minute by polling: Triton waits for the requests that the dead one will never answer. What
hangs instead of dying is found by the watchdog, which kills it.

A server that does not start is started again after longer and longer delays, up to a minute; it is never given up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
import time
from typing import TYPE_CHECKING, Literal

from emotalk_server.backoff import BackOff
from emotalk_server.errors import ServerStartError, StartCancelled
from emotalk_server.watchdog import Watchdog

if TYPE_CHECKING:
    from emotalk_server.embedded import EmbeddedServer

logger = logging.getLogger(__name__)

JANITOR_EVERY_S = 1.0
"""Seconds between two looks at the janitor, which does nothing while this process lives."""

State = Literal["serving", "restarting", "stopped"]


class Supervisor:
    """A thread that keeps ``server`` serving until :meth:`stop`."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._stopped = threading.Event()
        self._backoff = BackOff()
        self._wake_read, self._wake_write = os.pipe()
        self.state: State = "serving"
        self.restarts = 0
        """Starts of Triton after the first."""
        self.watchdog = Watchdog(server.process)
        self._thread = threading.Thread(target=self._run, name="emotalk-supervisor", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """True while the thread runs, so that whatever dies will be started again."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the watch, and a start that is under way."""
        self._stopped.set()
        os.write(self._wake_write, b"\0")
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self.watchdog.stop()
        self.state = "stopped"

    def _run(self) -> None:
        served_since = time.monotonic()
        self.watchdog.start()
        while not self._stopped.is_set():
            try:
                why = self._await_outage()
                if why is None:
                    continue
                self.state = "restarting"
                self._backoff.served(time.monotonic() - served_since)
                logger.warning("%s; starting Triton again", why)
                self._restart()
                served_since = time.monotonic()
            except Exception:
                # Whatever went wrong, the server is worth another look: a thread that ends heals nothing any more.
                logger.exception("the supervisor failed; it goes on")
                self._stopped.wait(1.0)

    def _await_outage(self) -> str | None:
        """Return what died, or None if somebody wants to stop."""
        process = self._server.process
        with selectors.DefaultSelector() as selector:
            for handle in (self._wake_read, *process.family.handles()):
                selector.register(handle, selectors.EVENT_READ)
            while not selector.select(JANITOR_EVERY_S):
                self._server.watch_over()
        if self._stopped.is_set():
            return None
        dead, status = process.family.dead(), process.returncode
        if verdict := self.watchdog.verdict:
            return verdict
        if status is not None:
            return f"Triton died with status {status}"
        return f"the process of {', '.join(dead)} died"

    def _restart(self) -> None:
        """Try until Triton serves, or until somebody wants to stop."""
        self.watchdog.stop()
        while not self._stopped.wait(self._backoff.delay_s):
            try:
                self._server.restart()
            except StartCancelled:
                return
            except (ServerStartError, OSError) as error:
                self._backoff.served(0.0)
                logger.error(  # noqa: TRY400  # one line suffices
                    "Triton did not start: %s: %s; next try in %g s",
                    type(error).__name__,
                    error,
                    self._backoff.delay_s,
                )
            else:
                self.watchdog = Watchdog(self._server.process)
                self.watchdog.start()
                self.state = "serving"
                self.restarts += 1  # last: whoever sees it may rely on the rest
                logger.warning("Triton serves again")
                return

    def __del__(self) -> None:
        for handle in (self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(handle)

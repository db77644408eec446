"""Waits for what must come, and says what did not."""

import time

HANG_S = 120.0
"""Seconds after which a test gives up: a guard, not a measurement."""


def until(condition, what="it never came to pass"):
    """Wait until ``condition`` has a true answer; return it."""
    end = time.monotonic() + HANG_S
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return found

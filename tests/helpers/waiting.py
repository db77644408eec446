"""Waits for what must come, and says what did not."""

import time

HANG_S = 120.0
"""Seconds after which a test gives up: a guard, not a measurement."""


def await_(condition, what):
    until = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)

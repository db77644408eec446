"""Delays between starts: longer and longer, never for ever, and forgotten after a start that held."""

import pytest

from emotalk_server.backoff import FIRST_DELAY_S, MAX_DELAY_S, STEADY_S, BackOff

pytestmark = pytest.mark.unit


def test_the_first_start_comes_at_once_and_later_ones_after_longer_and_longer_delays():
    backoff, delays = BackOff(), []
    for _ in range(12):
        backoff.served(0.0)
        delays.append(backoff.delay_s)
    assert delays[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert delays == sorted(delays)
    assert delays[-1] == MAX_DELAY_S
    for _ in range(10_000):
        backoff.served(0.0)
    assert backoff.delay_s == MAX_DELAY_S


def test_a_server_that_held_starts_at_once_when_it_dies():
    backoff = BackOff()
    for _ in range(50):
        backoff.served(STEADY_S / 2)
    assert backoff.delay_s == FIRST_DELAY_S, "it is killed again and again, but it serves in between"
    backoff.served(STEADY_S)
    assert backoff.delay_s == 0

"""Delays between the starts of a server that does not stay up. Nothing here waits or knows a clock."""

from __future__ import annotations

STEADY_S = 1.0
"""Seconds of serving after which a death is not counted with those before it."""
FIRST_DELAY_S, MAX_DELAY_S = 0.5, 60.0
SOON = 2
"""Failures whose delay is the first one."""


class BackOff:
    """Counts starts that came to nothing: ``delay_s = 0, 0.5, 1, 2, … 60``, and 0 again after one that held."""

    def __init__(self) -> None:
        self._failures = 0

    def served(self, seconds: float) -> None:
        """Note that a server served for ``seconds`` (0: it did not start) before it died.

        One that served, however shortly, was killed by something: its next start comes soon. Only starts that come to
        nothing are put off for longer and longer.
        """
        if seconds >= STEADY_S:
            self._failures = 1
        elif seconds > 0:
            self._failures = min(self._failures + 1, SOON)
        else:
            self._failures += 1

    @property
    def delay_s(self) -> float:
        """Seconds to wait before the next start."""
        if self._failures <= 1:
            return 0.0
        return min(FIRST_DELAY_S * 2.0 ** min(self._failures - 2, 16), MAX_DELAY_S)

"""The broker, heard of: from librdkafka's figures, which come with the polls, for a question of one's own may hang.

A consumer asks every broker for records all the time, and the group's once in a heartbeat: where nobody was heard of
for longer, the broker is away or stands still. Fields:
https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md.
"""

from __future__ import annotations

import json
import time

EVERY_MS = 1000
"""Between two looks at the figures."""
SILENT_S = 10.0
"""Seconds without a word after which a broker does not answer: three heartbeats."""


class Hearing:
    """Takes librdkafka's figures as its ``stats_cb``; safe to ask from any thread."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def __call__(self, figures: str) -> None:
        """Take ``figures`` in: JSON with microseconds since each broker's last word, -1 for none."""
        brokers = json.loads(figures)["brokers"].values()
        idle = [one["rxidle"] for one in brokers if one["state"] == "UP" and one["rxidle"] >= 0]
        if idle:
            self._at = max(self._at, time.monotonic() - min(idle) / 1e6)

    def fault(self) -> str:
        """Return why there is no broker, or nothing."""
        silent_s = time.monotonic() - self._at
        return f"no broker was heard of for {silent_s:.0f} s" if silent_s > SILENT_S else ""

"""The result of a health check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """A server that answered an inference."""

    url: str
    model: str
    """Its weights, in its own words."""
    latency_s: float
    """Seconds from sending the shortest clip to having its face."""

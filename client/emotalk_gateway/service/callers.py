"""Callers: their names, scopes and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from emotalk_gateway.service.errors import NotPermitted

Scope: TypeAlias = Literal["animate", "live", "avatars", "admin"]
"""``animate``: files and texts become faces; ``live``: streams do; ``avatars``: they are made, shown and removed;
``admin``: the figures of all callers."""
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one caller, at all doors together; None: those of the gateway alone."""

    requests: int | None = None
    """That are begun in a minute."""
    streams: int | None = None
    """At once."""
    speech_s: float | None = None
    """Seconds of speech in a minute."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom this gateway knows."""

    name: str
    scopes: frozenset[Scope] = frozenset(SCOPES)
    limits: Limits = field(default_factory=Limits)

    def may(self, scope: Scope) -> bool:
        """Return True where the caller may ask for what ``scope`` names."""
        return scope in self.scopes

    def check(self, scope: Scope) -> None:
        """Raise :class:`NotPermitted` unless the caller may."""
        if not self.may(scope):
            has = ", ".join(one for one in SCOPES if one in self.scopes)
            raise NotPermitted(f"the token of {self.name!r} has the scopes {has}; accepted: one with {scope}")


ANYONE = Caller("anyone")
"""Whoever asks a gateway that was given no tokens."""
OPERATOR = Caller("operator")
"""Whoever shows the one token that is not in a file (``EMOTALK_GATEWAY_TOKEN``)."""

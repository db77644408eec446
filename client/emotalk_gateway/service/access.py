"""Callers, found by the token that they show, and held to their limits.

Rule that this module guards: **no door knows a token.** A door hands over what was shown and says what is asked for; a
:class:`~emotalk_gateway.service.callers.Caller` comes back, or an error in its own words.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timezone
from functools import partial

from emotalk_gateway.service.auditing import entry
from emotalk_gateway.service.callers import ANYONE, OPERATOR, Caller, Scope
from emotalk_gateway.service.errors import NotAuthorised
from emotalk_gateway.service.following import Followed
from emotalk_gateway.service.limiting import Limiter
from emotalk_gateway.service.metrics import Metrics
from emotalk_gateway.service.settings import GatewaySettings
from emotalk_gateway.service.tokens import Token, digest, find, load


class Access:
    """Of one gateway, for all its doors.

    Raises:
        InvalidSettings: the file of tokens cannot be used.
    """

    def __init__(self, settings: GatewaySettings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._own = () if settings.token is None else (Token(OPERATOR, digest(settings.token.get_secret_value())),)
        path = settings.tokens
        self._file = None if path is None else Followed("the tokens", [path], partial(load, path))
        self._limits = Limiter()

    @property
    def asked(self) -> bool:
        """True where callers must show a token."""
        return bool(self._own) or self._file is not None

    @property
    def named(self) -> bool:
        """True where callers are told from each other."""
        return self._file is not None

    @property
    def stale(self) -> bool:
        """True where the file of tokens cannot be used, and those of before go on."""
        return self._file is not None and self._file.stale

    def caller(self, token: object, scope: Scope) -> Caller:
        """Return whose ``token`` it is, of whom a request begins that needs ``scope``.

        Raises:
            NotAuthorised: the token is missing, wrong or expired.
            NotPermitted: it has not the scope.
            TooManyRequests: its caller began too many.
        """
        noted = entry()
        noted.asked = True
        caller = self._identified(token)
        noted.caller = caller.name
        caller.check(scope)
        self._limits.request(caller)
        self._metrics.asked(caller.name)
        return caller

    def clip(self, caller: Caller, seconds: float) -> None:
        """Count a clip of ``seconds`` of speech.

        Raises:
            TooMuchSpeech, ClipTooLong: the caller may not have it, now or ever.
        """
        self._limits.clip(caller, seconds)
        self._spoken(caller, seconds)

    def speech(self, caller: Caller, seconds: float) -> None:
        """Count speech of a stream or a text, as it comes or is made.

        Raises:
            TooMuchSpeech: the caller may not have more now.
        """
        self._limits.speech(caller, seconds)
        self._spoken(caller, seconds)

    def _spoken(self, caller: Caller, seconds: float) -> None:
        self._metrics.spoken(caller.name, seconds)
        entry().speech_s += seconds

    def stream(self, caller: Caller) -> AbstractContextManager[None]:
        """Count a stream for as long as the block lasts; raises :class:`TooManyStreams`."""
        return self._limits.stream(caller)

    def _identified(self, token: object) -> Caller:
        if not self.asked:
            return ANYONE
        if not (isinstance(token, str) and token):
            raise NotAuthorised("the bearer token is missing; accepted: one that this gateway knows")
        known = (*self._own, *(self._file.current() if self._file is not None else ()))
        found = find(token, known)
        if found is None:
            raise NotAuthorised("the bearer token is wrong; accepted: one that this gateway knows")
        if found.expired(datetime.now(timezone.utc)):
            raise NotAuthorised(
                f"the token of {found.caller.name!r} expired at {found.expires:%Y-%m-%d %H:%M} UTC; accepted: one that "
                "has not"
            )
        return found.caller

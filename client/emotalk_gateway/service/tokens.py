"""Tokens: made, kept as digests in a file, and found again.

Rules that this module guards: **who reads the file can ask for nothing**, and **the time of an answer tells nothing of
a token.** A token has 256 random bits, so that SHA-256 is as good for it as a slow hash (scrypt, bcrypt) is for a
password: nobody tries 2**256 values, fast or slow, while a slow one would let a flood of wrong tokens take the machine.
What is shown is hashed, and compared with every digest of the file in constant time, found or not.

The file is JSON::

    {"tokens": [{"name": "studio", "sha256": "9f86…", "scopes": ["animate", "live"],
                 "requests": 60, "streams": 2, "speech_s": 600, "expires": "2027-01-01T00:00:00Z"}]}

Limits (:class:`~emotalk_gateway.service.callers.Limits`) and ``expires`` may be left out.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from emotalk_contract.quoting import quoted
from emotalk_gateway.service.callers import SCOPES, Caller, Limits, Scope
from emotalk_gateway.service.errors import InvalidSettings

PREFIX = "emotalk_"
"""Of a token, so that it is known for one where it should not be."""
RANDOM_BYTES = 32
MOST_TOKENS = 1000
"""In one file: each request is compared with all of them."""
MOST_FILE_BYTES = 2**20
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""Of callers: they stand in logs and metrics."""
_FIELDS = ("name", "sha256", "scopes", "requests", "streams", "speech_s", "expires")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Token:
    """One line of the file."""

    caller: Caller
    digest: bytes
    """SHA-256 of the token in UTF-8."""
    expires: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Return True where it was good until before ``now``."""
        return self.expires is not None and now >= self.expires

    def line(self) -> dict[str, Any]:
        """Return what the file has of it."""
        limits = self.caller.limits
        fields = {
            "name": self.caller.name,
            "sha256": self.digest.hex(),
            "scopes": [scope for scope in SCOPES if self.caller.may(scope)],
            "requests": limits.requests,
            "streams": limits.streams,
            "speech_s": limits.speech_s,
            "expires": None if self.expires is None else self.expires.isoformat().replace("+00:00", "Z"),
        }
        return {name: value for name, value in fields.items() if value is not None}


def new_token() -> str:
    """Return a token that nobody has."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest(token: str) -> bytes:
    """Return what is kept of ``token``: 32 bytes."""
    return hashlib.sha256(token.encode(errors="backslashreplace")).digest()


def find(shown: str, tokens: Iterable[Token]) -> Token | None:
    """Return the one of ``tokens`` that ``shown`` is; all of them are compared in any case."""
    theirs = digest(shown)
    found = None
    for one in tokens:
        if hmac.compare_digest(theirs, one.digest):
            found = one
    return found


def load(path: Path) -> tuple[Token, ...]:
    """Return the tokens of the file at ``path``.

    Raises:
        InvalidSettings: it cannot be read, or has what cannot be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidSettings(
            f"the tokens {quoted(str(path))} cannot be read: {error.strerror or error}; accepted: a file of "
            "`emotalk token new`"
        ) from error
    if len(content) > MOST_FILE_BYTES:
        raise InvalidSettings(f"the tokens {quoted(str(path))} have more than {MOST_FILE_BYTES} bytes; accepted: fewer")
    try:
        return parsed(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise InvalidSettings(f"the tokens {quoted(str(path))} are not JSON; accepted: a file in JSON") from error
    except InvalidSettings as error:
        raise InvalidSettings(f"the tokens {quoted(str(path))}: {error}") from error


def parsed(content: Any) -> tuple[Token, ...]:
    """Return the tokens of a file's ``content``.

    Raises:
        InvalidSettings: it has what cannot be.
    """
    lines = content.get("tokens") if isinstance(content, dict) else None
    if not isinstance(lines, list) or set(content) != {"tokens"}:
        raise InvalidSettings('the file is not an object of tokens; accepted: {"tokens": [{"name": …}]}')
    if len(lines) > MOST_TOKENS:
        raise InvalidSettings(f"there are {len(lines)} tokens; accepted: at most {MOST_TOKENS}")
    tokens = tuple(_token(line, f"token {number}") for number, line in enumerate(lines, 1))
    for what, values in (
        ("name", [one.caller.name for one in tokens]),
        ("sha256", [one.digest.hex() for one in tokens]),
    ):
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise InvalidSettings(f"the {what} {quoted(twice[0])} is there twice; accepted: one token of each")
    return tokens


def _token(line: Any, where: str) -> Token:
    if not isinstance(line, dict) or (unknown := sorted(set(line) - set(_FIELDS))):
        said = quoted(unknown) if isinstance(line, dict) else quoted(line)
        raise InvalidSettings(f"{where} has {said}; accepted: an object with {', '.join(_FIELDS)}")
    name = checked_name(line.get("name"), where)
    kept = line.get("sha256")
    if not (isinstance(kept, str) and _DIGEST.fullmatch(kept)):
        raise InvalidSettings(f"the sha256 of {name!r} is not one; accepted: 64 digits of `emotalk token new`")
    limits = Limits(
        _positive(line, "requests", name, whole=True),
        _positive(line, "streams", name, whole=True),
        _positive(line, "speech_s", name, whole=False),
    )
    caller = Caller(name, checked_scopes(line.get("scopes"), name), limits)
    return Token(caller, bytes.fromhex(kept), instant(line["expires"], name) if "expires" in line else None)


def checked_name(name: Any, where: str = "the token") -> str:
    """Return ``name``; raises :class:`InvalidSettings` where it cannot be one."""
    if not (isinstance(name, str) and NAMES.fullmatch(name)):
        raise InvalidSettings(f"the name of {where} is {quoted(name)}; accepted: up to 64 letters, digits and . _ @ -")
    return name


def checked_scopes(scopes: Any, name: str) -> frozenset[Scope]:
    """Return ``scopes``; raises :class:`InvalidSettings` where one is unknown, or none is there."""
    if not (isinstance(scopes, list) and scopes and all(isinstance(one, str) and one in SCOPES for one in scopes)):
        raise InvalidSettings(f"the scopes of {name!r} are {quoted(scopes)}; accepted: some of {', '.join(SCOPES)}")
    return frozenset(cast("list[Scope]", scopes))


def instant(text: Any, name: str) -> datetime:
    """Return the instant that ``text`` tells (ISO 8601; a day is its beginning; without a zone, UTC).

    Raises:
        InvalidSettings: it does not tell any.
    """
    try:
        # Before Python 3.11, Z was not read.
        found = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except (AttributeError, ValueError) as error:
        raise InvalidSettings(
            f"the end of {name!r} is {quoted(text)}; accepted: a time such as 2027-01-01T00:00:00Z"
        ) from error
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)


def _positive(line: dict[str, Any], field: str, name: str, *, whole: bool) -> Any:
    value = line.get(field)
    kinds = (int,) if whole else (int, float)
    if field in line and (isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < 1e9):
        raise InvalidSettings(
            f"{field} of {name!r} is {quoted(value)}; accepted: a {'whole ' if whole else ''}number above 0"
        )
    return value


@contextmanager
def changing(path: Path) -> Iterator[list[Token]]:
    """Yield the tokens of the file at ``path``, none where it is not there; what became of them is kept at the end.

    Of two that change it, one waits for the other; whoever reads it finds what was there before, or what is now.

    Raises:
        InvalidSettings: it cannot be read or written, or has what cannot be.
    """
    path = path.resolve()
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        tokens = list(load(path)) if path.exists() else []
        yield tokens
        save(path, tokens)
    finally:
        os.close(folder)


def save(path: Path, tokens: Iterable[Token]) -> None:
    """Write the file at ``path`` whole, or leave it as it is.

    Raises:
        InvalidSettings: it cannot be written, or the tokens do not go together.
    """
    content = {"tokens": [one.line() for one in tokens]}
    parsed(content)
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(content, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> InvalidSettings:
    return InvalidSettings(
        f"the tokens {quoted(str(path))} cannot be written: {error.strerror or error}; accepted: a file of a folder "
        "that is there, and may be written to"
    )

"""TLS for whoever listens, with certificates that may be replaced while it runs.

Rule that this module guards: **a new certificate needs no restart, and a broken one harms nobody**, at any door
(:mod:`~emotalk_gateway.service.following`). Each connection is begun with what lies in the files then. Files that are
replaced one after the other do not fit each other for a moment; what was used before goes on until they do.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotalk_client.errors import InvalidTls
from emotalk_client.wire.security import CERTIFICATE, PRIVATE_KEY, read_pem
from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import InvalidSettings
from emotalk_gateway.service.following import Followed

FILES = "certificates"
"""Name of these files in the figures."""


@dataclass(frozen=True, slots=True)
class Pems:
    """The files' content, proven to fit."""

    certificate: bytes
    """With its chain."""
    key: bytes
    client_authorities: bytes | None
    context: ssl.SSLContext
    """Made of them."""


@dataclass(frozen=True, slots=True)
class DoorTls:
    """The files of a door, in PEM."""

    certificate: Path
    """The door's own, with those that signed it."""
    key: Path
    """Its private key, without a password."""
    client_authorities: Path | None = None
    """Those who may vouch for callers, each of whom must show a certificate then (mTLS); None: nobody must."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All that are given."""
        more = () if self.client_authorities is None else (self.client_authorities,)
        return (self.certificate, self.key, *more)

    def read(self) -> Pems:
        """Return what the files have.

        Raises:
            InvalidSettings: they cannot be read, are not PEM, or do not belong together.
        """
        before = self._content()
        context = self._context()
        if self._content() != before:
            raise self._wrong("they changed while they were read")
        certificate, key, *authorities = before
        return Pems(certificate, key, authorities[0] if authorities else None, context)

    def followed(self) -> Followed[Pems]:
        """Return what the files have, now and later; raises as :meth:`read`."""
        return Followed(f"the {FILES}", self.files, self.read)

    def _content(self) -> tuple[bytes, ...]:
        kinds = (CERTIFICATE, PRIVATE_KEY, CERTIFICATE)
        try:
            return tuple(read_pem(file, kind) for file, kind in zip(self.files, kinds, strict=False))
        except InvalidTls as error:
            raise self._wrong(str(error)) from error

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslobject_class = _Telling
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
            if self.client_authorities is not None:
                context.load_verify_locations(self.client_authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise self._wrong(str(error)) from error
        return context

    def _wrong(self, why: str) -> InvalidSettings:
        names = ", ".join(map(str, self.files))
        return InvalidSettings(
            f"TLS cannot be had from {names} ({why}); accepted: files in PEM, the key without a password, and "
            "belonging to the certificate"
        )


def tls_of(certificate: Path | None, key: Path | None, client_authorities: Path | None) -> DoorTls | None:
    """Return what was given for TLS; None: nothing was.

    Raises:
        InvalidSettings: only some of what is needed.
    """
    if certificate is None and key is None and client_authorities is None:
        return None
    if certificate is None or key is None:
        raise InvalidSettings(
            f"of TLS, certificate {quoted(certificate and str(certificate))} and key {quoted(key and str(key))} are "
            "given; accepted: both, or neither and no authorities of callers"
        )
    return DoorTls(certificate, key, client_authorities)


class _Telling(ssl.SSLObject):
    """A connection whose caller is told why it is refused: asyncio drops it before the alert (RFC 8446, 6.2) is sent.

    So the first news of a failure is that more is waited for, upon which asyncio sends what there is to send; what
    comes then, the caller's end of the connection in general, ends it.
    """

    _failed: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failed = error
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the alert goes out first") from error


class FreshContext(ssl.SSLContext):
    """A server's context that follows its files, for event loops (which call :meth:`wrap_bio` for each connection).

    Args:
        files: that it is made of, as they are now.
    """

    def __new__(cls, files: Followed[Pems]) -> FreshContext:  # noqa: ARG004
        """Make the base class's part."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, files: Followed[Pems]) -> None:
        self._files = files

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begin a connection, as the base class does."""
        return self._files.current().context.wrap_bio(*args, **kwargs)

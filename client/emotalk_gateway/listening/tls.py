"""TLS for whoever listens, with certificates that may be replaced while it runs.

Rule that this module guards: **a new certificate needs no restart, and a broken one harms nobody.** Each connection is
begun with what lies in the files then; where these cannot be used, with what was used before, and the log says so.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

from emotalk_gateway.service.errors import InvalidSettings

logger = logging.getLogger(__name__)

Stamps = tuple[tuple[int, int, int], ...]


class FreshContext(ssl.SSLContext):
    """A server's context that follows its files, for event loops (which call :meth:`wrap_bio` for each connection).

    Args:
        cert: PEM: the server's certificate with its chain.
        key: PEM: its private key, without a password.
        client_ca: PEM: those who may vouch for callers, each of whom must show a certificate then; None: nobody must.

    Raises:
        InvalidSettings: the files cannot be used.
    """

    def __new__(cls, cert: Path, key: Path, client_ca: Path | None = None) -> FreshContext:  # noqa: ARG004
        """Make the base class's part."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        self._files = (cert, key, *([client_ca] if client_ca is not None else []))
        self._stamps = self._stamped()
        self._current = self._loaded()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begin a connection, as the base class does."""
        return self._fresh().wrap_bio(*args, **kwargs)

    def _fresh(self) -> ssl.SSLContext:
        stamps = self._stamped()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._current = self._loaded()
            except InvalidSettings as error:
                logger.error("%s; connections go on with what was used before", error)  # noqa: TRY400  # for people
            else:
                logger.info("the certificate in %s is used from now on", self._files[0])
        return self._current

    def _stamped(self) -> Stamps:
        """Tell one state of the files from another."""
        stamps = []
        for file in self._files:
            try:
                found = file.stat()
            except OSError:
                stamps.append((0, 0, 0))
            else:
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(stamps)

    def _loaded(self) -> ssl.SSLContext:
        cert, key, *authorities = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(cert, key, password=lambda: b"")
            for file in authorities:
                context.load_verify_locations(file)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            names = ", ".join(map(str, self._files))
            raise InvalidSettings(
                f"TLS cannot be had from {names} ({error}); accepted: PEM, the key without a password, and belonging "
                "to the certificate"
            ) from error
        return context

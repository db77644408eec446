"""TLS and a token, for a server that strangers could reach: Triton's own TLS, or a balancer's before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotalk_client.errors import InvalidTls
from emotalk_contract.quoting import quoted

CERTIFICATE, PRIVATE_KEY = "certificate", "private key"
"""Kinds of PEM."""
_MARKS = {CERTIFICATE: b"-----BEGIN CERTIFICATE-----", PRIVATE_KEY: b"PRIVATE KEY-----"}


@dataclass(frozen=True, slots=True)
class Tls:
    """A connection in TLS; the files are PEM, and read when the client connects.

    Raises:
        InvalidTls: a certificate without its key, or a key without its certificate.
    """

    ca: str | Path | None = None
    """Certificates of those who may vouch for the server; None: those that gRPC comes with."""
    certificate: str | Path | None = None
    """This client's own, with its chain, for a server that asks for one (mTLS)."""
    key: str | Path | None = None
    """The private key of that."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            given, missing = ("certificate", "key") if self.key is None else ("key", "certificate")
            raise InvalidTls(f"a {given} is given, and no {missing}; accepted: both, or neither")

    def credentials(self) -> Any:
        """Return gRPC's credentials.

        Raises:
            InvalidTls: a file cannot be read, or is not what it should be.
        """
        import grpc  # when needed: it is most of this package's import time

        return grpc.ssl_channel_credentials(
            root_certificates=None if self.ca is None else read_pem(self.ca, CERTIFICATE),
            private_key=None if self.key is None else read_pem(self.key, PRIVATE_KEY),
            certificate_chain=None if self.certificate is None else read_pem(self.certificate, CERTIFICATE),
        )


def given_tls(tls: Tls | bool) -> Tls | None:
    """Return ``tls``; True stands for :class:`Tls` as it is, False for none.

    Raises:
        InvalidTls: it is something else.
    """
    if isinstance(tls, bool):
        return Tls() if tls else None
    if isinstance(tls, Tls):
        return tls
    raise InvalidTls(f"tls is {quoted(tls)}; accepted: True, False, or a Tls")


def read_pem(path: str | Path, kind: str) -> bytes:
    """Return the file at ``path``, which has a ``kind`` in it: :data:`CERTIFICATE` or :data:`PRIVATE_KEY`.

    Raises:
        InvalidTls: it cannot be read, or has not.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InvalidTls(f"{path} cannot be read ({error.strerror or error}); accepted: a {kind} in PEM") from error
    mark = _MARKS[kind]
    if mark not in content:
        raise InvalidTls(f"{path} has no {kind} in it; accepted: PEM, which has a line {mark.decode()}")
    return content

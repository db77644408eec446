"""Certificates of a door."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import InvalidSettings


@dataclass(frozen=True, slots=True)
class DoorTls:
    """Files in PEM."""

    certificate: Path
    """The door's own, with those that signed it."""
    key: Path
    client_authorities: Path | None = None
    """Of callers' certificates, which are then asked for (mTLS); None: they need none."""

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a server listens with.

        Raises:
            InvalidSettings: a file cannot be read, or is not PEM.
        """
        pair = (_pem(self.key, "key"), _pem(self.certificate, "certificate"))
        if self.client_authorities is None:
            return grpc.ssl_server_credentials([pair])
        roots = _pem(self.client_authorities, "authorities of callers")
        return grpc.ssl_server_credentials([pair], root_certificates=roots, require_client_auth=True)


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


def _pem(path: Path, what: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidSettings(
            f"the {what} {quoted(str(path))} cannot be read: {error.strerror or error}; accepted: a file in PEM"
        ) from error
    if b"-----BEGIN " not in content:
        raise InvalidSettings(f"the {what} {quoted(str(path))} is not PEM; accepted: a file in PEM")
    return content

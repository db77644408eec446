"""Certificates of a gRPC server, which follow their files."""

from __future__ import annotations

import grpc

from emotalk_gateway.listening.tls import Pems
from emotalk_gateway.service.following import Followed


def credentials(files: Followed[Pems], *, ask_callers: bool) -> grpc.ServerCredentials:
    """Return what a server listens with; gRPC asks for each new connection whether ``files`` have changed.

    Args:
        ask_callers: True: each must show a certificate (mTLS).
    """
    used = files.current()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        found = files.current()
        if found is used:
            return None
        used = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(_configuration(used), changed, require_client_authentication=ask_callers)


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.key, pems.certificate)], pems.client_authorities)

"""Access: the gateway's bearer token, in a call's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotalk_gateway.listening import access
from emotalk_gateway.service.settings import GatewaySettings


def check_token(metadata: Mapping[str, Any], settings: GatewaySettings) -> None:
    """Raise :class:`NotAuthorised` unless ``authorization: Bearer …`` has the token that is asked for, if any is.

    Whoever shows a token where none is asked for is served: callers of hosted services show theirs everywhere.
    """
    shown = metadata.get("authorization", "")
    scheme, _, token = (shown if isinstance(shown, str) else "").partition(" ")
    access.check_token(token.strip() if scheme.lower() == "bearer" else None, settings)

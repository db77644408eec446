"""Access: the gateway's bearer token, in a call's metadata."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from emotalk_gateway.service.errors import NotAuthorised
from emotalk_gateway.service.settings import GatewaySettings


def check_token(metadata: Mapping[str, Any], settings: GatewaySettings) -> None:
    """Raise :class:`NotAuthorised` unless ``authorization: Bearer …`` has the token that is asked for, if any is.

    Whoever shows a token where none is asked for is served: callers of hosted services show theirs everywhere.
    """
    if settings.token is None:
        return
    wanted = settings.token.get_secret_value().encode()
    shown = metadata.get("authorization", "")
    scheme, _, token = (shown if isinstance(shown, str) else "").partition(" ")
    # compare_digest: how long it takes does not tell how much was right.
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), wanted):
        said = "wrong" if token else "missing"
        raise NotAuthorised(f"the bearer token is {said}; accepted: the one that this gateway was given")

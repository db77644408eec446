"""Access: a bearer token in a call's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotalk_gateway.listening.access import bearer


def shown_token(metadata: Mapping[str, Any]) -> str | None:
    """Return the token of ``authorization: Bearer …``; None: there is none.

    Whoever shows a token where none is asked for is served: callers of hosted services show theirs everywhere.
    """
    shown = metadata.get("authorization", "")
    return bearer(shown if isinstance(shown, str) else "")

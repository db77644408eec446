"""Ids, which are ours, and names, which are people's.

Rule that this module guards: **no path is made of what a caller wrote.** An id is looked at before it becomes a
folder's name; names of avatars and owners are text in a file, and never part of a path.
"""

from __future__ import annotations

import base64
import re
import unicodedata
import uuid

from emotalk_avatar.errors import InvalidAvatarName, UnknownAvatar
from emotalk_contract.quoting import quoted

MAX_NAME = 80
"""Characters of an avatar's or an owner's name."""
EVERYBODY = "everybody"
"""The owner of what nobody in particular registered."""
_ID = re.compile(r"[a-z2-7]{26}")
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reorder the text around them. Joiners, which Persian is written with, are not among them."""


def new_id() -> str:
    """Return an id that no avatar has: a random UUID as 26 letters and digits (RFC 4648, base 32)."""
    return base64.b32encode(uuid.uuid4().bytes).decode().rstrip("=").lower()


def is_id(text: str) -> bool:
    """True where ``text`` could be an avatar's id."""
    return _ID.fullmatch(text) is not None


def checked_id(text: str) -> str:
    """Return ``text``, an id.

    Raises:
        UnknownAvatar: no avatar can have it.
    """
    if not is_id(text):
        raise UnknownAvatar(f"no avatar has the id {quoted(text)}; accepted: one that a registration gave")
    return text


def checked_name(text: str, what: str = "avatar_name") -> str:
    """Return ``text`` as it is stored: without spaces around it, composed (NFC).

    Raises:
        InvalidAvatarName: it is empty, too long, or more than one line of text.
    """
    name = unicodedata.normalize("NFC", text.strip()) if len(text) <= 4 * MAX_NAME else text
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidAvatarName(
            f"{what} is {quoted(text)}, {len(name)} characters; accepted: 1 to {MAX_NAME} characters"
        )
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _OVERRIDES:
            raise InvalidAvatarName(f"{what} is {quoted(text)}, with U+{ord(character):04X}; accepted: a line of text")
    return name

"""Tables in Markdown, and where they go: a block of a page between two comments, so that a command can renew it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path


class NoSuchBlock(ValueError):
    """A page without the block that was to be renewed."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def renew(page: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- name -->`` and ``<!-- /name -->`` of ``page``.

    Raises:
        NoSuchBlock: the page has no such comments.
    """
    block = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    content, count = block.subn(lambda match: f"{match[1]}{text}\n{match[2]}", page.read_text("utf-8"))
    if count != 1:
        raise NoSuchBlock(f"{page} has {count} blocks <!-- {name} --> … <!-- /{name} -->; accepted: one")
    page.write_text(content, "utf-8")

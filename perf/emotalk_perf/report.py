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
    before, after = _around(page, name)
    page.write_text(f"{before}{text}\n{after}", "utf-8")


def check(page: Path, name: str) -> None:
    """Say before a long measurement that :func:`renew` could not put it there; raises what it raises."""
    _around(page, name)


def _around(page: Path, name: str) -> tuple[str, str]:
    """Return what comes before and after the text of a block."""
    block = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    content = page.read_text("utf-8") if page.is_file() else ""
    found = list(block.finditer(content))
    if len(found) != 1:
        raise NoSuchBlock(f"{page} has {len(found)} blocks <!-- {name} --> … <!-- /{name} -->; accepted: one")
    return content[: found[0].end(1)], content[found[0].start(2) :]

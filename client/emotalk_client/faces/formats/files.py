"""Files that cannot be read or written, as errors of this package; nothing is read without a bound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotalk_client.errors import UnwritableFile
from emotalk_client.faces.formats.faults import Fault, shortened
from emotalk_client.faces.track import MAX_FRAMES

MAX_BYTES = 1 << 30
"""Largest file that is read."""
MAX_JSON_BYTES = 1 << 28
"""Largest JSON document: parsed it takes about four times as much memory."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an :class:`OSError` raised inside into an :class:`UnwritableFile` that names ``path``."""
    try:
        yield
    except OSError as error:
        raise UnwritableFile(f"{path} cannot be written: {error.strerror or error}") from error


def make_folder_of(path: Path) -> None:
    """Make the folder in which ``path`` is to lie; :class:`UnwritableFile` if that cannot be."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def content_of(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of ``path``; :class:`Fault` if it has none, or more than ``limit``."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if not content:
        raise Fault("it is empty")
    if len(content) > limit:
        raise Fault(f"it is larger than {limit >> 20} MiB, which is the most that is read")
    return content


def json_of(content: bytes) -> Any:
    """The JSON value in ``content`` (UTF-8, 16 or 32); :class:`Fault` if it is not JSON, or too much of it."""
    if content.count(b"[") + content.count(b"{") > 4 * MAX_FRAMES or content.count(b",") > 64 * MAX_FRAMES:
        raise Fault(f"its JSON has more values than {MAX_FRAMES} frames can have")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise Fault("its JSON is nested too deep") from error
    except UnicodeDecodeError as error:
        raise Fault(f"it is not UTF-8 text (byte {error.start + 1} is 0x{content[error.start]:02x})") from error
    except json.JSONDecodeError as error:
        raise Fault(f"it is not JSON ({error})") from error
    except ValueError as error:  # an integer of thousands of digits
        raise Fault(f"it is not JSON that can be read ({shortened(str(error))})") from error

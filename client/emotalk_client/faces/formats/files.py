"""Files that cannot be read or written, as errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emotalk_client.errors import UnwritableFile


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

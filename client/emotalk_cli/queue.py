"""A queue that commands talk to: the options that they share, and the files that come of answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from emotalk_client.errors import MissingExtra
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import make_folder_of

REQUESTS, FRAMES, DEAD = "emotalk.requests", "emotalk.frames", "emotalk.dead"
"""Topics, where none are named."""
NAME_CHARACTERS = 120
"""Of a file; a longer one is cut, and ends in its checksum."""

Brokers = Annotated[
    str, typer.Option("--brokers", metavar="HOST:PORT,…", help="Where the Kafka brokers are to be asked for first.")
]
Results = Annotated[str, typer.Option("--results", metavar="TOPIC", help="Answers are read from there.")]
Dead = Annotated[str, typer.Option("--dead", metavar="TOPIC", help="Dead letters are read from there.")]
Librdkafka = Annotated[
    list[str] | None,
    typer.Option(
        "--librdkafka",
        metavar="NAME=VALUE",
        help="Any setting of librdkafka, such as security.protocol=SASL_SSL; repeatable.",
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", help="Formats of the files, such as npy,csv,json,glb. Default: npy.")
]


@contextmanager
def kafka() -> Iterator[None]:
    """Turn a library that is missing into an error that names the extra.

    Raises:
        MissingExtra: it is.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtra(f"the queue needs {error.name}; install `emotalk-triton[kafka]`") from error


def file_name(request_id: str) -> str:
    """Return ``request_id``, which may be any text, as the name of a file in a folder: another id has another name."""
    safe = re.sub(r"[^A-Za-z0-9._-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), request_id)
    safe = re.sub(r"^\.", "%2E", safe)  # neither hidden, nor the folder above
    if len(safe) <= NAME_CHARACTERS:
        return safe
    return f"{safe[:NAME_CHARACTERS]}-{hashlib.sha256(request_id.encode()).hexdigest()[:16]}"


def write(face: Animation, folder: Path, name: str, suffixes: list[str], fps: float | None) -> list[str]:
    """Write ``face`` into ``folder`` in each format; return the names of the files.

    Raises:
        UnwritableFile: one cannot be written.
    """
    written = [folder / f"{name}{suffix}" for suffix in suffixes]
    for path in written:
        make_folder_of(path)
        face.save(path, fps=fps)
    return [str(path) for path in written]

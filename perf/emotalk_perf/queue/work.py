"""The work of a queue: clips whose faces are known, and records that poison it."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.clips import excerpt

DEPTH = 100_000
"""Of the JSON that is nested too deep."""
POISONS = ("no audio", "NaN", "0 bytes", "zeros", "deep JSON")
"""Kinds of records that no worker can animate."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A record for the queue."""

    request_id: str
    key: str
    value: bytes
    seconds: float = 0.0
    """Of speech."""
    weights: NDArray[np.float32] | None = None
    """[F, 52] of a quiet server; None: it is poison."""

    @property
    def is_poison(self) -> bool:
        """True for a record that must end among the dead letters."""
        return self.weights is None


def lengths(count: int, shortest: float, longest: float, choice: random.Random) -> list[float]:
    """Return ``count`` lengths in seconds, both ends among them, even on a logarithmic scale: many short, few long."""
    if count == 1:
        return [longest]
    between = [shortest * (longest / shortest) ** choice.random() for _ in range(count - 2)]
    found = [shortest, longest, *between]
    choice.shuffle(found)
    return found


def sound(speech: NDArray[np.float32], seconds: float, from_s: float) -> bytes:
    """Return ``seconds`` of ``speech`` [n, 16 kHz] as a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, excerpt(speech, seconds, from_s), SAMPLE_RATE, format="FLAC")
    return file.getvalue()


def poison(kind: str, large_bytes: int) -> bytes:
    """Return a value of one of :data:`POISONS`."""
    if kind == "NaN":
        file = io.BytesIO()
        soundfile.write(file, np.full(SAMPLE_RATE, np.nan, np.float32), SAMPLE_RATE, format="WAV", subtype="FLOAT")
        return file.getvalue()
    values = {
        "no audio": b"This is a text about a sound, and not a sound.",
        "0 bytes": b"",
        "zeros": bytes(large_bytes),
        "deep JSON": b'{"audio_data":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    }
    return values[kind]


def requests(
    client: EmoTalkClient,
    speech: NDArray[np.float32],
    seconds: Sequence[float],
    poisonous: int,
    keys: int,
    large_bytes: int,
    choice: random.Random,
) -> Iterator[Request]:
    """Yield a request for each length, the ``poisonous`` ones among them at random, each with one of ``keys`` keys.

    Args:
        client: of a quiet server, which says what is right.
    """
    poisons = [POISONS[number % len(POISONS)] for number in range(poisonous)]
    plan: list[float | str] = [*seconds, *poisons]
    choice.shuffle(plan)
    for number, one in enumerate(plan):
        key = f"key-{choice.randrange(keys)}"
        if isinstance(one, str):
            yield Request(f"{number:04d} {one}", key, poison(one, large_bytes))
        else:
            value = sound(speech, one, from_s=number)
            face = client.animate(io.BytesIO(value))
            yield Request(f"{number:04d} {one:.1f} s", key, value, one, face.weights)

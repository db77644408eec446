"""The sources of a live stream's speech: a file as if it were spoken now, raw PCM, or a microphone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from emotalk_client.audio.containers import HEAD, container
from emotalk_client.audio.loading import AudioSource, blocks
from emotalk_client.errors import InvalidAudio
from emotalk_client.live.microphone import BLOCK_S, Block
from emotalk_client.live.microphone import microphone as microphone
from emotalk_contract.timing import SAMPLE_RATE

PCM_TYPES: dict[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "s32le": np.dtype("<i4"), "f32le": np.dtype("<f4")}
"""Raw samples that are understood, by the names that ffmpeg has for them."""
MAGIC = 16
"""Bytes by which most containers are known; nothing of a stream is taken for sound before they have come."""


def file_blocks(source: AudioSource) -> Iterator[Block]:
    """Yield blocks of :data:`BLOCK_S` seconds at 16 kHz of an audio file."""
    size = round(BLOCK_S * SAMPLE_RATE)
    rest = np.zeros(0, np.float32)
    for piece in blocks(source):
        rest = np.concatenate([rest, piece])
        whole = len(rest) // size * size
        yield from rest[:whole].reshape(-1, size)
        rest = rest[whole:]
    if len(rest):
        yield rest


def pcm_blocks(file: BinaryIO, kind: str, rate: int, channels: int) -> Iterator[Block]:
    """Yield raw samples [n, channels] of ``file`` as soon as they come; an incomplete last sample is lost.

    Raises:
        InvalidAudio: the stream is an audio file, such as a WAV, and not raw samples.
    """
    dtype = PCM_TYPES[kind]
    frame = dtype.itemsize * channels
    most = max(1, round(BLOCK_S * rate)) * frame
    head, rest = b"", b""
    read = getattr(file, "read1", file.read)  # read1 returns what is there instead of waiting for all of it
    while data := read(most):
        rest += data
        if len(head) < HEAD:
            head = (head + data)[:HEAD]
            _check_raw(head)
            if len(head) < MAGIC:
                continue
        whole = len(rest) // frame * frame
        ready, rest = rest[:whole], rest[whole:]
        if ready:
            yield np.frombuffer(ready, dtype).reshape(-1, channels)
    if whole := len(rest) // frame * frame:  # of a stream shorter than any magic
        yield np.frombuffer(rest[:whole], dtype).reshape(-1, channels)


def _check_raw(head: bytes) -> None:
    if (found := container(head)) is not None:
        raise InvalidAudio(
            f"the stream is a file of kind {found}; accepted: raw samples ({', '.join(PCM_TYPES)}). Give it as a file, "
            "or decode it first: ffmpeg -i IN -f s16le -ar 16000 -ac 1 -"
        )


def paced(source: Iterator[Block], rate: int) -> Iterator[Block]:
    """Yield the blocks of ``source``, each when its last sample would have been spoken if its first was spoken now."""
    began, spoken = time.monotonic(), 0
    for block in source:
        spoken += len(block)
        time.sleep(max(0.0, began + spoken / rate - time.monotonic()))
        yield block

"""Where a live stream's speech comes from: a file as if it were spoken now, raw PCM, or a microphone."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.loading import AudioSource, blocks
from emotalk_client.errors import MissingExtra, NoSoundDevice
from emotalk_contract.timing import SAMPLE_RATE

BLOCK_S = 0.01
"""Seconds of one block: what a microphone's driver hands over at once."""
PCM_TYPES: dict[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "s32le": np.dtype("<i4"), "f32le": np.dtype("<f4")}
"""Raw samples that are understood, by the names that ffmpeg has for them."""

Block = NDArray[Any]


def file_blocks(source: AudioSource) -> Iterator[Block]:
    """Blocks of :data:`BLOCK_S` seconds at 16 kHz of an audio file."""
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
    """What comes out of ``file``, raw samples [n, channels], as soon as it comes; an incomplete last sample is lost."""
    dtype = PCM_TYPES[kind]
    frame = dtype.itemsize * channels
    most = max(1, round(BLOCK_S * rate)) * frame
    rest = b""
    read = getattr(file, "read1", file.read)  # read1 returns what is there instead of waiting for all of it
    while data := read(most):
        data = rest + data
        whole = len(data) // frame * frame
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], dtype).reshape(-1, channels)


def paced(source: Iterator[Block], rate: int) -> Iterator[Block]:
    """``source``, each block when its last sample would have been spoken, the first sample being spoken now."""
    began, spoken = time.monotonic(), 0
    for block in source:
        spoken += len(block)
        time.sleep(max(0.0, began + spoken / rate - time.monotonic()))
        yield block


@contextmanager
def microphone(device: str | int | None, rate: int) -> Iterator[Iterator[Block]]:
    """Blocks of float32 [n, 1] from a sound device.

    Args:
        device: its name or number; None: the default one.
        rate: Hertz.

    Raises:
        MissingExtra: sounddevice, or the system's PortAudio, is not installed.
        NoSoundDevice: there is no such device, or it cannot record at ``rate``.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is there, PortAudio is not
        raise MissingExtra(
            f"a microphone needs sounddevice and PortAudio ({error}); install `emotalk-triton[microphone]`, and on "
            "Debian libportaudio2"
        ) from error
    heard: queue.SimpleQueue[Block] = queue.SimpleQueue()
    try:
        stream = sounddevice.InputStream(
            samplerate=rate,
            device=device,
            channels=1,
            dtype="float32",
            blocksize=round(BLOCK_S * rate),
            callback=lambda block, *_: heard.put(block.copy()),
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise NoSoundDevice(f"cannot record from {device or 'the default device'} at {rate} Hz: {error}") from error
    with stream:
        yield iter(heard.get, None)

"""A microphone as a source of blocks.

Rule that this module guards: **a device that vanishes ends the stream with an error, and a caller that is slow costs no
more than :data:`KEPT_S` of memory.** PortAudio calls from a thread of its own, which only hands blocks over.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from numpy.typing import NDArray

from emotalk_client.errors import MissingExtra, NoSoundDevice
from emotalk_contract.timing import SAMPLE_RATE

logger = logging.getLogger(__name__)

BLOCK_S = 0.01
"""Seconds of one block: what a driver hands over at once."""
KEPT_S = 30.0
"""Seconds of sound that wait for a caller at most; what comes then is lost."""
LOOK_S = 0.5
"""Seconds without a block after which the device is looked at."""
GONE_S = 5.0
"""Seconds without a block after which it counts as gone, whatever it says: some drivers stop without a word."""

Block = NDArray[Any]


class Microphone(Iterator[Block]):
    """Blocks of float32 [n, channels], waited for; made by :func:`microphone`."""

    def __init__(self, name: str, rate: int) -> None:
        self.rate = rate
        """Hertz."""
        self.overflows = 0
        """Times that sound was lost: between device and driver, or because nobody took the blocks."""
        self._name = name
        self._stream: Any = None
        self._heard: queue.Queue[Block] = queue.Queue(round(KEPT_S / BLOCK_S))
        self._told = 0

    def __next__(self) -> Block:
        quiet_s = 0.0
        while True:
            try:
                block = self._heard.get(timeout=LOOK_S)
            except queue.Empty:
                quiet_s += LOOK_S
                if not getattr(self._stream, "active", True):
                    raise NoSoundDevice(f"{self._name} stopped: it was unplugged, or something else took it") from None
                if quiet_s >= GONE_S:
                    raise NoSoundDevice(f"{self._name} is gone: no sound came from it for {quiet_s:g} s") from None
                continue
            if self.overflows > self._told:
                if not self._told:
                    logger.warning(
                        "some sound of %s was lost: this machine is too busy, or the server late", self._name
                    )
                self._told = self.overflows
            return block

    def _take(self, block: Block, _frames: int, _time: Any, status: Any) -> None:
        """Keep a copy of ``block``, which is PortAudio's own memory; called on PortAudio's thread."""
        if status:
            self.overflows += 1
        try:
            self._heard.put_nowait(block.copy())
        except queue.Full:
            self.overflows += 1


@contextmanager
def microphone(device: str | int | None = None, rate: int | None = None) -> Iterator[Microphone]:
    """Listen to a sound device.

    Args:
        device: its name or number; None: the default one.
        rate: Hertz. None: 16 000, or what the device has where it cannot give that; ``rate`` of the result tells.

    Raises:
        MissingExtra: sounddevice, or the system's PortAudio, is not installed.
        NoSoundDevice: the device is not there, it cannot record at ``rate``, or it stopped while it was listened to.
    """
    sounddevice = _sounddevice()
    wrong = (sounddevice.PortAudioError, ValueError)
    name = f"the sound device {device!r}" if device is not None else "the default sound device"
    with ExitStack() as stack:
        heard = _listening(sounddevice, wrong, device, rate, name, stack)
        try:
            yield heard
        finally:
            try:
                stack.close()
            except wrong as error:  # a device that vanished cannot be stopped
                logger.debug("%s does not stop: %s", name, error)
            if heard.overflows:
                logger.warning("sound of %s was lost %d times", name, heard.overflows)


def _sounddevice() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is there, PortAudio is not
        raise MissingExtra(
            f"a microphone needs sounddevice and PortAudio ({error}); install `emotalk-triton[microphone]`, and on "
            "Debian libportaudio2"
        ) from error
    except Exception as error:  # PortAudio's own, whose class cannot be named: it starts while it is imported
        raise NoSoundDevice(f"PortAudio does not start: {error}") from error
    return sounddevice


def _listening(
    sounddevice: Any,
    wrong: tuple[type[Exception], ...],
    device: str | int | None,
    rate: int | None,
    name: str,
    stack: ExitStack,
) -> Microphone:
    """Open and start the device as it is asked for, or as it can."""
    own = _own_rate(sounddevice, wrong, device)
    rates = [rate] if rate is not None else [SAMPLE_RATE, *([own] if own is not None and own != SAMPLE_RATE else [])]
    failed: Exception | None = None
    for wanted in rates:
        for channels in (1, 2):  # some devices have no mono
            heard = Microphone(name, wanted)
            try:
                heard._stream = sounddevice.InputStream(
                    samplerate=wanted,
                    device=device,
                    channels=channels,
                    dtype="float32",
                    blocksize=max(1, round(BLOCK_S * wanted)),
                    callback=heard._take,
                )
                stack.enter_context(heard._stream)
            except wrong as error:
                failed = failed or error
            else:
                return heard
    has = f"; its own rate is {own} Hz" if own is not None and own not in rates else ""
    raise NoSoundDevice(f"cannot record from {name} at {' or '.join(map(str, rates))} Hz: {failed}{has}") from failed


def _own_rate(sounddevice: Any, wrong: tuple[type[Exception], ...], device: str | int | None) -> int | None:
    """Return the rate that the device has by itself, where it says so."""
    try:
        rate: int = round(sounddevice.query_devices(device, "input")["default_samplerate"])
    except wrong:  # whatever it is, opening says it better
        return None
    return rate

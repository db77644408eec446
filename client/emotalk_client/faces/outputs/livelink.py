"""Unreal's Live Link Face: a UDP packet a frame, as Apple's app sends it.

The layout, big-endian throughout::

    uint8    version, 6
    int32    length, then a device's UUID in ASCII
    int32    length, then the subject's name in UTF-8
    int32    frame
    float32  part of a frame, 0..1
    int32    frame rate's numerator
    int32    and denominator
    uint8    61, then as many float32: the 52 in Apple's order, then head and eye rotations, radians
"""

from __future__ import annotations

import struct
import uuid
from fractions import Fraction

import numpy as np

from emotalk_client.faces.animation import Frame
from emotalk_client.faces.outputs.address import Address
from emotalk_client.faces.outputs.output import UdpSender
from emotalk_contract.arkit import APPLE_ORDER, HEAD_AND_EYE_ROTATIONS, columns
from emotalk_contract.timing import FPS

DEFAULT_PORT = 11_111
"""The port on which Unreal listens."""
SUBJECT = "EmoTalk"
"""The name under which Unreal lists the face."""
VERSION = 6
NTSC_TOLERANCE = 1e-3
"""Frames per second: two decimals stand for NTSC's rates."""

_COLUMNS = columns(APPLE_ORDER)
_VALUES = len(APPLE_ORDER) + len(HEAD_AND_EYE_ROTATIONS)
_STILL = np.zeros(len(HEAD_AND_EYE_ROTATIONS), np.float32)


def encode(frame: Frame, subject: str = SUBJECT, fps: float = FPS) -> bytes:
    """Return the packet for ``frame``, of a clip with ``fps`` frames a second.

    The device is a function of ``subject``, so that Unreal knows a face again.
    """
    device = str(uuid.uuid5(uuid.NAMESPACE_URL, f"emotalk:{subject}")).upper().encode()
    name = subject.encode()
    rate = _fraction(fps)
    turned = _STILL if frame.rotations is None else frame.rotations
    values = np.concatenate([frame.weights[_COLUMNS], turned])
    return (
        struct.pack(f">Bi{len(device)}si{len(name)}s", VERSION, len(device), device, len(name), name)
        + struct.pack(">ifii", frame.index, 0.0, rate.numerator, rate.denominator)
        + struct.pack(f">B{_VALUES}f", _VALUES, *values)
    )


def _fraction(fps: float) -> Fraction:
    """Return ``fps`` exactly; what stands for one of NTSC's rates, such as 29.97, is that: 30000/1001."""
    ntsc = Fraction(round(fps) * 1000, 1001)
    return ntsc if abs(fps - ntsc) < NTSC_TOLERANCE else Fraction(fps).limit_denominator(1000)


class LiveLinkOutput:
    """Sends each frame to Unreal at once; see :class:`~emotalk_client.faces.outputs.paced.Paced` for the clock."""

    def __init__(self, address: Address, subject: str = SUBJECT, fps: float = FPS) -> None:
        self._sender = UdpSender(address)
        self._subject = subject
        self._fps = fps

    def send(self, frame: Frame) -> None:
        """Send ``frame``; :class:`OutputFailed` if this machine cannot send there."""
        self._sender.send(encode(frame, self._subject, self._fps))

    def close(self) -> None:
        """Close the socket."""
        self._sender.close()

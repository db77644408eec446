"""The VMC protocol: OSC over UDP, which VSeeFace, Warudo, VMagicMirror and Blender add-ons take.

A frame is one bundle: ``/VMC/Ext/Blend/Val`` (name, weight) for each of the 52, then ``/VMC/Ext/Blend/Apply``. Names
have a capital first letter, as in the "perfect sync" clips of VRM avatars, unless another vocabulary is spoken. Where
the head moves, ``/VMC/Ext/Bone/Pos`` (bone, position, quaternion) of ``Head``, ``LeftEye`` and ``RightEye`` goes before
them, in Unity's left-handed axes: x to the person's right. Needs python-osc (`emotalk-triton[vmc]`).
"""

from __future__ import annotations

from emotalk_client.errors import MissingExtra
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.outputs.address import Address
from emotalk_client.faces.outputs.output import UdpSender
from emotalk_client.faces.rotations import HEAD, LEFT_EYE, RIGHT_EYE, quaternions
from emotalk_client.faces.vocabularies import Vocabulary, vocabulary

DEFAULT_PORT = 39_539
"""The port to which a VMC "Performer" sends, that of its "Marionette"."""

VALUE, APPLY = "/VMC/Ext/Blend/Val", "/VMC/Ext/Blend/Apply"
BONE = "/VMC/Ext/Bone/Pos"
BONES = {"Head": HEAD, "LeftEye": LEFT_EYE, "RightEye": RIGHT_EYE}


def check() -> None:
    """Raise :class:`MissingExtra` where python-osc is not installed."""
    try:
        import pythonosc  # noqa: F401  # whether it is there is the question
    except ImportError as error:
        raise MissingExtra("VMC needs python-osc; install `emotalk-triton[vmc]`") from error


def encode(frame: Frame, spoken: Vocabulary | None = None) -> bytes:
    """Return the bundle for ``frame`` in the words of ``spoken``; :class:`MissingExtra` without python-osc."""
    check()
    spoken = spoken or vocabulary("pascal")
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    bundle = OscBundleBuilder(IMMEDIATELY)
    for bone, angles in BONES.items() if frame.rotations is not None else ():
        x, y, z, w = quaternions(frame.rotations[angles])[0]  # type: ignore[index]  # there are some
        message = OscMessageBuilder(BONE)
        message.add_arg(bone, "s")
        for value in (0.0, 0.0, 0.0, x, -y, -z, w):
            message.add_arg(float(value), "f")
        bundle.add_content(message.build())
    for name, weight in zip(spoken.names, spoken.of(frame.weights[None])[0], strict=True):
        message = OscMessageBuilder(VALUE)
        message.add_arg(name, "s")
        message.add_arg(float(weight), "f")
        bundle.add_content(message.build())
    bundle.add_content(OscMessageBuilder(APPLY).build())
    return bundle.build().dgram


class VmcOutput:
    """Sends each frame to a VMC program at once; :mod:`emotalk_client.faces.outputs.paced` has the clock."""

    def __init__(self, address: Address, spoken: Vocabulary | None = None) -> None:
        """``spoken`` is the rig's vocabulary; by default that of "perfect sync"."""
        check()
        self._spoken = spoken
        self._sender = UdpSender(address)

    def send(self, frame: Frame) -> None:
        """Send ``frame``; :class:`OutputFailed` if this machine cannot send there."""
        self._sender.send(encode(frame, self._spoken))

    def close(self) -> None:
        """Close the socket."""
        self._sender.close()

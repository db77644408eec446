"""The VMC protocol: OSC over UDP, which VSeeFace, Warudo, VMagicMirror and Blender add-ons take.

A frame is one bundle: ``/VMC/Ext/Blend/Val`` (name, weight) for each of the 52, then ``/VMC/Ext/Blend/Apply``. Names
have a capital first letter, as in the "perfect sync" clips of VRM avatars. Needs python-osc (`emotalk-triton[vmc]`).
"""

from __future__ import annotations

from emotalk_client.errors import MissingExtra
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.outputs.address import Address
from emotalk_client.faces.outputs.output import UdpSender
from emotalk_contract.arkit import BLENDSHAPES

DEFAULT_PORT = 39_539
"""The port to which a VMC "Performer" sends, that of its "Marionette"."""

VALUE, APPLY = "/VMC/Ext/Blend/Val", "/VMC/Ext/Blend/Apply"


def check() -> None:
    """Raise :class:`MissingExtra` where python-osc is not installed."""
    try:
        import pythonosc  # noqa: F401  # whether it is there is the question
    except ImportError as error:
        raise MissingExtra("VMC needs python-osc; install `emotalk-triton[vmc]`") from error


def encode(frame: Frame) -> bytes:
    """Return the bundle for ``frame``; :class:`MissingExtra` without python-osc."""
    check()
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder

    bundle = OscBundleBuilder(IMMEDIATELY)
    for name, weight in zip(BLENDSHAPES, frame.weights, strict=True):
        message = OscMessageBuilder(VALUE)
        message.add_arg(name[0].upper() + name[1:], "s")
        message.add_arg(float(weight), "f")
        bundle.add_content(message.build())
    bundle.add_content(OscMessageBuilder(APPLY).build())
    return bundle.build().dgram


class VmcOutput:
    """Sends each frame to a VMC program at once; :mod:`emotalk_client.faces.outputs.paced` has the clock."""

    def __init__(self, address: Address) -> None:
        check()
        self._sender = UdpSender(address)

    def send(self, frame: Frame) -> None:
        """Send ``frame``; :class:`OutputFailed` if this machine cannot send there."""
        self._sender.send(encode(frame))

    def close(self) -> None:
        """Close the socket."""
        self._sender.close()

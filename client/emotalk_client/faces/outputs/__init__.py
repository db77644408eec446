"""Live outputs: frames to programs that show a face now, over UDP.

``livelink``  Unreal's Live Link Face packets
``vmc``       the VMC protocol (OSC), which VSeeFace, Warudo and others take
``paced``     frames on the clock
``together``  several outputs as one, on one clock
``address``   ``HOST[:PORT]``

Each format is a pure encoder (a frame to bytes) and a small sender around it.
"""

from emotalk_client.faces.outputs.address import Address
from emotalk_client.faces.outputs.livelink import LiveLinkOutput
from emotalk_client.faces.outputs.output import Output
from emotalk_client.faces.outputs.paced import Paced
from emotalk_client.faces.outputs.together import Together
from emotalk_client.faces.outputs.vmc import VmcOutput

__all__ = ["Address", "LiveLinkOutput", "Output", "Paced", "Together", "VmcOutput"]

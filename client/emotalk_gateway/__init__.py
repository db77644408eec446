"""The gateway: faces for whoever speaks HTTP, and a page to watch them on.

``service``    what every door needs, whatever its protocol; knows no web framework
``http``       uploads, Server-Sent Events, WebSocket, conversion, health: each parses its protocol into a
               :class:`~emotalk_gateway.service.request.FaceRequest` and hands out the faces that come
``page``       the page on which faces are watched, and the one for a single result
``listening``  a port, its connections and who may ask there, for whichever door answers
``app``        puts them together

Needs the extra ``emotalk-triton[gateway]``. Nothing outside of this package imports it but the commands that run it.
"""

from emotalk_gateway.app import create_app
from emotalk_gateway.service.settings import GatewaySettings, load_settings

__all__ = ["GatewaySettings", "create_app", "load_settings"]

"""The gateway: faces over HTTP, Server-Sent Events and WebSocket, and a page to watch them on.

``app``        puts it together; ``serving`` listens on a port
``settings``   what an operator may set
``errors``     what can go wrong, and what a caller is told
``auth``       who may ask
``admission``  how many are served at once
``uploads``    an upload, taken in within its limits
``options``    what a caller may ask for, from a form or from JSON
``faces``      from an upload to blocks of frames
``service``    what all routes share; ``lifetime`` one request from its first byte to its last
``tasks``      those that are no longer wanted
``streamed``   an answer that is sent as it is computed
``rate``       how many frames a second the server holds; ``retimed`` blocks of frames at another rate
``face``, ``sse``, ``audio2face``, ``websocket``, ``convert``, ``health``, ``viewer``   the routes
``metrics``    Prometheus
``shown``      a page for one result, without the rest

Needs the extra ``emotalk-triton[gateway]``. Nothing outside of this package imports it but the commands that run it.
"""

from emotalk_gateway.http.app import create_app
from emotalk_gateway.service.settings import GatewaySettings, load_settings

__all__ = ["GatewaySettings", "create_app", "load_settings"]

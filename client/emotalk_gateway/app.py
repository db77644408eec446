"""The gateway put together: one service, and the doors to it."""

from __future__ import annotations

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_gateway.http.app import Application, http_app
from emotalk_gateway.http.greeting import greeting
from emotalk_gateway.page.register import add_register
from emotalk_gateway.page.video import add_video_page
from emotalk_gateway.page.viewer import add_viewer
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.settings import GatewaySettings


def create_app(settings: GatewaySettings, client: AsyncEmoTalkClient) -> Application:
    """Return a gateway to the server that ``client`` knows; it closes the client when it ends.

    ``app.state.service`` is its :class:`~emotalk_gateway.service.service.Service`.
    """
    app = http_app(Service(settings, client))
    add_viewer(app, greeting=greeting())
    add_register(app)
    add_video_page(app)
    return app

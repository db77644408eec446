"""A real gateway in a thread."""

import threading
from contextlib import contextmanager

from asking import Gateway
from waiting import HANG_S

from emotalk_gateway.app import create_app
from emotalk_gateway.http.serving import Server
from emotalk_gateway.listening import listen
from emotalk_gateway.service.settings import GatewaySettings


@contextmanager
def in_thread(client, wire=None, doors=lambda service: (), **settings):
    """One with these ``settings`` and the doors of ``doors(service)``, for as long as the block lasts."""
    app = create_app(GatewaySettings(**settings), client)
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        opened = doors(app.state.service)
        server = Server(app, ready.set, opened)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(HANG_S)
            yield Gateway(port, app.state.service, wire, server, opened)
        finally:
            server.stop()
            thread.join(HANG_S)
            assert not thread.is_alive(), "the gateway does not stop"

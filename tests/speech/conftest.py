"""A server with voices, once for all tests of this folder."""

import pytest

from emotalk_client import EmoTalkClient
from emotalk_server import EmbeddedServer


@pytest.fixture(scope="session")
def speaking_server():
    with EmbeddedServer(groups=("core", "live", "speech")) as server:
        yield server


@pytest.fixture
def client(speaking_server):
    with EmoTalkClient(speaking_server.grpc_url) as client:
        yield client

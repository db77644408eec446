"""A server with the face models, once for all tests of this folder."""

import pytest

from emotalk_avatar.models import FaceModels
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_server import EmbeddedServer


@pytest.fixture(scope="session")
def seeing_server():
    with EmbeddedServer(groups=("core", "avatar")) as server:
        yield server


@pytest.fixture
async def face_models(seeing_server):
    async with AsyncEmoTalkClient(seeing_server.grpc_url) as client:
        yield FaceModels(client)

"""A real Triton, once for all tests of this folder, and ways to talk to it that are not our client's."""

from pathlib import Path

import pytest
import tritonclient.grpc
import tritonclient.http
from infer import infer

import seeded
from emotalk_ensemble.server import EmbeddedServer
from emotalk_perf.bare import BareEnsemble


@pytest.fixture(scope="session")
def server(small_repository):
    """Triton serving the small seeded network."""
    with EmbeddedServer(small_repository) as running:
        yield running


@pytest.fixture(scope="session")
def bundled_server():
    """Triton serving the bundled face model."""
    with EmbeddedServer() as running:
        yield running


@pytest.fixture(scope="session")
def pipeline(small_repository) -> BareEnsemble:
    """The same repository without Triton."""
    return BareEnsemble(small_repository)


@pytest.fixture
def grpc(server):
    """``grpc(parameters, AUDIO=...)`` over gRPC."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        yield lambda parameters=None, **inputs: infer(tritonclient.grpc, client, parameters, **inputs)


@pytest.fixture
def http(server):
    """``http(parameters, AUDIO=...)`` over HTTP."""
    with tritonclient.http.InferenceServerClient(server.http_url) as client:
        yield lambda parameters=None, **inputs: infer(tritonclient.http, client, parameters, **inputs)


@pytest.fixture(scope="session")
def speech():
    """26 s that stand in for a voice; [samples], 16 kHz."""
    return seeded.speechlike(416_000)


@pytest.fixture(scope="session")
def data() -> Path:
    return Path(__file__).parents[1] / "data"

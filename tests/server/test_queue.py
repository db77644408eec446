"""A full server answers at once, and takes nobody else with it."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import tritonclient.grpc
from infer import infer
from narrow import narrow_server
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def narrow(small_repository, tmp_path_factory):
    """A server whose queues hold two requests."""
    with narrow_server(small_repository, tmp_path_factory.mktemp("narrow")) as server:
        yield server


def test_a_full_queue_rejects_at_once_and_serves_the_rest(narrow, speech):
    clip = speech[None, :400_000]

    with tritonclient.grpc.InferenceServerClient(narrow.grpc_url) as client:
        alone = infer(tritonclient.grpc, client, {"raw": True}, AUDIO=clip)["BLENDSHAPES"]

        results = []  # as they come

        def send(_):
            try:
                results.append(infer(tritonclient.grpc, client, {"raw": True}, AUDIO=clip)["BLENDSHAPES"])
            except InferenceServerException as error:
                results.append(error)

        with ThreadPoolExecutor(60) as pool:
            list(pool.map(send, range(60)))

    rejected = [r for r in results if isinstance(r, InferenceServerException)]
    served = [r for r in results if not isinstance(r, InferenceServerException)]
    assert rejected
    assert served
    assert isinstance(results[0], InferenceServerException), "a rejection waits for those that are served"
    for error in rejected:
        assert error.status() == "StatusCode.UNAVAILABLE"
        assert "Exceeds maximum queue size" in error.message()
    for weights in served:
        np.testing.assert_allclose(weights, alone, rtol=0, atol=1e-5)


def test_requests_lost_with_a_dead_process_take_no_room(small_repository, tmp_path, speech):
    """Each fails between the ends. Were its place lost too, a server of two places would be full after two."""
    with (
        narrow_server(small_repository, tmp_path) as server,
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
    ):
        (stub,) = [
            process
            for process in psutil.Process(server.process.pid).children(recursive=True)
            if "emotalk_decoder" in " ".join(process.cmdline())
        ]
        stub.kill()
        lost = 0
        until = time.monotonic() + 120  # a hang guard
        while lost < 5 and time.monotonic() < until:
            try:
                infer(tritonclient.grpc, client, AUDIO=speech[None, :1600])
            except InferenceServerException as error:
                lost += "not healthy" in error.message()
            else:
                break  # somebody healed it meanwhile
            time.sleep(0.01)
        else:
            assert lost == 5

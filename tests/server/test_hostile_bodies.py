"""Bodies that declare more than they hold, or hold more than anybody should send: refused, and nothing ends.

Those that end a Triton 2.51 all by themselves belong to the tests of what starts it again.
"""

import gzip
import http.client
import json

import grpc as rpc
import numpy as np
import pytest
from direct import direct
from tritonclient.grpc import service_pb2

from emotalk_contract import errors
from emotalk_contract.limits import MAX_SAMPLES

pytestmark = pytest.mark.server

CLIP = np.random.default_rng(3).normal(0, 0.1, (1, 1600)).astype(np.float32)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def caller(server):
    with direct(server) as caller:
        yield caller


@pytest.fixture
def serves(server, caller):
    """After the test, the same process gives a face."""
    pid = server.process.pid
    yield
    assert caller.ask("emotalk", AUDIO=CLIP)["BLENDSHAPES"].shape == (1, 3, 52)
    assert server.process.pid == pid


def post(server, body, headers=JSON):
    connection = http.client.HTTPConnection(server.http_url, timeout=60)
    try:
        connection.request("POST", "/v2/models/emotalk/infer", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def body(shape="[1, 1600]", data=None):
    data = json.dumps(CLIP[0].tolist()) if data is None else data
    return f'{{"inputs":[{{"name":"AUDIO","datatype":"FP32","shape":{shape},"data":{data}}}]}}'.encode()


SHAPES = [[1, 2**63 - 1], [2**31, 1], [-1, 1600], [1, -1], [2**62, 4], [0, 0], [1] * 300]


@pytest.mark.usefixtures("serves")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape[:2]) if len(shape) < 3 else "many")
def test_a_shape_that_is_not_the_contents_is_refused_over_grpc(shape, caller):
    made = service_pb2.ModelInferRequest(model_name="emotalk")
    caller.add(made, "AUDIO", "FP32", shape, CLIP.tobytes() if 0 not in shape else b"")
    with pytest.raises(rpc.RpcError) as caught:
        caller.send(made)
    assert caught.value.code() in (rpc.StatusCode.INVALID_ARGUMENT, rpc.StatusCode.INTERNAL), caught.value.details()


@pytest.mark.usefixtures("serves")
@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ("[1, 0]", "[]"),
        ("[-1, 1600]", None),
        ("[1, 1601]", None),
        ("[1, 1600]", "[" * 1000),
        ("[1, 1600]", '"text"'),
        ("[1, 1600]", "{}"),
        ("[1, 1600]", "[null]"),
        ('["1", "1600"]', None),
        ("{}", None),
    ],
)
def test_json_that_does_not_fit_is_refused_over_http(shape, data, server):
    status, answer = post(server, body(shape, data))
    assert status >= 400
    assert json.loads(answer)["error"]


@pytest.mark.usefixtures("serves")
def test_more_than_one_request_may_hold_is_refused_with_its_own_error(caller):
    with pytest.raises(rpc.RpcError) as caught:
        caller.ask("emotalk", AUDIO=np.zeros((1, 8 * MAX_SAMPLES), np.float32))
    assert type(errors.from_message(caught.value.details())) is errors.AudioTooLong


@pytest.mark.usefixtures("serves")
def test_a_compressed_body_that_unfolds_to_20_mb_is_answered(server):
    bomb = gzip.compress(b" " * 20 * 2**20 + body())
    status, _ = post(server, bomb, JSON | {"Content-Encoding": "gzip"})
    assert status in (200, 400)

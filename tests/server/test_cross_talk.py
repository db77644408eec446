"""One caller's mistake is that caller's alone, also where Triton runs several callers' requests in one batch."""

import http.client
import json

import grpc as rpc
import numpy as np
import pytest
from direct import direct
from tritonclient.grpc import service_pb2

from emotalk_contract import errors

pytestmark = pytest.mark.server

CLIP = np.random.default_rng(1).normal(0, 0.1, (1, 3200)).astype(np.float32)
RAW = {"raw": True}


@pytest.fixture(scope="module")
def caller(server):
    with direct(server) as caller:
        yield caller


def refused(error, kind):
    assert isinstance(error, rpc.RpcError), error
    assert error.code() is rpc.StatusCode.INVALID_ARGUMENT
    assert type(errors.from_message(error.details())) is kind
    assert len(error.details()) < 600
    return True


BAD_OPTIONS = {
    "deep list": ({"emotions": "[" * 10_000}, errors.InvalidOption),
    "deep object": ({"gains": '{"jawOpen":' * 10_000}, errors.InvalidOption),
    "long": ({"offsets": "[" * 1_000_000}, errors.InvalidOption),
    "many digits": ({"seed": "9" * 6000}, errors.InvalidOption),
    "digits in an object": ({"emotions": '{"joy": ' + "9" * 6000 + "}"}, errors.InvalidOption),
    "long name": ({"x" * 100_000: True}, errors.UnknownOption),
    "not a number": ({"seed": float("nan")}, errors.InvalidOption),
    "infinity": ({"seed": float("inf")}, errors.InvalidOption),
    "surrogate": ({"emotions": '{"\\ud800": 1}'}, errors.UnknownEmotion),
    "zero byte": ({"emotions": "\0"}, errors.InvalidOption),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_a_hostile_option_has_its_typed_error(name, caller):
    parameters, kind = BAD_OPTIONS[name]
    with pytest.raises(rpc.RpcError) as caught:
        caller.ask("emotalk", parameters, AUDIO=CLIP)
    assert refused(caught.value, kind)


def not_utf8():
    """A request whose option ``emotions`` is the byte FF: protocol buffers' own Python does not write that."""
    request = service_pb2.ModelInferRequest(model_name="emotalk")
    request.inputs.add(name="AUDIO", datatype="FP32").shape.extend(CLIP.shape)
    request.raw_input_contents.append(CLIP.tobytes())
    request.parameters["emotions"].string_param = "~~mark~~"
    return request.SerializeToString().replace(b"~~mark~~", b"\xff" * 8)


def test_an_option_that_is_not_utf8_has_its_typed_error(server, caller):
    with rpc.insecure_channel(server.grpc_url) as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", lambda raw: raw, lambda raw: raw)
        with pytest.raises(rpc.RpcError) as caught:
            ask(not_utf8(), timeout=60)
    assert caught.value.code() is not rpc.StatusCode.DEADLINE_EXCEEDED
    if caught.value.code() is rpc.StatusCode.INVALID_ARGUMENT:
        assert refused(caught.value, errors.InvalidOption)
    assert caller.ask("emotalk", AUDIO=CLIP)["BLENDSHAPES"].shape == (1, 6, 52)


def test_over_http_an_option_that_is_not_utf8_or_deep_has_a_client_error(server, caller):
    for option in (b'"\xff\xfe"', b'"' + b"[" * 10_000 + b'"'):
        audio = json.dumps(CLIP[0].tolist()).encode()
        body = b'{"inputs":[{"name":"AUDIO","datatype":"FP32","shape":[1,3200],"data":' + audio
        body += b'}],"parameters":{"emotions":' + option + b"}}"
        connection = http.client.HTTPConnection(server.http_url, timeout=60)
        connection.request("POST", "/v2/models/emotalk/infer", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 400, answer.read()
        answer.read()
        connection.close()
    assert caller.ask("emotalk", AUDIO=CLIP)["BLENDSHAPES"].shape == (1, 6, 52)


def test_bad_requests_among_good_ones_of_the_same_length_fail_none_of_them(caller):
    """The first and the last step batch them together: an exception there would fail the whole batch."""
    alone = caller.ask("emotalk", RAW, AUDIO=CLIP)["BLENDSHAPES"]
    bad = [parameters for parameters, _ in BAD_OPTIONS.values()]
    calls = []
    for i in range(600):
        parameters = RAW if i % 2 else bad[i // 2 % len(bad)]
        calls.append(lambda parameters=parameters: caller.ask("emotalk", parameters, AUDIO=CLIP))
    results = caller.ask_all(calls)
    good = results[1::2]
    assert [r for r in good if isinstance(r, Exception)] == []
    for result in good:
        np.testing.assert_allclose(result["BLENDSHAPES"], alone, rtol=0, atol=1e-5)
    for error in results[::2]:
        assert isinstance(error, rpc.RpcError)
        assert error.code() is rpc.StatusCode.INVALID_ARGUMENT


def test_a_bad_item_among_eight_is_named_and_the_next_batch_is_served(caller):
    batch = np.repeat(CLIP, 8, axis=0)
    batch[5, 7] = np.nan
    with pytest.raises(rpc.RpcError) as caught:
        caller.ask("emotalk", AUDIO=batch)
    assert refused(caught.value, errors.AudioNotFinite)
    assert caller.ask("emotalk", AUDIO=np.repeat(CLIP, 8, axis=0))["BLENDSHAPES"].shape == (8, 6, 52)


def test_an_index_beyond_its_tensor_fails_that_request_alone_in_the_networks_too(caller):
    features = np.zeros((1, 10, 32), np.float32)
    good, bad = np.full((1, 5), 1.0, np.float32), np.full((1, 5), 1e9, np.float32)

    def ask(positions):
        return lambda: caller.ask("wav2vec_content", CONTENT_FEATURES=features, CONTENT_POSITIONS=positions)

    results = caller.ask_all([ask(bad if i % 8 == 0 else good) for i in range(80)])
    assert [isinstance(r, Exception) for r in results] == [i % 8 == 0 for i in range(80)]
    assert {r.code() for r in results[::8]} == {rpc.StatusCode.INTERNAL}

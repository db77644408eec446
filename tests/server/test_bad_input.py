"""Bad input: its own clear error, for that request alone, and the server goes on."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from emotalk_contract import errors, limits

pytestmark = pytest.mark.server


def clip(samples=16_000, **at):
    audio = np.random.default_rng(0).normal(0, 0.1, (1, samples)).astype(np.float32)
    for place, value in at.items():
        audio[0, int(place[1:])] = value
    return audio


BAD = {
    "empty": (errors.AudioTooShort, {}, {"AUDIO": clip(0)}),
    "short": (errors.AudioTooShort, {}, {"AUDIO": clip(719)}),
    "long": (errors.AudioTooLong, {}, {"AUDIO": clip(limits.MAX_SAMPLES + 600)}),
    "nan": (errors.AudioNotFinite, {}, {"AUDIO": clip(_3=np.nan)}),
    "infinity": (errors.AudioNotFinite, {}, {"AUDIO": clip(_3=-np.inf)}),
    "unscaled": (errors.AudioOutOfRange, {}, {"AUDIO": clip(_3=30_000)}),
    "level": (errors.LevelOutOfRange, {}, {"AUDIO": clip(), "LEVEL": np.array([[-0.1]], np.float32)}),
    "person": (errors.PersonOutOfRange, {}, {"AUDIO": clip(), "PERSON": np.array([[-1]], np.int32)}),
    "style": (errors.InvalidStyle, {}, {"AUDIO": clip(), "STYLE": np.ones((1, 24), np.float32)}),
    "window": (errors.InvalidWindow, {}, {"AUDIO": clip(), "START_FRAME": np.array([[1]], np.int64)}),
    "blendshape": (errors.UnknownBlendshape, {"gains": '{"jawOpne": 1}'}, {"AUDIO": clip()}),
    "emotion": (errors.UnknownEmotion, {"emotions": '{"bliss": 1}'}, {"AUDIO": clip()}),
    "amount": (errors.EmotionOutOfRange, {"emotions": '{"joy": 2}'}, {"AUDIO": clip()}),
    "option": (errors.UnknownOption, {"smoothing": True}, {"AUDIO": clip()}),
    "value": (errors.InvalidOption, {"seed": -5}, {"AUDIO": clip()}),
}


@pytest.mark.parametrize("name", BAD)
def test_each_mistake_has_its_own_error_and_the_next_request_is_served(name, grpc):
    kind, parameters, inputs = BAD[name]
    with pytest.raises(InferenceServerException) as caught:
        grpc(parameters, **inputs)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert type(errors.from_message(caught.value.message())) is kind
    assert grpc(AUDIO=clip())["BLENDSHAPES"].shape == (1, 30, 52)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"AUDIO": clip()[0]}, r"batch-size must be <= 8"),  # Triton takes the first axis for the batch
        ({"AUDIO": clip()[None]}, "AUDIO"),
        ({"AUDIO": clip(), "LEVEL": np.ones((1, 3), np.float32)}, "LEVEL"),
        ({"AUDIO": clip(), "STYLE": np.ones((1, 23), np.float32)}, "STYLE"),
        ({}, "AUDIO"),
    ],
)
def test_a_wrong_rank_or_a_missing_tensor_names_the_tensor(inputs, words, grpc):
    with pytest.raises(InferenceServerException, match=words) as caught:
        grpc(**inputs)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_wrong_type_names_the_tensor(server):
    tensor = tritonclient.grpc.InferInput("AUDIO", [1, 16_000], "FP64")
    tensor.set_data_from_numpy(clip().astype(np.float64))
    with (
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
        pytest.raises(InferenceServerException, match=r"FP64.*AUDIO|AUDIO.*FP64"),
    ):
        client.infer("emotalk", [tensor])


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"{}", b'{"AUDIO": "hello"}', b'{"AUDIO": [1, "x"]}'])
def test_malformed_json_is_refused_and_the_next_request_is_served(body, server, grpc):
    request = urllib.request.Request(
        f"http://{server.http_url}/v2/models/emotalk/generate", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as error:
        assert error.code >= 400  # Triton's HTTP front end answers 500 to what is not JSON
        assert json.load(error)["error"]
    assert grpc(AUDIO=clip())["BLENDSHAPES"].shape == (1, 30, 52)


def test_a_network_called_directly_with_a_bad_index_harms_nobody(server, grpc):
    """The composing models are reachable by name, so they must stand bad input too."""
    inputs = []
    for name, array in (
        ("CONTENT_FEATURES", np.zeros((1, 10, 32), np.float32)),
        ("CONTENT_POSITIONS", np.full((1, 5), 1e9, np.float32)),
    ):
        tensor = tritonclient.grpc.InferInput(name, array.shape, "FP32")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        try:
            client.infer("wav2vec_content", inputs)
        except InferenceServerException as error:
            assert "wav2vec_content" in error.message() or "index" in error.message().lower()  # noqa: PT017
    assert grpc(AUDIO=clip())["BLENDSHAPES"].shape == (1, 30, 52)

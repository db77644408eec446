"""What goes over the wire, and what may not."""

import numpy as np
import pytest
from fake import PARAMETERS, FakeTransport, client

from emotalk_client import AsyncEmoTalkClient, EmoTalkClient, InvalidAddress, UnexpectedResponse
from emotalk_client.wire.transport import check_address, checked
from emotalk_contract.timing import timecodes

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("url", ["localhost:8001", "127.0.0.1:80", "triton.example.org:8001", "[::1]:8001"])
def test_an_address_is_a_host_and_a_port(url):
    assert check_address(url) == url


@pytest.mark.parametrize("url", ["http://localhost:8001", "localhost", "", ":8001", "a b:1", "localhost:http", None])
def test_what_is_no_address_says_what_is(url):
    with pytest.raises(InvalidAddress, match="accepted: host:port"):
        EmoTalkClient(url)


def answer(frames, start):
    return {"BLENDSHAPES": np.zeros((1, frames, 52), np.float32), "TIMECODES": timecodes(start, frames)[None]}


def test_an_answer_must_be_that_windows():
    assert checked(answer(4, 30), 4, 30).shape == (4, 52)
    with pytest.raises(UnexpectedResponse, match=r"frame 30 are 0\.\.0\.1 s.*expected 1\.\.1\.1 s"):
        checked(answer(4, 0), 4, 30)
    with pytest.raises(UnexpectedResponse, match="3 of them"):
        checked(answer(4, 30) | {"TIMECODES": timecodes(30, 3)[None]}, 4, 30)


async def test_a_server_that_mixes_windows_up_is_caught():
    class Mixed(FakeTransport):
        async def infer(self, inputs, parameters, timeout_s, *model):
            start = inputs["START_FRAME"]
            return await super().infer(inputs | {"START_FRAME": start + 3 * (start > 0)}, parameters, timeout_s, *model)

    with pytest.raises(UnexpectedResponse):
        await AsyncEmoTalkClient(transport=Mixed()).animate(
            np.zeros(80_000, np.float32), sample_rate=16_000, window=2.0
        )


@pytest.mark.parametrize("parameters", [{}, PARAMETERS | {"frame_grid": "odd"}, PARAMETERS | {"look_ahead_s": "much"}])
async def test_a_model_that_is_not_this_projects_is_told_apart(parameters):
    maker, transport = client()

    async def model_parameters(timeout_s):
        return parameters

    transport.model_parameters = model_parameters
    with pytest.raises(UnexpectedResponse, match="no recipe of this project"):
        await maker.animate(np.zeros(16_000, np.float32), sample_rate=16_000)


async def test_describe_asks_once_and_infers_nothing():
    maker, transport = client()
    assert await maker.describe() == PARAMETERS
    assert transport.sent == []

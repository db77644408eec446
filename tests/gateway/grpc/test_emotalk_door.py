"""The EmoTalk service as a door: what requests mean, how faces are cut, and that a call that fails says why."""

import asyncio
import io
import math
from contextlib import asynccontextmanager

import fake
import grpc
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emotalk_client.errors import ServerUnavailable
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, SAMPLE_RATE
from emotalk_gateway.grpc.emotalk.asked import Asked
from emotalk_gateway.grpc.emotalk.chunks import Chunks
from emotalk_gateway.grpc.emotalk.door import emotalk_door
from emotalk_gateway.grpc.emotalk.service import NAME
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.settings import GatewaySettings

pytestmark = pytest.mark.unit

REQUEST, RESPONSE = message("emotalk.AudioRequest"), message("emotalk.BlendshapeResponse")
ASKED, HEALTH = message("emotalk.HealthCheckRequest"), message("emotalk.HealthCheckResponse")
LIMIT_S = 30
LARGE = [("grpc.max_send_message_length", 200 * 2**20), ("grpc.http2.bdp_probe", 0)]  # and windows that do not grow


class Port:
    def __init__(self, channel, service):
        self.channel, self.service = channel, service

    def call(self, sound=b"", metadata=None, **asked):
        method = self.channel.unary_stream(f"/{NAME}/ProcessAudio", REQUEST.SerializeToString, RESPONSE.FromString)
        return method(REQUEST(audio_data=sound, **asked), timeout=LIMIT_S, metadata=metadata)

    async def ask(self, sound=b"", **asked):
        return [answer async for answer in self.call(sound, **asked)]

    async def healthy(self):
        method = self.channel.unary_unary(f"/{NAME}/HealthCheck", ASKED.SerializeToString, HEALTH.FromString)
        return (await method(ASKED(service="emotalk"), timeout=LIMIT_S)).status == HEALTH.SERVING


@asynccontextmanager
async def opened(script=None, parameters=fake.PARAMETERS, **settings):
    client, transport = fake.client(script, parameters, retries=0)
    service = Service(GatewaySettings(**settings), client)
    door = emotalk_door(service, "127.0.0.1", 0)
    assert await door.open() == f"EmoTalk 127.0.0.1:{door.port}"
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{door.port}", LARGE) as channel:
            yield Port(channel, service), transport
    finally:
        service.stopping.set()
        await door.close()
        await client.close()


def wav(seconds, kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(seconds * SAMPLE_RATE)), SAMPLE_RATE, format=kind)
    return file.getvalue()


def frames(answers):
    return [frame for answer in answers for frame in answer.frames]


def face(answers):
    return np.array([frame.blendshapes for frame in frames(answers)])


async def test_a_clip_comes_in_one_chunk():
    async with opened() as (port, _):
        (answer,) = await port.ask(wav(2), request_id="mine", post_processing=True)
        assert (answer.request_id, answer.chunk_index, answer.is_final, answer.error_message) == ("mine", 0, True, "")
        assert [frame.frame_number for frame in answer.frames] == list(range(60))
        assert [frame.timecode for frame in answer.frames] == [number / 30 for number in range(60)]
        np.testing.assert_allclose(face([answer])[:, 1], np.arange(60) + 0.01, rtol=1e-6)
        assert (await port.ask(wav(1, "FLAC")))[0].request_id


async def test_chunks_joined_are_the_clip_and_no_frame_comes_twice():
    async with opened() as (port, _):
        answers = await port.ask(wav(7), chunk_duration=2.5, chunk_overlap=0.5)
        assert [answer.chunk_index for answer in answers] == [0, 1, 2, 3]
        assert [answer.is_final for answer in answers] == [False, False, False, True]
        assert [answer.frames[0].timecode for answer in answers] == [0, 2, 4, 6]
        assert [answer.frames[0].frame_number for answer in answers] == [0, 0, 0, 0]
        assert len({answer.request_id for answer in answers}) == 1
        np.testing.assert_allclose(face(answers)[:, 0], np.arange(210))
        long = await port.ask(wav(60), chunk_overlap=-1)  # 25 s with 0.5 s of overlap
        assert [len(answer.frames) for answer in long] == [735, 735, 330]


async def test_what_is_out_of_range_is_taken_as_the_default():
    async with opened() as (port, transport):
        for asked in ({"emotion_level": 7, "person_id": 24}, {"emotion_level": 0, "person_id": 3}, {"person_id": -1}):
            assert not (await port.ask(wav(0.5), **asked))[0].error_message
        sent = [(inputs["LEVEL"][0, 0], inputs["PERSON"][0, 0]) for inputs, _ in transport.sent]
        assert sent == [(1, 0), (0, 3), (0, 0)]


async def test_post_processing_is_off_unless_it_is_asked_for():
    async with opened() as (port, transport):
        await port.ask(wav(0.5))
        await port.ask(wav(0.5), post_processing=True)
        assert [parameters.get("raw", False) for _, parameters in transport.sent] == [True, False]


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (b"", "InvalidUpload: audio_data is empty"),
        (b"words", "UnreadableAudio: "),
        (wav(2)[:5000], "TruncatedAudio: "),
        (wav(0.01), "AudioTooShort: "),
        (wav(11), "ClipTooLong: the clip is 11.0 s long; accepted: at most 10 s"),
    ],
)
async def test_what_cannot_be_used_is_said_in_one_answer(sound, said):
    async with opened(max_audio_s=10) as (port, _):
        call = port.call(sound, request_id="mine")
        (answer,) = [answer async for answer in call]
        assert answer.error_message.startswith(said)
        assert (answer.request_id, len(answer.frames), answer.is_final) == ("mine", 0, True)
        assert await call.code() is grpc.StatusCode.OK
        assert not port.service.uploads.admitted
        assert not port.service.bodies.held


async def test_a_face_server_that_is_away_is_said_without_what_the_log_knows():
    async with opened({0: ServerUnavailable("10.0.0.7 refused"), 1: ValueError("a secret")}) as (port, _):
        (answer,) = await port.ask(wav(1))
        assert answer.error_message == "ServerUnavailable: the face server cannot be reached; try again later"
        (answer,) = await port.ask(wav(1))
        assert answer.error_message == "InternalError: the gateway failed; its log says why"
        assert not (await port.ask(wav(1)))[0].error_message


async def test_more_than_may_be_are_told_so():
    begin = asyncio.Event()
    async with opened({0: begin}, max_requests=1) as (port, transport):
        first = asyncio.create_task(port.ask(wav(1)))
        while not transport.flying:
            await asyncio.sleep(0.01)
        (answer,) = await port.ask(wav(1))
        assert answer.error_message.startswith("GatewayFull: ")
        assert not await port.healthy()
        begin.set()
        assert len(frames(await first)) == 30
        assert await port.healthy()


async def test_a_caller_that_leaves_gives_its_place_back():
    async with opened({0: asyncio.Event()}, max_requests=1) as (port, transport):
        call = port.call(wav(1))
        while not transport.flying:
            await asyncio.sleep(0.01)
        call.cancel()
        while port.service.uploads.admitted or port.service.bodies.held:
            await asyncio.sleep(0.01)
        assert len(frames(await port.ask(wav(1)))) == 30


async def test_a_face_server_that_stands_still_ends_the_call():
    async with opened({0: asyncio.Event()}, request_timeout_s=0.3) as (port, _):
        (answer,) = await port.ask(wav(1))
        assert answer.error_message.startswith("RequestTooSlow: the call took longer than the 0.3 s")
        assert len(frames(await port.ask(wav(1)))) == 30


async def test_a_gateway_that_stops_says_so():
    async with opened({0: asyncio.Event()}) as (port, transport):
        asking = asyncio.create_task(port.ask(wav(1)))
        while not transport.flying:
            await asyncio.sleep(0.01)
        port.service.stopping.set()
        (answer,) = await asking
        assert answer.error_message.startswith("GatewayStopping: ")


async def test_files_of_up_to_100_mib():
    """What fits is told what is wrong with it; what does not is refused by gRPC, and harms nobody."""
    async with opened() as (port, _):
        (answer,) = await port.ask(b"x" * 100 * 2**20)
        assert answer.error_message.startswith("UnreadableAudio: ")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await port.ask(b"x" * (101 * 2**20))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(frames(await port.ask(wav(1)))) == 30


async def test_the_gateways_token_is_asked_for():
    async with opened(token="secret") as (port, _):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await port.ask(wav(1))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        shown = [answer async for answer in port.call(wav(1), metadata=[("authorization", "Bearer secret")])]
        assert len(frames(shown)) == 30


async def test_a_model_without_emotions_is_not_sent_one():
    parameters = Recipe(emotional=False).strings() | {"model": "another"}
    async with opened(parameters=parameters) as (port, transport):
        assert not (await port.ask(wav(1), emotion_level=0))[0].error_message
        assert "LEVEL" not in transport.sent[0][0]


@given(st.floats(2**-10, 60, width=32), st.lists(st.integers(1, 400), max_size=8))
def test_however_blocks_come_each_frame_is_in_one_chunk(step, sizes):
    chunks = Chunks("x", step)
    weights = np.arange(sum(sizes), dtype=np.float32)[:, None].repeat(52, axis=1)
    answers = []
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        answers += chunks.push(weights[end - size : end])
    answers.append(chunks.flush())
    assert [answer.chunk_index for answer in answers] == list(range(len(answers)))
    assert [answer.is_final for answer in answers] == [False] * (len(answers) - 1) + [True]
    numbers = [frame.blendshapes[0] for answer in answers for frame in answer.frames]
    assert numbers == list(range(sum(sizes)))
    assert all(len(answer.frames) for answer in answers) or not sizes
    for answer in answers[1:]:
        if step > 1 / FPS:
            assert answer.frames[0].timecode == pytest.approx(answer.chunk_index * step, abs=1 / FPS)


@given(st.floats(width=32), st.floats(width=32))
def test_chunks_always_move_on(duration, overlap):
    asked = Asked.of(REQUEST(chunk_duration=duration, chunk_overlap=overlap))
    assert asked.step_s > 0
    assert math.isfinite(asked.step_s)
    assert Asked.of(REQUEST(chunk_duration=-1, chunk_overlap=-1)).step_s == 24.5


async def test_a_caller_that_takes_no_answers_gives_its_place_back():
    async with opened(send_timeout_s=0.3) as (port, transport):
        call = port.call(wav(600))
        while not transport.sent or port.service.bodies.held:
            await asyncio.sleep(0.02)
        call.cancel()
        assert len(frames(await port.ask(wav(1)))) == 30

"""The lip-sync server's doors: gRPC and its binary WebSocket give the same pictures, and errors in words."""

import asyncio
import io
import json
import socket
import ssl
import struct
import time
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
import trustme
import websockets
from fake_renderers import FakeRenderers
from hypothesis import given
from hypothesis import strategies as st
from lipsync_packages import FEATURES, package
from PIL import Image

from emotalk_avatar.renderers.mel import mel, windows
from emotalk_avatar.renderers.sitting import sitting_of
from emotalk_avatar.seed_package import imported
from emotalk_avatar.store import AvatarStore
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import ServerUnavailable
from emotalk_gateway.grpc.lipsync.door import lipsync_door
from emotalk_gateway.grpc.lipsync.service import NAME
from emotalk_gateway.grpc.messages import service
from emotalk_gateway.lipsync import dialect
from emotalk_gateway.lipsync.door import LipSyncSocketDoor
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.service import lipsync as core
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.errors import InvalidMessage
from emotalk_gateway.service.lipsync import LipSync
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.settings import GatewaySettings
from emotalk_gateway.service.tokens import Token, digest, save

pytestmark = pytest.mark.server

LIMIT_S = 60
CHUNK = 1280
"""Bytes of 40 ms in int16."""


@pytest.fixture(scope="module")
def drafts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    return [
        imported(package(folder / "one"), "Sanders", "ada"),
        imported(package(folder / "two", features=0), "Mute", "bob"),
    ]


@pytest.fixture(autouse=True, scope="module")
def read_once():
    """Decoding a clip starts a process: each is decoded once for all these tests."""
    kept = {}

    def read(metadata, files):
        key = metadata.name
        if key not in kept:
            kept[key] = sitting_of(metadata, files)
        return kept[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(core, "sitting_of", read)
        yield


class Port:
    """The doors of a gateway, and callers of them."""

    def __init__(self, channel, target, url, gateway, transport, lipsync, ids):
        self.target = target
        self.channel, self.url, self.service, self.transport = channel, url, gateway, transport
        self.lipsync, self.ids = lipsync, ids

    async def ask(self, method, metadata=None, **fields):
        request, answer, *_ = service(NAME)[method]
        call = self.channel.unary_unary(f"/{NAME}/{method}", request.SerializeToString, answer.FromString)
        return await call(request(**fields), timeout=LIMIT_S, metadata=metadata)

    def stream(self):
        request, answer, *_ = service(NAME)["StreamInference"]
        call = self.channel.stream_stream(f"/{NAME}/StreamInference", request.SerializeToString, answer.FromString)
        return request, call(timeout=LIMIT_S)


@asynccontextmanager
async def opened(tmp_path, drafts, served=None, **settings):
    store = AvatarStore(tmp_path / "avatars")
    ids = [store.add(draft).id for draft in drafts]
    transport = FakeRenderers() if served is None else FakeRenderers(served)
    client = AsyncEmoTalkClient("fake:1", transport=transport, retries=0)
    gateway = Service(GatewaySettings(avatars=store.folder, **settings), client)
    lipsync = LipSync(gateway)
    doors = [
        lipsync_door(gateway, lipsync, "127.0.0.1", 0),
        LipSyncSocketDoor(gateway, lipsync, "127.0.0.1", 0),
    ]
    assert await doors[0].open() == f"lip-sync 127.0.0.1:{doors[0].port}"
    assert await doors[1].open() == f"lip-sync WebSocket http://127.0.0.1:{doors[1].port}"
    try:
        target = f"127.0.0.1:{doors[0].port}"
        async with grpc.aio.insecure_channel(target) as channel:
            yield Port(channel, target, f"ws://127.0.0.1:{doors[1].port}/ws", gateway, transport, lipsync, ids)
    finally:
        gateway.stopping.set()
        for door in doors:
            await door.close()
        await client.close()


@pytest.fixture
async def port(tmp_path, drafts):
    async with opened(tmp_path, drafts) as found:
        yield found


def opened_jpeg(content):
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture)


def request(name, frame_id, sound=b""):
    text = name.encode()
    return struct.pack("<I", len(text)) + text + struct.pack("<II", frame_id, len(sound)) + sound


def parsed(answer):
    """A picture as the servers' clients read it."""
    kind, frame_id, ms, size = struct.unpack_from("<BIII", answer)
    body = answer[13 : 13 + size]
    if kind == dialect.ERROR:
        assert len(answer) == 13 + size
        return body.decode()
    assert kind == dialect.PICTURE
    (corners,) = struct.unpack_from("<I", answer, 13 + size)
    assert len(answer) == 13 + size + 4 + corners
    return frame_id, ms, body, struct.unpack("<4f", answer[17 + size :])


# Pictures ------------------------------------------------------------------------------------------


async def test_a_frame_of_the_avatars_own_sound(port):
    found = await port.ask("GenerateInference", model_name="Sanders", frame_id=3)
    assert found.success, found.error
    assert (found.model_name, found.frame_id, found.prediction_shape) == ("Sanders", 3, "320x320x3")
    assert list(found.bounds) == [36, 40, 116, 120]
    assert not found.HasField("error")
    pixels = opened_jpeg(found.prediction_data)
    assert pixels.shape == (320, 320, 3)
    _, inputs = port.transport.asked_of[-1]
    assert inputs["FEATURES"].shape == (1, 16, 512)
    assert (inputs["FEATURES"][0, :5] == 0).all()  # five of the eight before frame 3 are before the beginning
    assert (inputs["FEATURES"][0, 5:16] != 0).all()
    assert inputs["CROP"].shape == (1, 6, 320, 320)


async def test_both_doors_give_the_same(port):
    over_grpc = await port.ask("GenerateInference", model_name=port.ids[0], frame_id=5)
    async with websockets.connect(port.url) as socket:
        await socket.send(request(port.ids[0], 5))
        frame_id, _, jpeg, bounds = parsed(await socket.recv())
    assert (frame_id, jpeg, list(bounds)) == (5, over_grpc.prediction_data, list(over_grpc.bounds))


async def test_the_avatars_frames_are_walked_to_and_fro(port):
    answer = await port.ask("GenerateBatchInference", model_name="Sanders", frame_ids=range(FEATURES))
    lefts = [int(one.bounds[0]) for one in answer.responses]
    assert lefts == [30 + 2 * k for k in (0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1)]
    assert answer.avg_frame_time_ms == answer.total_processing_time_ms / FEATURES


async def test_each_of_a_batch_has_its_own_error(port):
    answer = await port.ask("GenerateBatchInference", model_name="Sanders", frame_ids=[0, 99, -1, 1])
    assert [one.success for one in answer.responses] == [True, False, False, True]
    assert answer.responses[1].error == "UnknownPicture: the frame is 99; accepted: 0..11"


@pytest.mark.parametrize("kind", ["<i2", "<f4"])
async def test_sound_comes_with_the_request(port, kind):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2 + 15) * 640)
    given = (sound * 2**15).round().astype(kind) if kind == "<i2" else sound.astype(kind)
    size = 640 * given.itemsize
    chunks = [given.tobytes()[at : at + size] for at in range(0, 17 * size, size)]
    answer = await port.ask(
        "GenerateBatchWithAudio", model_name="Mute", start_frame_id=4, frame_count=2, audio_chunks=chunks
    )
    assert [one.success for one in answer.responses] == [True, True], answer
    assert [one.frame_id for one in answer.responses] == [4, 5]
    heard = np.concatenate([inputs["MEL"] for name, inputs in port.transport.asked_of if name == "ave"])
    assert heard.shape == (17, 1, 80, 16)
    expected = windows(mel(sound), 17)
    assert max(np.abs(heard - one).max((1, 2, 3)).min() for one in expected) < 0.05  # in any order


async def test_sound_over_the_socket(port):
    sound = np.random.default_rng(0).integers(-9_000, 9_000, 16 * 640).astype("<i2").tobytes()
    async with websockets.connect(port.url) as socket:
        await socket.send(request("Mute", 0, sound))
        frame_id, _, jpeg, _ = parsed(await socket.recv())
    assert frame_id == 0
    assert opened_jpeg(jpeg).shape == (320, 320, 3)


async def test_a_stream_is_answered_one_for_one(port):
    asked, call = port.stream()
    for frame_id in (3, -5, 4):
        await call.write(asked(model_name="Sanders", frame_id=frame_id))
        answer = await call.read()
        assert answer.frame_id == frame_id
        assert answer.success == (frame_id > 0)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_frames_of_the_avatar_itself(port):
    shapes = {}
    for kind in ("full_body", "face_regions", "masked_regions"):
        found = await port.ask("GetVideoFrame", model_name="Sanders", frame_id=2, video_type=kind)
        assert found.success, found.error
        shapes[kind] = opened_jpeg(found.frame_data)
    assert [one.shape for one in shapes.values()] == [(160, 160, 3), (328, 328, 3), (328, 328, 3)]
    assert shapes["masked_regions"][20:300, 20:310].max() < 20
    assert shapes["face_regions"][20:300, 20:310].mean() > 20
    found = await port.ask("GetVideoFrame", model_name="Sanders", frame_id=2, video_type="x" * 5000)
    assert not found.success
    assert found.error.startswith("UnknownPicture: the video type is 'xxx")
    assert len(found.error) < 1000


async def test_what_is_told_of_avatars(port):
    assert (await port.ask("ListModels")).count == 0
    loaded = await port.ask("LoadPackage", package_name="anything", package_dir=f"/srv/elsewhere/{port.ids[0]}/")
    assert loaded.success, loaded.error
    assert list(loaded.audio_features_shape) == [FEATURES, 512]
    assert loaded.frame_count == FEATURES
    assert list((await port.ask("ListModels")).loaded_models) == [port.ids[0]]
    for frame_id in range(3):
        await port.ask("GenerateInference", model_name="Sanders", frame_id=frame_id)
    stats = await port.ask("GetStats", model_name="Sanders")
    assert stats.total_requests == 3
    assert 0 < stats.min_inference_time_ms <= stats.avg_inference_time_ms <= stats.max_inference_time_ms
    assert (await port.ask("GetStats", model_name="nobody")).total_requests == 0
    facts = await port.ask("GetModelMetadata", model_name="Sanders")
    assert facts.success
    assert list(facts.bounds) == [30, 40, 110, 120]
    health = await port.ask("HealthCheck")
    assert health.healthy
    assert health.loaded_models == 1


# Refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", "UnknownAvatar: no avatar is called 'nobody'"),
        ("", "UnknownAvatar"),
        ("../../etc/passwd", "UnknownAvatar"),
        ("/", "UnknownAvatar"),
        ("a" * 26, "UnknownAvatar"),
        ("x" * 100_000, "UnknownAvatar"),
        ("\x00\u202e", "UnknownAvatar"),
    ],
)
async def test_an_avatar_that_is_not_there(port, name, said):
    for answer in (
        await port.ask("GenerateInference", model_name=name),
        await port.ask("GetModelMetadata", model_name=name),
        await port.ask("LoadPackage", package_name=name, package_dir=name),
        await port.ask("GetVideoFrame", model_name=name, video_type="full_body"),
    ):
        assert not answer.success
        assert answer.error.startswith(said)
        assert len(answer.error) < 1000


async def test_an_avatar_without_sound_says_what_to_do(port):
    answer = await port.ask("GenerateInference", model_name="Mute", frame_id=0)
    assert answer.error.startswith("UnknownPicture: no sound came with avatar")


@pytest.mark.parametrize(
    ("count", "chunks", "said"),
    [
        (0, [], "frame_count is 0; accepted: 1..250"),
        (-1, [], "frame_count is -1"),
        (2**31 - 1, [], "frame_count is 2147483647"),
        (1, [bytes(CHUNK)] * 15, "15 chunks of sound came for 1 frames; accepted: 16"),
        (1, [bytes(CHUNK)] * 15 + [b""], "chunks of sound have [0, 1280] bytes"),
        (1, [bytes(100)] * 16, "accepted: 1280 (int16) or 2560 (float32)"),
        (1, [np.full(640, np.nan, "<f4").tobytes()] * 16, "samples that are not numbers"),
    ],
)
async def test_sound_that_does_not_fit(port, count, chunks, said):
    answer = await port.ask("GenerateBatchWithAudio", model_name="Mute", frame_count=count, audio_chunks=chunks)
    assert [one.success for one in answer.responses] == [False]
    assert said in answer.responses[0].error
    async with websockets.connect(port.url) as socket:
        for sound in (b"x", bytes(16 * 100), bytes(16 * CHUNK + 16)):
            await socket.send(request("Mute", 0, sound))
            assert parsed(await socket.recv()).startswith("InvalidMessage: ")


async def test_a_start_before_the_beginning(port):
    answer = await port.ask(
        "GenerateBatchWithAudio", model_name="Mute", start_frame_id=-1, frame_count=1, audio_chunks=[bytes(CHUNK)] * 16
    )
    assert answer.responses[0].error == "UnknownPicture: start_frame_id is -1; accepted: 0 and more"


async def test_too_many_frames_at_once(port):
    answer = await port.ask("GenerateBatchInference", model_name="Sanders", frame_ids=[0] * 251)
    assert len(answer.responses) == 1
    assert "251 frames are asked for; accepted: at most 250" in answer.responses[0].error


async def test_a_message_beyond_50_mib_is_refused_and_the_next_is_served(port):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await port.ask("GenerateBatchWithAudio", model_name="Mute", frame_count=1, audio_chunks=[bytes(51 * 2**20)])
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await port.ask("GenerateInference", model_name="Sanders")).success


async def test_a_server_without_renderers(tmp_path, drafts):
    async with opened(tmp_path, drafts, served=()) as port:
        answer = await port.ask("GenerateInference", model_name="Sanders")
        assert answer.error.startswith("ModelMissing: the face server lacks a model")
        async with websockets.connect(port.url) as socket:
            await socket.send(request("Sanders", 0))
            assert parsed(await socket.recv()).startswith("ModelMissing")


async def test_two_avatars_of_one_name_are_told_apart_by_their_ids(tmp_path, drafts):
    async with opened(tmp_path, [drafts[0], drafts[0]]) as port:
        answer = await port.ask("GenerateInference", model_name="Sanders")
        assert "2 avatars are called 'Sanders'; accepted: an id" in answer.error
        assert (await port.ask("GenerateInference", model_name=port.ids[1])).success


async def test_nobody_sees_the_avatars_of_others(tmp_path, drafts):
    scopes = {"ada": "avatars", "bob": "avatars", "eve": "live"}
    file = tmp_path / "tokens.json"
    save(file, [Token(Caller(name, frozenset({one})), digest(name[0] * 40)) for name, one in scopes.items()])
    async with opened(tmp_path, drafts, tokens=file) as port:
        shown = {name: [("authorization", f"Bearer {name[0] * 40}")] for name in scopes}
        assert (await port.ask("GenerateInference", shown["ada"], model_name="Sanders")).success
        for name in ("Sanders", port.ids[0]):
            answer = await port.ask("GenerateInference", shown["bob"], model_name=name)
            assert answer.error.startswith("UnknownAvatar")
        assert (await port.ask("ListModels", shown["ada"])).count == 1
        assert (await port.ask("ListModels", shown["bob"])).count == 0
        assert (await port.ask("GetStats", shown["bob"], model_name="Sanders")).total_requests == 0
        for metadata, code in ((None, "UNAUTHENTICATED"), (shown["eve"], "PERMISSION_DENIED")):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await port.ask("ListModels", metadata)
            assert raised.value.code() is grpc.StatusCode[code]
        async with websockets.connect(port.url) as socket:
            assert parsed(await socket.recv()).startswith("NotAuthorised")
        headers = {"authorization": f"Bearer {'a' * 40}"}
        async with websockets.connect(port.url, additional_headers=headers) as socket:
            await socket.send(request("Sanders", 0))
            assert parsed(await socket.recv())[0] == 0


async def test_a_gateway_without_avatars():
    client = AsyncEmoTalkClient("fake:1", transport=FakeRenderers())
    lipsync = LipSync(Service(GatewaySettings(), client))
    with pytest.raises(Exception, match="this gateway has no avatars"):
        await lipsync.load(Caller("a"), "Sanders")
    await client.close()


async def test_as_many_as_are_admitted(tmp_path, drafts, monkeypatch):
    monkeypatch.setattr(core, "MOST_AT_ONCE", 2)
    async with opened(tmp_path, drafts) as port:
        await port.ask("LoadPackage", package_name="Sanders")
        port.transport.go.clear()
        asked = [asyncio.ensure_future(port.ask("GenerateInference", model_name="Sanders")) for _ in range(3)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=LIMIT_S)
        (full,) = done
        assert full.result().error.startswith("GatewayFull")
        port.transport.go.set()
        assert sum(one.success for one in await asyncio.gather(*asked)) == 2


async def test_a_caller_that_leaves_makes_room(tmp_path, drafts, monkeypatch):
    monkeypatch.setattr(core, "MOST_AT_ONCE", 1)
    async with opened(tmp_path, drafts) as port:
        await port.ask("LoadPackage", package_name="Sanders")
        port.transport.go.clear()
        before = len(port.transport.asked_of)
        asked = asyncio.ensure_future(port.ask("GenerateInference", model_name="Sanders"))
        while len(port.transport.asked_of) == before:
            await asyncio.sleep(0.01)
        asked.cancel()
        port.transport.go.set()
        while not (answer := await port.ask("GenerateInference", model_name="Sanders")).success:
            assert answer.error.startswith("GatewayFull")
            await asyncio.sleep(0.01)


async def test_what_takes_too_long_says_so(tmp_path, drafts):
    async with opened(tmp_path, drafts, request_timeout_s=0.2) as port:
        port.transport.go.clear()
        answer = await port.ask("GenerateInference", model_name="Sanders")
        assert answer.error.startswith(("RequestTooSlow", "DeadlineExceeded"))
        port.transport.go.set()


async def test_a_server_that_is_gone(port):
    async def gone(*_, **__):
        raise ServerUnavailable("secret address")

    port.transport.infer = gone
    answer = await port.ask("GenerateInference", model_name="Sanders")
    assert answer.error == "ServerUnavailable: the face server cannot be reached; try again later"


async def test_only_some_avatars_are_kept_in_memory(tmp_path, drafts, monkeypatch):
    monkeypatch.setattr(core, "KEPT_BYTES", 1)
    async with opened(tmp_path, drafts) as port:
        for name in ("Sanders", "Mute", "Sanders"):
            assert (await port.ask("LoadPackage", package_name=name)).success
            assert (await port.ask("ListModels")).count == 1


async def test_an_avatar_that_was_deleted_is_gone(port):
    assert (await port.ask("LoadPackage", package_name="Sanders")).success
    port.service.avatars.store.delete(port.ids[0])
    assert (await port.ask("GenerateInference", model_name="Sanders")).error.startswith("UnknownAvatar")


# The socket ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"x",
        bytes(11),
        b"\xff" * 12,
        struct.pack("<I", 2**32 - 1) + bytes(20),
        struct.pack("<I", 3) + b"\xff\xfe\xfd" + bytes(8),
        request("Sanders", 0)[:-1],
        request("Sanders", 0) + b"x",
        request("Sanders", 0)[:-4] + struct.pack("<I", 2**31),
        request("x" * 2000, 0),
        request("Sanders", 2**32 - 1),
        b"\x07Sanders" + struct.pack("<I", 0),  # the other dialect
    ],
)
async def test_a_bad_message_is_answered_and_the_next_is_served(port, bad):
    async with websockets.connect(port.url) as socket:
        await socket.send(bad)
        assert isinstance(parsed(await socket.recv()), str)
        await socket.send(request("Sanders", 1))
        assert parsed(await socket.recv())[0] == 1


@given(content=st.binary(max_size=60))
def test_any_bytes_are_a_request_or_refused(content):
    try:
        found = dialect.parsed(content)
    except InvalidMessage:
        return
    assert request(found.name, found.frame_id, found.sound) == content


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{", "InvalidMessage: a text message is not JSON"),
        ("[" * 100_000, "InvalidMessage"),
        ("[]", "not an object"),
        ('{"type": "dance"}', "type is not known"),
        ('{"model_name": 3}', "a text and a whole number"),
        ('{"model_name": "Sanders", "frame_id": true}', "a text and a whole number"),
        ('{"model_name": "Sanders", "frame_id": -1}', "frame_id is -1"),
        ('{"model_name": "Sanders", "frame_id": 99999999999999}', "frame_id is 99999999999999"),
        ('{"type": "get_video_frame", "model_name": "Sanders", "video_type": 5}', "the video type is"),
    ],
)
async def test_json_that_is_not_understood(port, said, expected):
    async with websockets.connect(port.url) as socket:
        await socket.send(said)
        answer = json.loads(await socket.recv())
        assert answer["type"] == "error"
        assert expected in answer["error"]
        await socket.send(json.dumps({"model_name": "Sanders", "frame_id": 1}))
        answer = json.loads(await socket.recv())
        assert answer["success"]
        assert answer["bounds"] == [32, 40, 112, 120]


async def test_json_tells_what_is_loaded(port):
    async with websockets.connect(port.url) as socket:
        await socket.send(json.dumps({"type": "get_metadata", "model_name": "Sanders"}))
        assert json.loads(await socket.recv())["frame_count"] == FEATURES
        await socket.send(json.dumps({"type": "get_models"}))
        assert json.loads(await socket.recv())["models"] == [port.ids[0]]
        await socket.send(json.dumps({"type": "get_stats"}))
        assert json.loads(await socket.recv())["models"][port.ids[0]]["total_requests"] == 0
        await socket.send(json.dumps({"type": "get_video_frame", "model_name": "Sanders", "frame_id": 1}))
        answer = await socket.recv()
        kind, frame_id, length = struct.unpack_from("<BIB", answer)
        assert (kind, frame_id, answer[6 : 6 + length]) == (dialect.FRAME, 1, b"full_body")
        assert opened_jpeg(answer[10 + length :]).shape == (160, 160, 3)


async def test_a_page_of_another_origin_is_refused(port):
    async with websockets.connect(port.url, origin="https://evil.example") as socket:
        assert parsed(await socket.recv()).startswith("OriginNotAllowed")


async def test_another_host_is_refused(port):
    with pytest.raises(websockets.InvalidStatus):
        async with websockets.connect(port.url, additional_headers={"Host": "evil.example"}):
            pass


async def test_a_caller_that_says_nothing_is_let_go_of(tmp_path, drafts):
    async with opened(tmp_path, drafts, stream_idle_s=0.1) as port:
        async with websockets.connect(port.url) as socket:
            assert parsed(await socket.recv()).startswith("StreamIdle")
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
        asked, call = port.stream()
        await call.write(asked(model_name="Sanders"))
        assert (await call.read()).success
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_sockets_are_counted_among_the_streams(tmp_path, drafts):
    async with opened(tmp_path, drafts, max_streams=1) as port, websockets.connect(port.url) as first:
        await first.send(request("Sanders", 0))
        await first.recv()
        async with websockets.connect(port.url) as second:
            assert parsed(await second.recv()).startswith("GatewayFull")


async def test_a_larger_message_ends_that_connection_only(port):
    async with websockets.connect(port.url) as socket:
        await socket.send(bytes(2**18 + 1))
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
    async with websockets.connect(port.url) as socket:
        await socket.send(request("Sanders", 0))
        assert parsed(await socket.recv())[0] == 0


async def test_the_gateway_that_stops_says_so(port):
    async with websockets.connect(port.url) as socket:
        await socket.send(request("Sanders", 0))
        await socket.recv()
        port.service.stopping.set()
        assert parsed(await socket.recv()).startswith("GatewayStopping")


async def gone(port):
    """Wait until nobody is served any more."""
    until = time.monotonic() + LIMIT_S
    while port.service.streams.admitted:
        assert time.monotonic() < until, "somebody is still being served"
        await asyncio.sleep(0.02)


async def test_a_socket_that_is_not_read_is_let_go_of(tmp_path, drafts):
    async with opened(tmp_path, drafts, send_timeout_s=0.3) as port:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", int(port.url.rpartition(":")[2].partition("/")[0])))
        async with websockets.connect(port.url, sock=raw, max_queue=1) as unread:
            asked = json.dumps({"type": "get_video_frame", "model_name": "Sanders"})
            sending = asyncio.ensure_future(send_all(unread, [asked] * 1000))
            while not port.service.streams.admitted:
                await asyncio.sleep(0.01)
            await gone(port)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            unread.transport.abort()
        async with websockets.connect(port.url) as other:
            await other.send(request("Sanders", 0))
            assert parsed(await other.recv())[0] == 0


async def send_all(connection, messages):
    for one in messages:
        await connection.send(one)


async def test_a_stream_that_is_not_read_is_let_go_of(tmp_path, drafts):
    async with opened(tmp_path, drafts, send_timeout_s=0.3) as port:
        other, port.channel = port.channel, grpc.aio.insecure_channel(port.target, [("grpc.http2.bdp_probe", 0)])
        asked, call = port.stream()

        async def write():
            for _ in range(2000):
                await call.write(asked(model_name="Sanders", frame_id=1))

        writing = asyncio.ensure_future(write())
        until = time.monotonic() + LIMIT_S
        while b'rejections_total{error="RequestTooSlow"} 1.0' not in port.service.metrics.exposition():
            assert time.monotonic() < until, "it is still being served"
            await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await port.channel.close()
        port.channel = other
        assert (await port.ask("GenerateInference", model_name="Sanders")).success


async def test_both_doors_speak_tls(tmp_path, drafts):
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = DoorTls(tmp_path / "cert.pem", tmp_path / "key.pem")
    store = AvatarStore(tmp_path / "avatars")
    store.add(drafts[0])
    client = AsyncEmoTalkClient("fake:1", transport=FakeRenderers(), retries=0)
    gateway = Service(GatewaySettings(avatars=store.folder), client)
    lipsync = LipSync(gateway)
    doors = [
        lipsync_door(gateway, lipsync, "127.0.0.1", 0, tls),
        LipSyncSocketDoor(gateway, lipsync, "127.0.0.1", 0, tls),
    ]
    try:
        assert "https://" in [await door.open() for door in doors][1]
        trusted = ssl.create_default_context()
        authority.configure_trust(trusted)
        async with websockets.connect(f"wss://127.0.0.1:{doors[1].port}", ssl=trusted) as connection:
            await connection.send(request("Sanders", 1))
            assert parsed(await connection.recv())[0] == 1
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        async with grpc.aio.secure_channel(f"127.0.0.1:{doors[0].port}", credentials) as channel:
            port = Port(channel, "", "", gateway, None, lipsync, [])
            assert (await port.ask("GenerateInference", model_name="Sanders")).success
    finally:
        gateway.stopping.set()
        for door in doors:
            await door.close()
        await client.close()

"""A gRPC server as a door: addresses, access, health, its end, and errors that reach their caller."""

import asyncio
from contextlib import asynccontextmanager

import fake
import grpc
import pytest

from emotalk_contract.errors import UnknownOption
from emotalk_gateway.grpc import health
from emotalk_gateway.grpc.messages import message, service
from emotalk_gateway.grpc.serving import GrpcDoor, Served
from emotalk_gateway.listening.tls import DoorTls, tls_of
from emotalk_gateway.service.errors import AddressInUse, CannotListen, InvalidSettings
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.settings import GatewaySettings

pytestmark = pytest.mark.unit

NAME = "nvidia_ace.services.a2f_controller.v1.A2FControllerService"
STREAM = f"/{NAME}/ProcessAudioStream"
CHECK, WATCH = f"/{health.NAME}/Check", f"/{health.NAME}/Watch"
ANSWER, ASKED = message(health.ANSWER), message("grpc.health.v1.HealthCheckRequest")
SOUND, FACE = message("nvidia_ace.controller.v1.AudioStream"), message("nvidia_ace.controller.v1.AnimationDataStream")
LIMIT_S = 20


@asynccontextmanager
async def opened(handler, script=None, over=lambda request: False, **settings):
    """A door with ``handler``; yield a channel to it, and the service behind it."""
    client, _ = fake.client(script)
    behind = Service(GatewaySettings(**settings), client)
    door = GrpcDoor(behind, "faces", "127.0.0.1", 0, [Served(NAME, {"ProcessAudioStream": handler}, over)])
    said = await door.open()
    assert said == f"faces 127.0.0.1:{door.port}"
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{door.port}") as channel:
            yield channel, behind
    finally:
        behind.stopping.set()
        await door.close()
        await client.close()


def streaming(channel, **more):
    method = channel.stream_stream(STREAM, SOUND.SerializeToString, FACE.FromString)
    return method(timeout=LIMIT_S, **more)


def checking(channel, name="", **more):
    return channel.unary_unary(CHECK, ASKED.SerializeToString, ANSWER.FromString)(
        ASKED(service=name), timeout=LIMIT_S, **more
    )


async def echo(call):
    sizes = asyncio.Queue()
    hearing = asyncio.ensure_future(
        call.each(lambda request: sizes.put_nowait(len(request.audio_with_emotion.audio_buffer)))
    )
    hearing.add_done_callback(lambda _: sizes.put_nowait(None))
    while (size := await sizes.get()) is not None:
        await call.write(FACE(status={"message": str(size)}))


async def refusing(call):
    await call.first(LIMIT_S)
    raise UnknownOption("unknown option 'x'; accepted: y")


def block(size=2):
    return SOUND(audio_with_emotion={"audio_buffer": bytes(size)})


async def test_messages_go_both_ways():
    async with opened(echo) as (channel, _):
        call = streaming(channel)
        for size in (0, 3, 100_000):
            await call.write(block(size))
            assert (await call.read()).status.message == str(size)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_an_error_reaches_a_caller_that_writes_all_before_it_reads():
    async with opened(refusing, over=lambda request: request.WhichOneof("stream_part") == "end_of_audio") as (
        channel,
        behind,
    ):
        call = streaming(channel)
        for _ in range(200):
            await call.write(block(10_000))
        await call.write(SOUND(end_of_audio={}))  # and no half-close
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await call.read()
        assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert told.value.details() == "unknown option 'x'; accepted: y"
        assert b'rejections_total{error="UnknownOption"} 1.0' in behind.metrics.exposition()
        answered = f'requests_total{{route="{STREAM}",status="INVALID_ARGUMENT"}} 1.0'
        while answered.encode() not in behind.metrics.exposition():  # the caller may be told first
            await asyncio.sleep(0.01)


async def test_an_error_ends_the_call_of_a_caller_that_goes_on():
    async with opened(refusing) as (channel, _):
        call = streaming(channel)

        async def speak():
            while not call.done():
                await call.write(block())
                await asyncio.sleep(0.02)

        speaking = asyncio.create_task(speak())
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        await asyncio.gather(speaking, return_exceptions=True)


async def test_a_caller_that_reads_nothing_and_leaves_is_no_error(caplog):
    """While a message waits for room, gRPC has another word for it than it has elsewhere."""
    begun: list[int] = []
    ended = asyncio.Event()

    async def flooding(call):
        try:
            while True:
                begun.append(len(begun))
                await call.write(FACE(status={"message": "x" * 1_000_000}))
        finally:
            ended.set()

    async with opened(flooding) as (channel, behind):
        call = streaming(channel)
        await call.write(block())
        stuck, known = 0, -1
        while stuck < 20:  # turns in which no message was taken
            await asyncio.sleep(0.01)
            stuck = stuck + 1 if begun and len(begun) == known else 0
            known = len(begun)
        call.cancel()
        await ended.wait()
        counted = f'requests_total{{route="{STREAM}",status='
        while counted.encode() not in (figures := behind.metrics.exposition()):
            await asyncio.sleep(0.01)
        assert f'{counted}"CANCELLED"}} 1.0'.encode() in figures
        assert b"rejections_total{" not in figures
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_what_is_no_error_of_ours_is_said_in_fixed_words():
    async def broken(call):
        raise ZeroDivisionError("a secret")

    async with opened(broken) as (channel, _):
        call = streaming(channel)
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.INTERNAL
        assert await call.details() == "the gateway failed; its log says why"


@pytest.mark.parametrize(
    ("shown", "accepted"),
    [(None, False), ("Bearer wrong", False), ("hush", False), ("Bearer hush", True), ("bearer  hush", True)],
)
async def test_a_token(shown, accepted):
    metadata = [("authorization", shown)] if shown else []
    async with opened(echo, token="hush") as (channel, _):
        call = streaming(channel, metadata=metadata)
        await call.done_writing()
        assert await call.code() is (grpc.StatusCode.OK if accepted else grpc.StatusCode.UNAUTHENTICATED)
        assert (await checking(channel)).status == ANSWER.SERVING  # as /health/ready, which asks for none


async def test_a_token_where_none_is_asked_for():
    async with opened(echo) as (channel, _):
        call = streaming(channel, metadata=[("authorization", "Bearer of elsewhere"), ("function-id", "x")])
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK


async def test_health():
    async with opened(echo) as (channel, behind):
        for name in ("", NAME, health.NAME):
            assert (await checking(channel, name)).status == ANSWER.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await checking(channel, "another")
        assert told.value.code() is grpc.StatusCode.NOT_FOUND
        watch = channel.unary_stream(WATCH, ASKED.SerializeToString, ANSWER.FromString)(ASKED(), timeout=LIMIT_S)
        assert (await watch.read()).status == ANSWER.SERVING
        behind.stopping.set()
        assert (await watch.read()).status == ANSWER.NOT_SERVING
        assert await watch.read() is grpc.aio.EOF


async def hung_up(reader):
    """Read until the door closes the connection."""
    while await asyncio.wait_for(reader.read(1000), LIMIT_S):
        pass


async def test_connections_are_bounded_and_so_is_the_time_to_say_something():
    client, _ = fake.client()
    behind = Service(GatewaySettings(max_connections=3, header_timeout_s=2), client)
    door = GrpcDoor(behind, "faces", "127.0.0.1", 0, [])
    await door.open()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{door.port}") as channel:
        assert (await checking(channel)).status == ANSWER.SERVING
        lines = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(5)]
        began = asyncio.get_running_loop().time()
        took = []
        for reader, _ in reversed(lines):
            await hung_up(reader)
            took.append(asyncio.get_running_loop().time() - began)
        assert took[0] < 1  # beyond the bound
        assert took[-1] > 1  # within it, and silent
        assert (await checking(channel)).status == ANSWER.SERVING
        for _, writer in lines:
            writer.close()
    behind.stopping.set()
    await door.close()
    await client.close()


async def test_other_services_are_unimplemented():
    async with opened(echo) as (channel, _):
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await channel.unary_unary("/nvidia_ace.services.a2f.v1.A2FService/PushAudioStream")(b"", timeout=LIMIT_S)
        assert told.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_stopping_gateway_is_unavailable():
    async with opened(echo) as (channel, behind):
        behind.stopping.set()
        call = streaming(channel)
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_door_that_cannot_open():
    client, _ = fake.client()
    behind = Service(GatewaySettings(), client)
    first = GrpcDoor(behind, "faces", "127.0.0.1", 0, [])
    await first.open()
    for kind, host, port in (
        (AddressInUse, "127.0.0.1", first.port),
        (CannotListen, "203.0.113.1", 0),
    ):
        second = GrpcDoor(behind, "faces", host, port, [], option="--faces-port")
        with pytest.raises(kind):
            await second.open()
        await second.close()
    await first.close()
    await client.close()


@pytest.mark.parametrize("text", [None, "nothing of the kind"])
async def test_a_certificate_that_is_none(tmp_path, text):
    client, _ = fake.client()
    path = tmp_path / "key.pem"
    if text:
        path.write_text(text)
    door = GrpcDoor(Service(GatewaySettings(), client), "faces", "127.0.0.1", 0, [], tls=DoorTls(path, path))
    with pytest.raises(InvalidSettings, match=r"key\.pem.*accepted: files in PEM"):
        await door.open()
    await door.close()
    await client.close()


def test_half_of_tls(tmp_path):
    assert tls_of(None, None, None) is None
    for given in ((tmp_path, None, None), (None, tmp_path, None), (None, None, tmp_path)):
        with pytest.raises(InvalidSettings, match="accepted"):
            tls_of(*given)


def test_every_service_of_the_protos_has_messages():
    assert set(service(NAME)) == {"ProcessAudioStream"}
    assert service(health.NAME)["Watch"] == (ASKED, ANSWER, False, True)
    with pytest.raises(KeyError):
        message("nvidia_ace.nothing")

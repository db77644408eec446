"""Audio2Face-3D's parameters act on the face, its configuration and its certificates, with NVIDIA's own stubs."""

import asyncio
import os
import signal

import grpc
import numpy as np
import pytest
import trustme
from a2fcallers import answered, begun, channel, ended, nvidia, opened, pipecat, sample_app, spoken, target, unreal

from emotalk_client import AsyncEmoTalkClient
from emotalk_contract.arkit import APPLE_ORDER, columns
from emotalk_gateway.grpc.audio2face.door import audio2face_door
from emotalk_gateway.listening.tls import DoorTls
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

RATE = 16_000
JAW, SMILE, BLINK = (APPLE_ORDER.index(name) for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft"))


@pytest.fixture(scope="module")
def said(pcm):
    return pcm(3)


async def weights(gateway, said, emotions=(), **parts):
    async with channel(gateway) as line:
        heard = await sample_app(line, said, RATE, emotions, **parts)
    assert heard.code is grpc.StatusCode.OK, heard.text
    return heard.weights


def shapes(**values):
    return {"blendshape_params": values}


async def test_a_multiplier_of_nothing_gives_nothing(faces, said):
    names = [name[0].upper() + name[1:] for name in APPLE_ORDER]
    found = await weights(faces, said, **shapes(bs_weight_multipliers=dict.fromkeys(names, 0.0)))
    assert not found.any()


async def test_multipliers_offsets_and_clamping(faces, said):
    plain = await weights(faces, said)
    doubled = await weights(faces, said, **shapes(bs_weight_multipliers={"JawOpen": 2.0}))
    assert np.allclose(doubled[:, JAW], 2 * plain[:, JAW], atol=1e-5)
    moved = shapes(bs_weight_offsets={"JawOpen": -2.0}, bs_weight_multipliers={"TongueTipUp": 0.0})
    low = await weights(faces, said, **moved)
    assert np.allclose(low[:, JAW], plain[:, JAW] - 2, atol=1e-5)
    assert np.array_equal(np.delete(low, JAW, 1), np.delete(plain, JAW, 1))
    moved["blendshape_params"]["enable_clamping_bs_weight"] = True
    clamped = await weights(faces, said, **moved)
    assert (clamped[:, JAW] == 0).all()
    assert ((clamped >= 0) & (clamped <= 1)).all()


STRONG = {"emotion_post_processing_params": {"preferred_emotion_strength": 1.0, "emotion_strength": 1.0}}


async def test_an_emotion_comes_at_its_time_and_not_before(faces, said):
    plain = await weights(faces, said)
    parts = STRONG | {"emotion_params": {"live_transition_time": 0.0001}}
    felt = await weights(faces, said, [(0.0, {}), (1.5, {"joy": 1.0, "unheard": 1.0})], **parts)
    assert np.array_equal(felt[:45], plain[:45])
    assert (felt[46:, SMILE] > plain[46:, SMILE] + 0.2).all()


async def test_a_beginning_emotion_and_the_end_of_it(faces, said):
    plain = await weights(faces, said)
    parts = STRONG | {"emotion_params": {"beginning_emotion": {"joy": 1.0}, "live_transition_time": 0.2}}
    felt = await weights(faces, said, [(1.0, {})], **parts)
    assert (felt[:30, SMILE] > plain[:30, SMILE] + 0.2).all()
    assert np.array_equal(felt[40:], plain[40:])


async def test_emotions_are_told_beside_the_frames(faces, said):
    async with channel(faces) as line:
        heard = await sample_app(line, said, RATE, [(0.0, {"joy": 1.0})], **STRONG)
    sent = [one for _, told in heard.emotions for one in told.input_emotions]
    assert [(one.time_code, dict(one.emotion)) for one in sent] == [(0.0, {"joy": 1.0})]
    shown = [(time, one) for time, told in heard.emotions for one in told.a2f_smoothed_output]
    assert len(shown) == 9
    assert all(one.time_code == time for time, one in shown)
    assert shown[0][1].emotion["joy"] == 0
    assert shown[-1][1].emotion["joy"] == 1
    assert not any(told.a2e_output for _, told in heard.emotions)


async def test_emotions_that_come_while_it_speaks(faces, pcm):
    said = pcm(4)
    async with channel(faces) as line:
        call = opened(line)
        await call.write(begun(RATE, **STRONG))
        await call.write(spoken(said[:RATE]))
        assert (await call.read()).HasField("animation_data_stream_header")
        assert (await call.read()).HasField("animation_data")  # the face has begun without them
        await call.write(spoken(said[RATE:], [(3.0, {"joy": 1.0})]))
        await call.write(ended())
        heard = await answered(call)
        plain = await pipecat(line, said, RATE)
    lost = len(plain.frames) - len(heard.frames)
    assert np.allclose(heard.weights[: 90 - lost], plain.weights[lost:90], atol=1e-5)
    assert (heard.weights[-10:, SMILE] > plain.weights[-10:, SMILE] + 0.2).all()


async def test_the_configuration(faces):
    stub = nvidia()[3]
    messages = __import__("nvidia_audio2face_3d.a2x_export_config_pb2", fromlist=["x"])
    async with channel(faces) as line:
        answers = stub.A2XExportConfigServiceStub(line).GetConfigs(messages.ConfigsTypeRequest(), timeout=20)
        found = {one.name: one.content async for one in answers}
    assert set(found) == {"stylization_config.yaml", "deployment_config.yaml", "advanced_config.yaml"}
    assert "max_sample_rate: 144000\n" in found["advanced_config.yaml"]


async def test_a_token_that_is_asked_for(faces_to, said):
    with faces_to(token="hush") as gateway:
        async with channel(gateway) as line:
            heard = await sample_app(line, said, RATE)
            assert heard.code is grpc.StatusCode.UNAUTHENTICATED
            assert "the bearer token is missing" in heard.text
            call = opened(line, metadata=[("authorization", "Bearer hush")])
            await call.write(begun(RATE))
            await call.write(spoken(said))
            await call.write(ended())
            assert len((await answered(call)).frames) == 90


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Files of a certificate for 127.0.0.1, its key, and their authority; and a caller's."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    own, callers = authority.issue_cert("127.0.0.1"), authority.issue_cert("caller")
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    for name, one in (("own", own), ("caller", callers)):
        (folder / f"{name}.pem").write_bytes(b"".join(part.bytes() for part in one.cert_chain_pems))
        (folder / f"{name}.key").write_bytes(one.private_key_pem.bytes())
    return folder


@pytest.mark.parametrize("mutual", [False, True])
async def test_tls(gateway_to, certificates, said, mutual):
    def read(name):
        return (certificates / name).read_bytes()

    tls = DoorTls(certificates / "own.pem", certificates / "own.key", certificates / "ca.pem" if mutual else None)
    with gateway_to(doors=lambda service: [audio2face_door(service, "127.0.0.1", 0, tls)]) as gateway:
        known = grpc.ssl_channel_credentials(read("ca.pem"), read("caller.key"), read("caller.pem"))
        async with grpc.aio.secure_channel(target(gateway), known) as line:
            assert len((await pipecat(line, said, RATE)).frames) == 90
        unknown = grpc.aio.secure_channel(target(gateway), grpc.ssl_channel_credentials(read("ca.pem")))
        for refused, line in ((mutual, unknown), (True, channel(gateway))):
            async with line:
                call = opened(line)
                try:
                    await call.write(begun(RATE))
                    await call.write(ended())
                except grpc.aio.AioRpcError:
                    assert refused
                assert (await answered(call)).code is (grpc.StatusCode.UNAVAILABLE if refused else grpc.StatusCode.OK)


async def test_a_face_server_that_stands_still(faces_to, said):
    with EmbeddedServer(supervised=False) as server, faces_to(url=server.grpc_url, request_timeout_s=2) as gateway:
        async with channel(gateway) as line:
            assert (await sample_app(line, said, RATE)).code is grpc.StatusCode.OK
            os.kill(server.process.pid, signal.SIGSTOP)
            try:
                left = opened(line)
                await left.write(begun(RATE))
                await left.write(spoken(said))
                assert (await left.read()).HasField("animation_data_stream_header")
                left.cancel()
                await asyncio.to_thread(gateway.settle)
                heard = await sample_app(line, said, RATE)
                assert heard.code is grpc.StatusCode.DEADLINE_EXCEEDED
                assert heard.text == "the face server did not answer in time"
                assert [status.code for status in heard.statuses] == [3]
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
            assert (await sample_app(line, said, RATE)).code is grpc.StatusCode.OK


async def test_a_network_that_does_not_stream_makes_a_clip_that_is_there_at_once_as_files_are(faces_to, server, pcm):
    said = pcm(6)
    async with AsyncEmoTalkClient(server.grpc_url) as client:
        expected = (await client.animate(said, sample_rate=RATE, clamp=False)).weights[:, columns(APPLE_ORDER)]
    with faces_to(url=server.grpc_url) as gateway:
        assert np.allclose(await weights(gateway, said), expected, atol=1e-5)
        async with channel(gateway) as line:
            heard, times = await unreal(line, said, pace_s=0.035)
            short = await sample_app(line, said[:300], RATE)
    assert len(heard.frames) == len(expected)
    assert np.abs(times - heard.times).max() <= 1 / RATE
    assert len(short.frames) == 1

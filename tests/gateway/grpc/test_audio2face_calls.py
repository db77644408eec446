"""Audio2Face-3D's clients, as they are, against the gateway: NVIDIA's own messages and stubs, a real Triton."""

import asyncio
import time

import grpc
import numpy as np
import pytest
from a2fcallers import (
    answered,
    begun,
    channel,
    ended,
    maya,
    nvidia,
    opened,
    pipecat,
    sample_app,
    seconds,
    spoken,
    target,
    unreal,
)
from waiting import until

from emotalk_contract.arkit import APPLE_ORDER, columns

pytestmark = pytest.mark.server

NAMES = [name[0].upper() + name[1:] for name in APPLE_ORDER]
OK = grpc.StatusCode.OK


def whole(heard, said, rate):
    """All that a client may count on."""
    frames = -(-len(said) * 30 // rate)
    assert heard.kinds == ["animation_data_stream_header", "animation_data", "event", "status"]
    assert (heard.code, heard.text) == (OK, "")
    assert heard.names == NAMES
    assert heard.header.audio_header.samples_per_second == rate
    assert heard.header.audio_header.channel_count == 1
    assert heard.header.audio_header.bits_per_sample == 16
    assert abs(heard.header.start_time_code_since_epoch - time.time()) < 600
    assert heard.times == [frame / 30 for frame in range(frames)]
    assert [frame.audio.time_code for frame in heard.frames] == heard.times
    assert np.array_equal(heard.sound[: len(said)], said)
    assert not heard.sound[len(said) :].any()
    assert len(heard.sound) == frames * rate // 30
    assert [event.event_type for event in heard.events] == [0]
    assert [status.code for status in heard.statuses] == [0]


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000, 144_000])
@pytest.mark.parametrize("length_s", [0.05, 2, 3.77])
async def test_nvidias_sample_application(faces, pcm, thin, rate, length_s):
    said = pcm(length_s, rate)
    async with channel(faces) as line:
        heard = await sample_app(line, said, rate)
    whole(heard, said, rate)
    expected = thin.animate(said, sample_rate=rate, clamp=False).weights[:, columns(APPLE_ORDER)]
    assert np.abs(heard.weights - expected[: len(heard.weights)]).max() <= 0.02


def test_maya_writes_290_seconds_before_it_reads(faces, pcm):
    said = pcm(290)
    whole(maya(target(faces), said), said, 16_000)


async def test_pipecats_first_silence_and_its_utterances(faces, pcm):
    async with channel(faces) as line:
        for said in (np.zeros(800, "<i2"), pcm(2.4), pcm(1)):
            whole(await pipecat(line, said, 16_000), said, 16_000)


async def test_unreals_time_is_the_sound_that_came(faces, pcm):
    said = pcm(60_371 / 16_000)
    assert len(said) == 60_371
    async with channel(faces) as line:
        heard, times = await unreal(line, said, emotions=[{"joy": 0.5}])
    assert len(heard.frames) == 114
    assert len(heard.sound) == 60_800
    assert np.abs(times - heard.times).max() <= 1 / 16_000
    assert heard.code is OK


async def test_ten_calls_at_once_on_one_channel(faces, pcm):
    clips = [pcm(3 + number / 7) for number in range(10)]
    async with channel(faces) as line:
        for said, heard in zip(
            clips, await asyncio.gather(*(sample_app(line, said, 16_000) for said in clips)), strict=True
        ):
            whole(heard, said, 16_000)


async def test_a_clip_without_sound(faces):
    async with channel(faces) as line:
        heard = await sample_app(line, np.zeros(0, "<i2"), 16_000)
    assert heard.kinds == ["animation_data_stream_header", "event", "status"]
    assert heard.code is OK


async def test_samples_may_be_cut_anywhere(faces, pcm):
    said = pcm(1.3)
    messages, *_ = nvidia()
    async with channel(faces) as line:
        call = opened(line)
        await call.write(begun(16_000))
        raw = said.tobytes()
        for start in range(0, len(raw), 4_097):
            part = messages.AudioWithEmotion(audio_buffer=raw[start : start + 4_097])
            await call.write(messages.AudioWithEmotionStream(audio_with_emotion=part))
        await call.write(ended())
        whole(await answered(call), said, 16_000)


async def test_a_caller_that_leaves_is_let_go_of(faces, pcm):
    async with channel(faces) as line:
        call = opened(line)
        await call.write(begun(16_000))
        await call.write(spoken(pcm(2)))
        assert (await call.read()).HasField("animation_data_stream_header")
        assert (await call.read()).HasField("animation_data")
        call.cancel()
        await pipecat(line, pcm(3), 16_000, cancel=True)
        await asyncio.to_thread(faces.settle)
        said = pcm(1)
        whole(await sample_app(line, said, 16_000), said, 16_000)


REFUSED = [
    ({"audio": {"samples_per_second": 8_000}}, "samples_per_second is 8000; accepted: 16000..144000"),
    ({"audio": {"samples_per_second": 192_000}}, "samples_per_second is 192000; accepted: 16000..144000"),
    ({"audio": {"channel_count": 2}}, "channel_count is 2; accepted: 1"),
    ({"audio": {"bits_per_sample": 32}}, "bits_per_sample is 32; accepted: 16"),
]


@pytest.mark.parametrize(("header", "text"), REFUSED, ids=[text.split(";")[0] for _, text in REFUSED])
async def test_a_header_that_cannot_be_is_refused_in_words_that_arrive(faces, pcm, header, text):
    async with channel(faces) as line:
        heard = await sample_app(line, pcm(20), 16_000, **header)
    assert (heard.code, heard.text) == (grpc.StatusCode.INVALID_ARGUMENT, text)


async def test_calls_out_of_order_are_refused(faces, pcm):
    async with channel(faces) as line:
        for first, second, text in (
            (spoken(pcm(1)), None, "the first message is 'audio_with_emotion'; accepted: audio_stream_header"),
            (
                begun(16_000),
                begun(16_000),
                "a message has 'audio_stream_header'; accepted: audio_with_emotion, end_of_audio",
            ),
            (begun(16_000), spoken(pcm(10.1)), "an audio_buffer has 10.1 s; accepted: at most 10 s"),
        ):
            call = opened(line)
            await call.write(first)
            if second is not None:
                await call.write(second)
            await call.write(ended())
            heard = await answered(call)
            assert (heard.code, heard.text) == (grpc.StatusCode.INVALID_ARGUMENT, text)


async def test_too_long_a_clip(faces_to, pcm):
    with faces_to(a2f_max_clip_s=3) as gateway:
        async with channel(gateway) as line:
            heard = await sample_app(line, pcm(20), 16_000)
    assert (heard.code, heard.text) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the clip has 4.0 s; accepted: at most 3 s",
    )
    assert [(status.code, status.message) for status in heard.statuses] == [(3, heard.text)]


async def test_too_many_streams(faces_to, pcm):
    with faces_to(max_streams=1) as gateway:
        async with channel(gateway) as line:
            first = opened(line)
            await first.write(begun(16_000))
            assert (await first.read()).HasField("animation_data_stream_header")
            heard = await sample_app(line, pcm(5), 16_000)
            assert (heard.code, heard.text) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "1 streams are being served; accepted: 1 at once",
            )
            await first.write(ended())
            assert (await answered(first)).code is OK


async def test_silence_of_the_caller_ends_the_call(faces_to, pcm):
    with faces_to(a2f_idle_s=0.5) as gateway:
        async with channel(gateway) as line:
            for said in ([], [begun(16_000)], [begun(16_000), spoken(pcm(1))]):
                call = opened(line)
                for one in said:
                    await call.write(one)
                heard = await answered(call)
                assert heard.code is grpc.StatusCode.DEADLINE_EXCEEDED, heard.text


async def test_a_caller_that_never_reads_is_let_go_of(faces_to, pcm):
    with faces_to(send_timeout_s=1) as gateway:
        async with channel(gateway) as line:
            call = opened(line)
            await call.write(begun(16_000))
            for block in seconds(pcm(290), 16_000):
                await call.write(spoken(block))
            await call.write(ended())

            def let_go():
                return b'rejections_total{error="RequestTooSlow"} 1.0' in gateway.service.metrics.exposition()

            await asyncio.to_thread(until, let_go, "it is still being served")
            await asyncio.to_thread(gateway.settle)
            call.cancel()


async def test_a_stopping_gateway_says_so(faces_to, pcm):
    with faces_to() as gateway:
        async with channel(gateway) as line:
            call = opened(line)
            await call.write(begun(16_000))
            await call.write(spoken(pcm(1)))
            assert (await call.read()).HasField("animation_data_stream_header")
            silent = opened(line)
            gateway.server.stop()
            assert (await answered(call)).code is grpc.StatusCode.UNAVAILABLE
            assert (await answered(silent)).code is grpc.StatusCode.UNAVAILABLE


async def test_the_pace_of_real_time(faces_to, pcm):
    with faces_to(a2f_pace="realtime") as gateway:
        async with channel(gateway) as line:
            began = time.monotonic()
            heard = await sample_app(line, pcm(1.5), 16_000)
            assert time.monotonic() - began >= heard.times[-1]
    whole(heard, pcm(1.5), 16_000)

"""Callers of Audio2Face-3D, each as one of its known clients behaves, over NVIDIA's own messages and stubs.

Facts of behaviour only: how they cut the sound, when they read, how they end, and what they take from the answer.
"""

import asyncio
import sys
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import grpc
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "clients" / "nvidia"
LIMIT_S = 120
"""Seconds of one call: a guard."""


def nvidia():
    """Return the modules of NVIDIA's wheels: messages, sound, and the stubs of both services."""
    if not FOLDER.joinpath("nvidia_ace").is_dir():
        pytest.skip("NVIDIA's wheels are not there: `make test` fetches them where the registry can be reached")
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    from nvidia_ace import audio_pb2
    from nvidia_audio2face_3d import (
        a2x_export_config_pb2_grpc,
        audio2face_pb2_grpc,
        messages_pb2,
    )

    return messages_pb2, audio_pb2, audio2face_pb2_grpc, a2x_export_config_pb2_grpc


def target(gateway):
    return f"127.0.0.1:{gateway.doors[0].port}"


def channel(gateway):
    return grpc.aio.insecure_channel(target(gateway))


@dataclass
class Heard:
    """What came back."""

    kinds: list = field(default_factory=list)
    """Parts of the stream, in order, each run of one kind once."""
    header: object = None
    frames: list = field(default_factory=list)
    events: list = field(default_factory=list)
    statuses: list = field(default_factory=list)
    code: object = None
    text: str = ""

    def take(self, answer):
        part = answer.WhichOneof("stream_part")
        if self.kinds[-1:] != [part]:
            self.kinds.append(part)
        value = getattr(answer, part)
        if part == "animation_data_stream_header":
            self.header = value
        else:
            {"animation_data": self.frames, "event": self.events, "status": self.statuses}[part].append(value)

    @property
    def names(self):
        return list(self.header.skel_animation_header.blend_shapes)

    @property
    def times(self):
        return [weights.time_code for frame in self.frames for weights in frame.skel_animation.blend_shape_weights]

    @property
    def weights(self):
        rows = [row.values for frame in self.frames for row in frame.skel_animation.blend_shape_weights]
        return np.array(rows, np.float32).reshape(-1, 52)

    @property
    def sound(self):
        return np.frombuffer(b"".join(frame.audio.audio_buffer for frame in self.frames), "<i2")

    @property
    def emotions(self):
        """The EmotionAggregates that came, by time."""
        kind = nvidia()[0].EmotionAggregate
        found = [(frame.audio.time_code, frame.metadata.get("emotion_aggregate")) for frame in self.frames]
        return [(time, kind.FromString(packed.value)) for time, packed in found if packed is not None]


def begun(rate, audio=None, **parts):
    """The first message."""
    messages, sound, *_ = nvidia()
    form = {"channel_count": 1, "samples_per_second": rate, "bits_per_sample": 16, **(audio or {})}
    header = messages.AudioWithEmotionStreamHeader(audio_header=sound.AudioHeader(**form), **parts)
    return messages.AudioWithEmotionStream(audio_stream_header=header)


def spoken(block, emotions=()):
    """A message of sound; ``emotions``: pairs of seconds and amounts."""
    messages, *_ = nvidia()
    felt = [messages.EmotionWithTimeCode(time_code=time, emotion=amounts) for time, amounts in emotions]
    sound = messages.AudioWithEmotion(audio_buffer=np.asarray(block, "<i2").tobytes(), emotions=felt)
    return messages.AudioWithEmotionStream(audio_with_emotion=sound)


def ended():
    messages, *_ = nvidia()
    return messages.AudioWithEmotionStream(end_of_audio=messages.AudioWithEmotionStream.EndOfAudio())


def seconds(pcm, rate):
    """A message a second, and one more: of a clip of whole seconds, the last one is empty."""
    return [pcm[start : start + rate] for start in range(0, len(pcm) // rate * rate + 1, rate)]


def opened(channel, **more):
    return nvidia()[2].A2FControllerServiceStub(channel).ProcessAudioStream(timeout=LIMIT_S, **more)


async def answered(call, heard=None):
    """Read all that comes."""
    heard = heard or Heard()
    try:
        while (answer := await call.read()) is not grpc.aio.EOF:
            heard.take(answer)
    except grpc.aio.AioRpcError:
        pass
    heard.code, heard.text = await call.code(), await call.details()
    return heard


async def sample_app(channel, pcm, rate, emotions=(), audio=None, **parts):
    """NVIDIA's sample application: reads while it writes, all emotions with the first block, never closes its half."""
    call = opened(channel)

    async def write():
        await call.write(begun(rate, audio, **parts))
        for number, block in enumerate(seconds(pcm, rate)):
            await call.write(spoken(block, emotions if number == 0 else ()))
        await call.write(ended())

    heard, _ = await asyncio.gather(answered(call), write())
    return heard


async def pipecat(channel, pcm, rate, cancel=False):
    """A header without parameters, blocks of a second at most, and a half-close; it ends with the stream."""
    call = opened(channel)
    await call.write(begun(rate))
    for start in range(0, len(pcm), rate):
        await call.write(spoken(pcm[start : start + rate]))
    await call.write(ended())
    await call.done_writing()
    if cancel:
        call.cancel()
        return None
    return await answered(call)


def maya(target, pcm):
    """Asks for health, writes all, closes its half, and only then reads; header first, or it fails."""
    from emotalk_gateway.grpc.messages import message

    stubs = nvidia()[2]
    asked, answer = (message(f"grpc.health.v1.HealthCheck{kind}") for kind in ("Request", "Response"))
    heard, done = Heard(), threading.Event()
    names = ["amazement", "anger", "cheekiness", "disgust", "fear", "grief", "joy", "outofbreath", "pain", "sadness"]

    def written():
        yield begun(16_000)
        for start in range(0, len(pcm), 16_000):
            time = 2 * start / 16_000  # it counts bytes
            yield spoken(pcm[start : start + 16_000], [(time, dict.fromkeys(names, 0.0))])
        yield ended()
        done.set()

    with grpc.insecure_channel(target) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", asked.SerializeToString, answer.FromString)
        assert check(asked(), timeout=3).status == answer.SERVING
        call = stubs.A2FControllerServiceStub(channel).ProcessAudioStream(written(), timeout=LIMIT_S)
        assert done.wait(LIMIT_S), "not all could be written before anything was read"
        for reply in call:
            heard.take(reply)
            assert heard.header is not None
            if heard.statuses and heard.statuses[-1].code in (0, 3):
                break
        heard.code = call.code()
    return heard


async def unreal(channel, pcm, emotions=(), pace_s=0.0):
    """Half a second, then 35 ms at a time; half-close; the time of a frame is how much sound came before it.

    Returns what came, and those times.
    """
    call = opened(channel)
    cuts = [0, 8000, *range(8000 + 560, len(pcm) + 560, 560)]

    async def write():
        await call.write(begun(16_000, face_params={"float_params": {"inputStrength": 1.0, "skinStrength": 1.0}}))
        for first, end in pairwise(cuts):
            await call.write(spoken(pcm[first:end], [(first / 16_000, amounts) for amounts in emotions]))
            await asyncio.sleep(pace_s)
        await call.write(ended())
        await call.done_writing()

    heard, _ = await asyncio.gather(answered(call), write())
    sizes = [len(frame.audio.audio_buffer) for frame in heard.frames]
    return heard, np.cumsum([0, *sizes[:-1]]) / 2 / 16_000

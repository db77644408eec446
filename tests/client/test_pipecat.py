"""The bridge to Pipecat, in real pipelines of the real library."""

import asyncio
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from fake import PARAMETERS, STREAMING, client
from virtual import GUARD_S, until

from emotalk_client import ServerUnavailable
from emotalk_contract import errors

AGENTS = Path(__file__).parents[1] / "clients" / "agents"
if not (AGENTS / "pipecat").is_dir():
    pytest.skip("tests/clients/agents lacks Pipecat; make test installs it from its registry", allow_module_level=True)
sys.path.append(str(AGENTS))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of libraries that are not ours
    from pipecat.frames.frames import (
        CancelFrame,
        EndFrame,
        InterruptionFrame,
        StartFrame,
        TextFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.transports.base_output import BaseOutputTransport
    from pipecat.transports.base_transport import TransportParams
    from pipecat.workers.runner import WorkerRunner

    from emotalk_client.integrations import pipecat as bridge
    from emotalk_client.integrations.pipecat import BlendshapesFrame, EmoTalkProcessor

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]


class Sink(FrameProcessor):
    """Keeps what comes."""

    def __init__(self):
        super().__init__(enable_direct_mode=True)
        self.frames = []

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if not isinstance(frame, StartFrame):
            self.frames.append(frame)
        await self.push_frame(frame, direction)

    def of(self, *kinds):
        return [frame for frame in self.frames if isinstance(frame, kinds)]

    @property
    def faces(self):
        return self.of(BlendshapesFrame)

    @property
    def sound(self):
        return b"".join(frame.audio for frame in self.of(TTSAudioRawFrame))


class Running:
    """``async with Running(processor) as running``: a pipeline of it; ``say`` sends frames into it."""

    def __init__(self, *processors):
        self.sink = Sink()
        self.worker = PipelineWorker(
            Pipeline([*processors, self.sink]), cancel_on_idle_timeout=False, enable_rtvi=False
        )

    async def __aenter__(self):
        started = asyncio.Event()

        @self.worker.event_handler("on_pipeline_started")
        async def _started(worker, frame):
            started.set()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        self.running = asyncio.create_task(runner.run())
        await asyncio.wait_for(started.wait(), GUARD_S)
        return self

    async def __aexit__(self, *_):
        if not self.running.done():
            await self.worker.queue_frame(CancelFrame())
        await asyncio.wait_for(self.running, GUARD_S)

    async def say(self, *frames):
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def end(self):
        await self.say(EndFrame())
        await asyncio.wait_for(asyncio.shield(self.running), GUARD_S)


def spoken(seconds, rate=24_000, channels=1, seed=0):
    """Frames of 20 ms of a clip, and its bytes."""
    clip = np.random.default_rng(seed).integers(-9_000, 9_000, (round(seconds * rate), channels), np.int16)
    size = rate // 50
    parts = [clip[start : start + size].tobytes() for start in range(0, len(clip), size)]
    return [TTSAudioRawFrame(part, rate, channels) for part in parts], clip.tobytes()


def indices(faces):
    return [face.index for face in faces]


@pytest.mark.parametrize("way", [PARAMETERS, STREAMING], ids=["windows", "steps"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (24_000, 1), (44_100, 2)])
async def test_each_face_comes_right_before_the_sound_of_its_time(way, rate, channels):
    maker, _ = client(parameters=way)
    frames, sound = spoken(1.03, rate, channels)
    async with Running(EmoTalkProcessor(maker)) as running:
        await running.say(TTSStartedFrame(), *frames, TextFrame("after"), TTSStoppedFrame(), TextFrame("much later"))
        await running.end()
    sink = running.sink
    assert indices(sink.faces) == list(range(31 + 9))
    assert [face.weights[0] for face in sink.faces[:31]] == list(range(31))
    assert not sink.faces[-1].weights.any()
    assert sink.sound == sound
    heard = 0
    for frame in sink.frames:
        if isinstance(frame, BlendshapesFrame) and frame.index < 31:
            assert heard == frame.index * rate // 30
        elif isinstance(frame, TTSAudioRawFrame):
            assert (frame.sample_rate, frame.num_channels) == (rate, channels)
            heard += frame.num_frames
    others = [type(frame).__name__ for frame in sink.frames if not isinstance(frame, (BlendshapesFrame))]
    assert [name for name in others if name != "TTSAudioRawFrame"] == [
        *("TTSStartedFrame", "TextFrame", "TTSStoppedFrame", "TextFrame", "EndFrame")
    ]
    assert max(index for index, name in enumerate(others) if name == "TTSAudioRawFrame") < others.index("TextFrame")


async def test_utterances_follow_one_another_also_at_another_rate():
    maker, _ = client()
    sounds = b""
    async with Running(EmoTalkProcessor(maker, fade_s=0.0)) as running:
        for number, rate in enumerate((24_000, 24_000, 16_000, 48_000), 1):
            frames, sound = spoken(0.5, rate, seed=number)
            sounds += sound
            await running.say(*frames, *([TTSStoppedFrame()] if number != 3 else []))  # the third ends with the fourth
        await running.end()
    assert [(face.utterance, face.index) for face in running.sink.faces] == [
        (number, index) for number in (1, 2, 3, 4) for index in range(15)
    ]
    assert running.sink.sound == sounds


async def test_an_interruption_drops_what_is_held_and_fades_to_rest(monkeypatch):
    maker, _ = client()
    frames, sound = spoken(2)
    async with Running(EmoTalkProcessor(maker)) as running:
        await running.say(*frames)
        await until(lambda: len(running.sink.faces) > 20)
        await running.say(InterruptionFrame())
        await until(lambda: running.sink.of(InterruptionFrame) and not running.sink.faces[-1].weights.any())
        cut = running.sink.frames.index(running.sink.of(InterruptionFrame)[0])
        after = running.sink.frames[cut + 1 :]
        before = [frame for frame in running.sink.frames[:cut] if isinstance(frame, BlendshapesFrame)]
        assert len(after) == 9
        assert 0 < after[0].index <= before[-1].index + 1
        assert indices(after) == list(range(after[0].index, after[0].index + 9))
        assert sound.startswith(running.sink.sound)
        running.sink.frames.clear()
        frames, sound = spoken(0.5, seed=1)
        await running.say(*frames, TTSStoppedFrame())
        await running.end()
    assert (running.sink.faces[0].utterance, indices(running.sink.faces)) == (2, list(range(15 + 9)))
    assert running.sink.sound == sound


async def test_an_interruption_of_silence_is_passed_on_alone():
    maker, _ = client()
    async with Running(EmoTalkProcessor(maker)) as running:
        await running.say(InterruptionFrame(), TextFrame("x"))
        await until(lambda: running.sink.of(TextFrame))
        await running.end()
    assert [type(frame) for frame in running.sink.frames] == [InterruptionFrame, TextFrame, EndFrame]


@pytest.mark.parametrize("first", [0, 3])
async def test_without_a_server_the_sound_goes_on_unharmed(first, caplog):
    failing = lambda number: ServerUnavailable("gone") if number >= first else None  # noqa: E731
    maker, transport = client(failing, retries=0)
    frames, sound = spoken(1.5)
    async with Running(EmoTalkProcessor(maker, timeout_s=0.3)) as running:
        with caplog.at_level(logging.WARNING):
            await running.say(*frames, TextFrame("after"), TTSStoppedFrame())
            await until(lambda: running.sink.of(TTSStoppedFrame))
        assert running.sink.sound == sound
        assert [type(frame) for frame in running.sink.frames[-2:]] == [TextFrame, TTSStoppedFrame]
        assert indices(running.sink.faces) == list(range(2 * first))
        told = [record.message for record in caplog.records if "without a face" in record.message]
        assert told == ["the agent speaks on without a face: ServerUnavailable: gone"]
        running.sink.frames.clear()
        transport.script = {}
        frames, sound = spoken(0.5)
        await running.say(*frames, TTSStoppedFrame())
        await running.end()
    assert running.sink.sound == sound
    assert len(running.sink.faces) == 15 + 9


async def test_a_server_that_hangs_holds_the_sound_no_longer_than_its_time():
    maker, _ = client(lambda number: asyncio.Event(), retries=0)
    frames, sound = spoken(1)
    async with Running(EmoTalkProcessor(maker, timeout_s=0.1)) as running:
        await running.say(*frames, TTSStoppedFrame())
        await until(lambda: running.sink.of(TTSStoppedFrame))
        assert running.sink.sound == sound
        await running.end()


async def test_speech_that_nobody_ends_is_not_held_for_ever(monkeypatch):
    monkeypatch.setattr(bridge, "IDLE_S", 0.05)
    maker, _ = client()
    frames, sound = spoken(0.5)
    async with Running(EmoTalkProcessor(maker)) as running:
        await running.say(*frames)
        await until(lambda: running.sink.sound == sound)
        await until(lambda: len(running.sink.faces) == 15 + 9)


async def test_what_is_not_sound_goes_on_as_it_is():
    maker, _ = client()
    odd = TTSAudioRawFrame(b"\1\2\3", 24_000, 1)
    async with Running(EmoTalkProcessor(maker)) as running:
        await running.say(odd, TTSStoppedFrame())
        await running.end()
    assert running.sink.frames[0] is odd


def test_mistakes_are_found_when_it_is_made():
    maker, _ = client()
    with pytest.raises(errors.InvalidOption, match="fade_s is 11"):
        EmoTalkProcessor(maker, fade_s=11)
    with pytest.raises(errors.InvalidWindow, match="hop is 9"):
        EmoTalkProcessor(maker, hop=9)


async def test_faces_on_the_way_to_rest_come_at_their_time():
    maker, _ = client()
    frames, _ = spoken(0.3)
    moments = []
    async with Running(EmoTalkProcessor(maker)) as running:
        push = running.sink.push_frame

        async def timed(frame, direction):
            if isinstance(frame, BlendshapesFrame):
                moments.append((frame.index, asyncio.get_running_loop().time()))
            await push(frame, direction)

        running.sink.push_frame = timed
        await running.say(*frames, TTSStoppedFrame())
        await until(lambda: len(moments) == 9 + 9)
    began = moments[0][1]
    for index, moment in moments[9:]:
        assert moment - began >= index / 30 - 0.01


async def test_speech_in_the_way_to_rest_ends_it():
    maker, _ = client()
    async with Running(EmoTalkProcessor(maker, fade_s=5.0)) as running:
        await running.say(*spoken(0.2)[0], TTSStoppedFrame())
        await until(lambda: len(running.sink.faces) > 8)
        frames, sound = spoken(0.2, seed=1)
        await running.say(*frames, TTSStoppedFrame())
        await until(lambda: running.sink.sound.endswith(sound))
        faces = [(face.utterance, face.index) for face in running.sink.faces]
        assert faces == sorted(faces)
        assert len([face for face in faces if face[0] == 1]) < 100


async def test_an_interruption_in_the_way_to_rest_goes_on_from_it():
    maker, _ = client()
    async with Running(EmoTalkProcessor(maker, fade_s=2.0)) as running:
        await running.say(*spoken(0.2)[0], TTSStoppedFrame())
        await until(lambda: len(running.sink.faces) > 15)
        await running.say(InterruptionFrame())
        await until(lambda: not running.sink.faces[-1].weights.any())
        weights = [face.weights[0] for face in running.sink.faces[6:]]
        assert np.abs(np.diff(weights)).max() < 0.5
        await running.say(InterruptionFrame(), TextFrame("x"))  # of a face at rest
        await until(lambda: running.sink.of(TextFrame))
        assert isinstance(running.sink.frames[-2], InterruptionFrame)


async def test_a_destination_is_the_faces_too():
    maker, _ = client()
    frames, _ = spoken(0.2)
    for frame in frames:
        frame.transport_destination = "second"
    async with Running(EmoTalkProcessor(maker)) as running:
        await running.say(*frames, TTSStoppedFrame())
        await running.end()
    assert {frame.transport_destination for frame in running.sink.of(BlendshapesFrame, TTSAudioRawFrame)} == {"second"}


class Speaker(BaseOutputTransport):
    """Pipecat's own output, with a loudspeaker that counts what it played."""

    def __init__(self):
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_sample_rate=24_000))
        self.played_s = 0.0

    async def start(self, frame):
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame):
        self.played_s += frame.num_frames / frame.sample_rate
        await asyncio.sleep(0.1 * frame.num_frames / frame.sample_rate)  # ten times as fast as people listen
        return True


async def test_pipecats_own_output_keeps_them_in_step():
    maker, _ = client()
    frames, _ = spoken(2.0)
    speaker, late = Speaker(), []
    async with Running(EmoTalkProcessor(maker, fade_s=0.0), speaker) as running:
        push = running.sink.push_frame

        async def heard(frame, direction):
            if isinstance(frame, BlendshapesFrame):
                late.append(speaker.played_s - frame.timecode)
            await push(frame, direction)

        running.sink.push_frame = heard
        await running.say(*frames, TTSStoppedFrame())
        await running.end()
    assert len(late) == 60
    assert -0.05 < min(late) <= max(late) < 0.05  # it plays in blocks of 40 ms

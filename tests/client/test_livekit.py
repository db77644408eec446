"""The bridge to LiveKit: the real library's streams, track source and avatars' protocol, and a room of our own.

A LiveKit server is not to be had from the registries that this project's tests use: what passes between two
participants is handed over here by :class:`Room`, in place of the network.
"""

import asyncio
import json
import logging
import sys
import time
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from fake import PARAMETERS, STREAMING, client
from virtual import GUARD_S, until

from emotalk_client import ServerUnavailable
from emotalk_contract import errors

AGENTS = Path(__file__).parents[1] / "clients" / "agents"
if not (AGENTS / "livekit").is_dir():
    pytest.skip("tests/clients/agents lacks LiveKit; make test installs it from its registry", allow_module_level=True)
sys.path.append(str(AGENTS))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of libraries that are not ours
    from livekit import rtc
    from livekit.agents.voice.avatar import DataStreamAudioOutput, DataStreamAudioReceiver, QueueAudioOutput

    from emotalk_client.integrations import livekit as bridge
    from emotalk_client.integrations.livekit import TOPIC, EmoTalkAvatar

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]


class Reader:
    """A byte stream as its receiver reads it."""

    def __init__(self, attributes):
        self.info = types.SimpleNamespace(attributes=attributes, stream_id="1")
        self.chunks = asyncio.Queue()

    async def __anext__(self):
        if (chunk := await self.chunks.get()) is None:
            raise StopAsyncIteration
        return chunk


class Writer:
    def __init__(self, reader):
        self.reader = reader

    async def write(self, data):
        self.reader.chunks.put_nowait(data)

    async def aclose(self):
        self.reader.chunks.put_nowait(None)


class Participant:
    """What a bridge and LiveKit's own classes use of ``rtc.LocalParticipant``."""

    def __init__(self, room, identity):
        self.room, self.identity = room, identity
        self.kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        self.state = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
        self._rpc_handlers = {}
        self.data, self.tracks = [], []

    def register_rpc_method(self, method, handler):
        self._rpc_handlers[method] = handler

    async def perform_rpc(self, *, destination_identity, method, payload):
        await asyncio.sleep(0)
        other = self.room.other.local_participant
        assert other.identity == destination_identity
        data = rtc.RpcInvocationData("1", self.identity, payload, 10.0)
        self.room.calls.append((method, payload))
        if method not in other._rpc_handlers:
            raise rtc.RpcError(rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD, "no such method")
        return other._rpc_handlers[method](data)

    async def stream_bytes(self, *, topic, attributes, **_):
        reader = Reader(attributes)
        self.room.other.handlers[topic](reader, self.identity)
        return Writer(reader)

    async def publish_data(self, payload, *, topic):
        self.data.append((time.monotonic(), topic, np.frombuffer(payload, "<f4")))

    async def publish_track(self, track, _options):
        self.tracks.append(track)

        async def subscribed():
            return None

        return types.SimpleNamespace(sid=f"TR_{len(self.tracks)}", wait_for_subscription=subscribed)

    async def unpublish_track(self, sid):
        self.tracks.append(sid)


class Room(rtc.EventEmitter):
    """One of two participants' views of a room."""

    def __init__(self, identity):
        super().__init__()
        self.local_participant = Participant(self, identity)
        self.handlers, self.calls = {}, []

    def meet(self, other):
        self.other, other.other = other, self

    @property
    def remote_participants(self):
        return {self.other.local_participant.identity: self.other.local_participant}

    def isconnected(self):
        return True

    def register_byte_stream_handler(self, topic, handler):
        self.handlers[topic] = handler


def spoken(seconds, rate=24_000, channels=1, seed=0):
    clip = np.random.default_rng(seed).integers(-9_000, 9_000, (round(seconds * rate), channels), np.int16)
    size = rate // 50
    parts = [clip[start : start + size] for start in range(0, len(clip), size)]
    return [rtc.AudioFrame(part.tobytes(), rate, channels, len(part)) for part in parts], clip.tobytes()


class Meeting:
    """An agent, its avatar, and what the avatar's track was given."""

    def __init__(self, monkeypatch, maker, mode="stream", **options):
        self.captured = captured = []
        own = rtc.AudioSource.capture_frame

        async def capture(source, frame):
            captured.append((time.monotonic(), bytes(frame.data)))
            await own(source, frame)

        self.cleared = cleared = []
        own_clear = rtc.AudioSource.clear_queue

        def clear(source):
            cleared.append(source)
            own_clear(source)

        monkeypatch.setattr(rtc.AudioSource, "capture_frame", capture)
        monkeypatch.setattr(rtc.AudioSource, "clear_queue", clear)
        self.agents, self.room = Room("agent"), Room("avatar")
        self.agents.meet(self.room)
        if mode == "stream":
            self.output = DataStreamAudioOutput(self.agents, destination_identity="avatar", wait_playback_start=True)
            receiver = DataStreamAudioReceiver(self.room, frame_size_ms=20)
        else:
            receiver = self.output = QueueAudioOutput()
        self.avatar = EmoTalkAvatar(self.room, maker, receiver, **options)
        self.finished = []
        self.output.on("playback_finished", self.finished.append)

    async def __aenter__(self):
        await self.avatar.start()
        return self

    async def __aexit__(self, *_):
        await self.avatar.aclose()

    async def say(self, frames, flush=True):
        for frame in frames:
            await self.output.capture_frame(frame)
        if flush:
            self.output.flush()

    @property
    def faces(self):
        return [row for _, _, row in self.room.local_participant.data]

    @property
    def sound(self):
        return b"".join(data for _, data in self.captured)


@pytest.mark.parametrize("mode", ["stream", "queue"])
@pytest.mark.parametrize(("rate", "channels", "way"), [(24_000, 1, STREAMING), (44_100, 2, PARAMETERS)])
async def test_voice_and_face_go_into_the_room_in_step(monkeypatch, mode, rate, channels, way):
    maker, _ = client(parameters=way)
    frames, sound = spoken(0.73, rate, channels)
    async with Meeting(monkeypatch, maker, mode) as meeting:
        await meeting.say(frames)
        await until(lambda: meeting.finished)
        assert meeting.sound == sound
        await until(lambda: len(meeting.faces) == 22 + 9)
    assert {topic for _, topic, _ in meeting.room.local_participant.data} == {TOPIC}
    assert [int(row[0]) for row in meeting.faces] == list(range(31))
    assert [row[1] for row in meeting.faces] == pytest.approx(np.arange(31) / 30)
    assert [row[2] for row in meeting.faces[:22]] == list(range(22))
    assert not meeting.faces[-1][2:].any()
    (finished,) = meeting.finished
    assert (finished.interrupted, finished.playback_position) == (False, pytest.approx(0.73, abs=1e-3))
    heard = 0
    for (face_s, _, row), (sound_s, data) in zip(meeting.room.local_participant.data, meeting.captured, strict=False):
        assert heard // (2 * channels) == int(row[0]) * rate // 30, "the sound of a frame's time follows it"
        assert face_s <= sound_s
        heard += len(data)
    assert meeting.room.local_participant.tracks[0].name == "avatar_audio"


@pytest.mark.parametrize("mode", ["stream", "queue"])
async def test_clear_buffer_stops_it_and_the_next_segment_is_heard(monkeypatch, mode):
    maker, _ = client()
    async with Meeting(monkeypatch, maker, mode) as meeting:
        await meeting.say(spoken(3)[0])
        await until(lambda: len(meeting.faces) >= 12)
        meeting.output.clear_buffer()
        await until(lambda: meeting.finished)
        (cut,) = meeting.finished
        assert cut.interrupted
        assert len(meeting.cleared) == 1
        assert 0.2 < cut.playback_position < 0.8
        await until(lambda: not meeting.faces[-1][2:].any())
        shown = [int(row[0]) for row in meeting.faces]
        assert shown == list(range(len(shown)))
        assert len(shown) < 40
        meeting.captured.clear()
        meeting.room.local_participant.data.clear()
        frames, sound = spoken(0.4, seed=1)
        await meeting.say(frames)
        await until(lambda: len(meeting.finished) == 2)
        assert meeting.sound == sound
        assert not meeting.finished[1].interrupted
        await until(lambda: len(meeting.faces) == 12 + 9)
    if mode == "stream":
        assert ("lk.clear_buffer", "") in meeting.agents.calls
        assert [json.loads(payload)["interrupted"] for name, payload in meeting.room.calls if "finished" in name] == [
            *(True, False)
        ]


async def test_segments_follow_one_another_also_at_another_rate(monkeypatch):
    maker, _ = client()
    sounds = b""
    async with Meeting(monkeypatch, maker, fade_s=0.0) as meeting:
        for number, rate in enumerate((24_000, 24_000, 16_000)):
            frames, sound = spoken(0.3, rate, seed=number)
            sounds += sound
            await meeting.say(frames)
            await asyncio.sleep(0.01)
        await until(lambda: len(meeting.finished) == 3)
    assert meeting.sound == sounds
    assert [int(row[0]) for row in meeting.faces] == 3 * list(range(9))
    assert [finished.playback_position for finished in meeting.finished] == pytest.approx([0.3] * 3)


@pytest.mark.parametrize("first", [0, 2])
async def test_without_a_server_the_agent_is_heard(monkeypatch, caplog, first):
    failing = lambda number: ServerUnavailable("gone") if number >= first else None  # noqa: E731
    maker, transport = client(failing, retries=0)
    frames, sound = spoken(1)
    async with Meeting(monkeypatch, maker, timeout_s=0.2) as meeting:
        with caplog.at_level(logging.WARNING):
            await meeting.say(frames)
            await until(lambda: meeting.finished)
        assert meeting.sound == sound
        assert meeting.finished[0].playback_position == pytest.approx(1.0)
        assert [record.message for record in caplog.records if "without a face" in record.message] == [
            "the agent speaks on without a face: ServerUnavailable: gone"
        ]
        transport.script = {}
        meeting.room.local_participant.data.clear()
        await meeting.say(spoken(0.2)[0])
        await until(lambda: len(meeting.faces) == 6 + 9)


async def test_a_face_that_cannot_be_sent_costs_no_sound(monkeypatch):
    maker, _ = client()
    frames, sound = spoken(0.3)
    async with Meeting(monkeypatch, maker) as meeting:

        async def broken(payload, *, topic):
            raise rtc.participant.PublishDataError("no")

        meeting.room.local_participant.publish_data = broken
        await meeting.say(frames)
        await until(lambda: meeting.finished)
        assert meeting.sound == sound


async def test_a_track_that_cannot_be_published_ends_the_segment_and_not_the_avatar(monkeypatch, caplog):
    maker, _ = client()
    async with Meeting(monkeypatch, maker) as meeting:
        publish = meeting.room.local_participant.publish_track

        async def broken(track, options):
            raise rtc.participant.PublishTrackError("no")

        meeting.room.local_participant.publish_track = broken
        with caplog.at_level(logging.ERROR):
            await meeting.say(spoken(0.2)[0])
            await until(lambda: meeting.finished)
        assert "could not be played" in caplog.text
        assert (meeting.finished[0].interrupted, meeting.finished[0].playback_position) == (True, 0.0)
        meeting.room.local_participant.publish_track = publish
        frames, sound = spoken(0.2, seed=1)
        await meeting.say(frames)
        await until(lambda: len(meeting.finished) == 2)
        assert meeting.sound == sound


async def test_closing_in_mid_speech_waits_for_nobody(monkeypatch):
    maker, _ = client(lambda number: asyncio.Event())
    meeting = Meeting(monkeypatch, maker)
    async with meeting:
        await meeting.say(spoken(1)[0])
    await asyncio.wait_for(meeting.avatar.aclose(), GUARD_S)


def test_mistakes_are_found_when_it_is_made():
    maker, _ = client()
    with pytest.raises(errors.InvalidOption, match="fade_s is 11"):
        EmoTalkAvatar(None, maker, None, fade_s=11)
    with pytest.raises(errors.InvalidOption, match="backlog is 0"):
        EmoTalkAvatar(None, maker, None, backlog=0)
    assert bridge.QUEUE_MS < 100

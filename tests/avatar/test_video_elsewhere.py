"""The process that draws: what it gives, and that nobody waits for one that died or hangs."""

import asyncio
import io
import os
import signal
from pathlib import Path

import av
import numpy as np
import pytest
from drawn import drawing, face, pictures, sound
from PIL import Image

from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.video import framing
from emotalk_avatar.video.avatars import Drawn
from emotalk_avatar.video.elsewhere import drawer, write_elsewhere
from emotalk_avatar.video.errors import DrawingFailed, UnwritableVideo
from emotalk_avatar.video.framing import Order
from emotalk_avatar.video.living import Shown
from emotalk_client.errors import UnreadableAudio

pytestmark = pytest.mark.server

SIZE = (96, 64)


@pytest.fixture(autouse=True)
def drawable():
    with drawing(size=SIZE):  # skipped where nothing can be drawn
        pass


def shown(frames, **weights):
    return Shown(np.repeat(face(**weights)[None], frames, axis=0), np.zeros((frames, 3), np.float32))


def frames(first, count, **weights):
    made = shown(count, **weights)
    return framing.rows(first, made.weights, made.head)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_messages_come_back_as_they_went():
    order = Order(True, 12.5, (640, 480), (1, 2, 3), True, 25.0, "vp9", ".webm", "a", "b")
    assert Order.unpacked(order.packed()) == order
    file = io.BytesIO(framing.message(framing.FRAMES, b"abc") + framing.message(framing.END))
    assert framing.read(file) == (framing.FRAMES, b"abc")
    assert framing.read(file) == (framing.END, b"")
    assert framing.read(file) is None
    assert framing.read(io.BytesIO(framing.message(framing.FRAMES, b"abc")[:-1])) is None
    index, number, weights, head = framing.from_rows(frames(7, 2, jawOpen=0.5))
    assert index.tolist() == number.tolist() == [7, 8]
    assert weights.shape == (2, 52)
    assert head.shape == (2, 3)


async def test_pictures_come_one_by_one_and_can_be_decoded():
    decoder = av.CodecContext.create("vp9", "r")
    async with drawer(Order(size=SIZE, coding="vp9")) as process:
        assert process.size == SIZE
        flags, seconds, seen = [], [], []
        for index in range(62):
            await process.send(framing.FRAMES, frames(index, 1, jawOpen=index / 62))
            kind, payload = await process.receive()
            assert kind == framing.PICTURE
            flag, at = framing.CHUNK.unpack_from(payload)
            flags.append(flag)
            seconds.append(at / 1e6)
            seen += decoder.decode(av.Packet(payload[framing.CHUNK.size :]))
    assert np.nonzero(flags)[0].tolist() == [0, 60]
    assert np.allclose(seconds, np.arange(62) / 30, atol=1e-6)
    assert len(seen) == 62
    assert (seen[0].width, seen[0].height) == SIZE
    assert gone(process.pid)


async def test_a_keyframe_comes_where_it_is_asked_for():
    async with drawer(Order(size=SIZE, coding="vp9")) as process:
        flags = []
        for index in range(6):
            if index == 3:
                await process.send(framing.KEYFRAME)
            await process.send(framing.FRAMES, frames(index, 1))
            flags.append((await process.receive())[1][0])
    assert flags == [1, 0, 0, 1, 0, 0]


async def test_pictures_as_jpeg():
    async with drawer(Order(size=SIZE, coding="mjpeg", mark=True)) as process:
        await process.send(framing.FRAMES, frames(0, 2))
        _, payload = await process.receive()
    assert Image.open(io.BytesIO(payload[framing.CHUNK.size :])).size == SIZE


async def test_a_file_with_its_sound(tmp_path, speech):
    with (tmp_path / "a.mp4").open("w+b") as out, speech.open("rb") as heard:
        await write_elsewhere(Order(size=SIZE), None, shown(30), heard, out)
    assert len(pictures(tmp_path / "a.mp4")) == 30
    _, rate, samples = sound(tmp_path / "a.mp4")
    assert len(samples) / rate == pytest.approx(1, abs=0.03)


@pytest.fixture
def speech(tmp_path):
    import soundfile

    path = tmp_path / "speech.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    return path


async def test_errors_come_as_they_were(tmp_path):
    with pytest.raises(DamagedAvatar, match="cannot be drawn"):
        async with drawer(Order(coding="vp9"), Drawn(b"not a glTF")):
            pass
    (tmp_path / "a.wav").write_bytes(b"RIFF not really")
    heard = (tmp_path / "a.wav").open("rb")
    with heard, (tmp_path / "a.mp4").open("w+b") as out, pytest.raises(UnreadableAudio):
        await write_elsewhere(Order(size=SIZE), None, shown(3), heard, out)
    with Path("/dev/full").open("w+b", buffering=0) as out, pytest.raises(UnwritableVideo, match="No space"):
        await write_elsewhere(Order(size=SIZE, suffix=".webm"), None, shown(90), None, out)


async def test_one_that_is_killed_is_told_of():
    async with drawer(Order(size=SIZE, coding="vp9")) as process:
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(DrawingFailed, match="died"):
            await forever(process)


async def forever(process, count=1):
    """Ask for pictures, and take them if ``count`` is 1."""
    while True:
        await process.send(framing.FRAMES, frames(0, count))
        if count == 1:
            await process.receive()


@pytest.mark.parametrize("count", [1, 1000])  # one that says nothing, one that takes nothing
async def test_one_that_hangs_is_killed(count):
    async with drawer(Order(size=SIZE, coding="vp9"), patience_s=0.3) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(DrawingFailed, match=r"said nothing for 0\.3 s"):
            await forever(process, count)
    assert gone(process.pid)


async def test_who_is_cancelled_leaves_no_process():
    pids = []
    ready = asyncio.Event()

    async def draw():
        async with drawer(Order(size=SIZE, coding="vp9")) as process:
            pids.append(process.pid)
            ready.set()
            await process.receive()

    task = asyncio.create_task(draw())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(pids[0])


async def test_one_whose_starter_is_gone_ends_by_itself():
    async with drawer(Order(size=SIZE, coding="vp9")) as process:
        process._process.stdin.close()
        assert await asyncio.wait_for(process._process.wait(), 60) == 0

"""Long clips on a fake transport: memory does not grow with them, and nothing of them is left open."""

import asyncio
import functools
import io
import os
import struct
import threading
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake import PARAMETERS, FakeTransport
from virtual import GUARD_S, steps, virtual

from emotalk_client import AsyncEmoTalkClient, EmoTalkClient
from emotalk_client.errors import DeadlineExceeded, ServerError, TruncatedAudio, UnreadableAudio
from emotalk_contract.recipe import Recipe

pytestmark = pytest.mark.unit

RATE = 16_000
MINUTE = 60 * RATE
BLOCK = b"".join(struct.pack("<h", 3_000 * (n % 200 < 100) - n % 977) for n in range(RATE))
"""A second of something, as 16-bit samples."""
NOT_NORMALISING = Recipe(normalisation="none", frame_grid="uniform", window_s=10.0).strings() | {"model": "a fake"}
NORMALISING = {**PARAMETERS, "window_s": "10.0"}


class Tally(list):
    """What was sent, forgotten at once: only how often."""

    def __init__(self):
        super().__init__()
        self.length = 0

    def append(self, _):
        self.length += 1

    def __len__(self):
        return self.length


class Wav(io.RawIOBase):
    """A wav of ``seconds`` seconds, made where it is read, up to ``there`` bytes; each read calls ``meanwhile``."""

    def __init__(self, seconds, there=None, meanwhile=None):
        size = len(BLOCK) * seconds
        head = struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16, b"data", size
        )
        self.head, self.size = head, len(head) + size
        self.there = self.size if there is None else there
        self.meanwhile = meanwhile
        self.place = self.reads = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence]
        return self.place

    def tell(self):
        return self.place

    def readinto(self, buffer):
        self.reads += 1
        if self.meanwhile is not None and self.place:
            self.meanwhile()
        out = memoryview(buffer).cast("B")
        wanted = max(0, min(len(out), self.there - self.place))
        done = 0
        while done < wanted:
            if self.place < len(self.head):
                piece = self.head[self.place :]
            else:
                piece = BLOCK[(self.place - len(self.head)) % len(BLOCK) :]
            piece = piece[: wanted - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
            self.place += len(piece)
        return done


def long_client(parameters=NOT_NORMALISING, script=None, **options):
    transport = FakeTransport(script, parameters)
    transport.sent = Tally()
    return AsyncEmoTalkClient(transport=transport, **options), transport


async def peak_of(work):
    """Bytes that ``work`` held at most."""
    tracemalloc.start()
    try:
        await work
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def watch(maker, source, frames, **options):
    """Stream ``source`` and check every frame, keeping none."""
    expected = 0
    async for frame in maker.stream(source, **options):
        assert (frame.index, frame.weights[0]) == (expected, expected)
        expected += 1
    assert expected == frames


@pytest.mark.parametrize("parameters", [NORMALISING, NOT_NORMALISING], ids=["normalising", "not"])
async def test_ten_minutes_take_no_more_memory_than_one(parameters):
    maker, transport = long_client(parameters, concurrency=3)
    await watch(maker, Wav(5), 150)  # what is imported when first used
    one = await peak_of(watch(maker, Wav(60), 1_800))
    ten = await peak_of(watch(maker, Wav(600), 18_000))
    assert ten < one + MINUTE * 4  # of nine more; what lives at once differs a little from run to run
    assert ten < 10 * MINUTE * 4 / 3  # a third of the samples
    assert transport.most_flying <= 3


async def test_an_array_is_not_copied_whole():
    maker, _ = long_client()
    clip = np.tile(np.frombuffer(BLOCK, np.int16), 600)
    assert await peak_of(watch(maker, clip, 18_000, sample_rate=RATE)) < clip.nbytes / 2


async def test_ten_minutes_become_one_animation_with_progress():
    maker, _ = long_client(NORMALISING, lambda number: 0.003 * (number % 3), concurrency=5)
    told = []
    face = await maker.animate(Wav(600), progress=lambda *at: told.append(at))
    np.testing.assert_array_equal(face.weights[:, 0], np.arange(18_000))
    assert told[-1] == (18_000, 18_000)
    assert all(before[0] < after[0] and after[1] == 18_000 for before, after in pairwise(told))


@virtual
async def test_as_many_windows_fly_as_were_asked_for_and_no_more():
    land = asyncio.Event()
    maker, transport = long_client(script=lambda number: land, concurrency=5)
    call = asyncio.create_task(maker.animate(Wav(600)))
    while transport.flying < 5:
        assert not call.done()
        await asyncio.sleep(0.01)
    await asyncio.sleep(60)  # of the loop's own clock: whatever could go on has
    assert len(transport.sent) == 5
    land.set()
    assert len(await call) == 18_000
    assert transport.most_flying == 5


async def test_progress_of_a_clip_that_is_read_once_is_told_from_its_header():
    maker, _ = long_client(NOT_NORMALISING)
    told = []
    await maker.animate(Wav(100), progress=lambda *at: told.append(at))
    assert {total for _, total in told} == {3_000}
    assert len(told) > 10


async def test_a_file_that_ends_in_the_middle_is_an_error_after_the_frames_before():
    maker, transport = long_client()
    frames = []
    with pytest.raises(TruncatedAudio, match=r"header says 9600000 samples, 4800000 are there"):
        await gather(maker.stream(Wav(600, there=44 + 9_600_000)), frames)
    assert frames == list(range(len(frames)))
    assert len(frames) > 8_000
    assert transport.flying == 0


async def test_a_file_that_changes_while_it_is_used_is_an_error(tmp_path):
    path = tmp_path / "clip.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 2 * MINUTE), RATE)
    size = path.stat().st_size

    def truncate(done, total):
        os.truncate(path, size // 2)

    maker, transport = long_client(NORMALISING)
    with pytest.raises(UnreadableAudio, match=r"clip\.flac"):
        await maker.animate(path, progress=truncate)
    assert transport.flying == 0
    assert not holders(path)


async def gather(stream, frames):
    async for frame in stream:
        frames.append(frame.index)


def holders(path):
    """Descriptors of this process that are ``path``."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            if link.readlink() == path:
                found.append(link.name)
        except OSError:  # it has just been closed
            continue
    return found


@pytest.fixture
def minutes(tmp_path):
    """Two minutes on disk."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.tile(np.frombuffer(BLOCK, np.int16), 120), RATE)
    return path


@pytest.mark.parametrize("parameters", [NORMALISING, NOT_NORMALISING], ids=["normalising", "not"])
async def test_leaving_early_closes_the_file(minutes, parameters):
    maker, transport = long_client(parameters)
    stream = maker.stream(minutes)
    assert (await anext(stream)).index == 0
    assert holders(minutes)
    await stream.aclose()
    assert not holders(minutes)
    assert transport.flying == 0


def test_leaving_early_closes_the_file_for_everybody(minutes):
    transport = FakeTransport(parameters=NOT_NORMALISING)
    with EmoTalkClient(transport=transport) as maker:
        stream = maker.stream(minutes)
        next(stream)
        assert holders(minutes)
        stream.close()
        assert not holders(minutes)


async def test_an_error_closes_the_file(minutes):
    maker, _ = long_client(script={1: ServerError("broken")})
    with pytest.raises(ServerError, match="broken"):
        await maker.animate(minutes)
    assert not holders(minutes)


async def test_a_caller_who_gives_up_while_a_clip_is_read_stops_the_reading():
    maker, transport = long_client(NORMALISING)
    reading, go_on = threading.Event(), threading.Event()

    def held():
        reading.set()
        assert go_on.wait(GUARD_S)

    clip = Wav(600, meanwhile=held)
    call = asyncio.create_task(maker.animate(clip))
    assert await asyncio.to_thread(reading.wait, GUARD_S)
    call.cancel()
    await steps()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, GUARD_S)
    reads = clip.reads
    assert 1 < reads < 20  # of a hundred and more
    await asyncio.to_thread(int)  # after whatever else its thread had to do
    assert clip.reads == reads
    assert len(transport.sent) == 0


@virtual
async def test_the_deadline_is_kept_while_a_clip_is_read():
    maker, transport = long_client(NORMALISING, timeout_s=0.1)
    clip = Wav(600, meanwhile=functools.partial(asyncio.get_running_loop().spend, 0.02))
    with pytest.raises(DeadlineExceeded, match=r"0\.1 s"):
        await maker.animate(clip)
    assert len(transport.sent) == 0
    assert clip.reads < 20


@pytest.mark.parametrize("parameters", [NORMALISING, NOT_NORMALISING], ids=["normalising", "not"])
@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
async def test_an_open_file_is_read_from_where_it_is(parameters, kind):
    audio = io.BytesIO()
    soundfile.write(audio, np.random.default_rng(0).normal(0, 0.1, 3 * RATE), RATE, format=kind)
    maker = AsyncEmoTalkClient(transport=(transport := FakeTransport(parameters=parameters)))
    await maker.animate(io.BytesIO(audio.getvalue()))
    file = io.BytesIO(b"something else" * 100 + audio.getvalue())
    file.seek(1_400)
    assert len(await maker.animate(file)) == 90
    (alone, _), (behind, _) = transport.sent
    np.testing.assert_array_equal(behind["AUDIO"], alone["AUDIO"])


async def test_what_cannot_be_read_twice_is_kept():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    audio = Wav(12).read()
    maker, transport = long_client(NORMALISING)
    assert len(await maker.animate(Pipe(audio))) == 360
    assert len(transport.sent) == 2

"""Pipes are read off the event loop, once, and onto disk where they are much."""

import asyncio
import io
import os
import threading

import numpy as np
import pytest
import soundfile
from fake import client

from emotalk_client.audio import pipes
from emotalk_client.audio.loading import blocks, expected_samples, load
from emotalk_client.errors import InvalidAudio, UnreadableAudio

pytestmark = pytest.mark.unit

RATE = 16_000
SOUND = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)


def wav():
    file = io.BytesIO()
    soundfile.write(file, SOUND, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def filled(content):
    """The reading end of a pipe into which a thread writes ``content``."""
    reads, writes = os.pipe()

    def write():
        with os.fdopen(writes, "wb") as out:
            out.write(content)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return os.fdopen(reads, "rb"), thread


async def test_the_loop_goes_on_while_a_pipe_says_nothing():
    reads, writes = os.pipe()
    maker, _ = client()
    with os.fdopen(reads, "rb") as pipe:
        face = asyncio.create_task(maker.animate(pipe))
        for _ in range(100):  # the loop would stand still in the first read
            await asyncio.sleep(0)
        assert not face.done()
        content = wav()
        sent = asyncio.to_thread(_write_all, writes, content)
        await sent
        assert len((await face).weights) == 90


def _write_all(descriptor, content):
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)


async def test_a_caller_that_leaves_a_silent_pipe_is_let_go():
    reads, writes = os.pipe()
    maker, _ = client()
    pipe = os.fdopen(reads, "rb")
    face = asyncio.create_task(maker.animate(pipe))
    for _ in range(100):
        await asyncio.sleep(0)
    face.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(face, 30)
    reading = [thread for thread in threading.enumerate() if thread.name == "emotalk-pipe"]
    assert reading
    os.close(writes)  # lets them end
    for thread in reading:
        await asyncio.to_thread(thread.join, 30)
    pipe.close()


@pytest.mark.parametrize("most", [0, 1_000, 1 << 30])
def test_a_pipe_is_what_the_file_is(monkeypatch, most):
    monkeypatch.setattr(pipes, "IN_MEMORY", most)
    monkeypatch.setattr(pipes, "_PIECE", 4_096)
    pipe, thread = filled(wav())
    with pipe:
        heard = load(pipe)
    thread.join()
    np.testing.assert_allclose(heard, SOUND, atol=1e-4)


def test_much_of_a_pipe_is_on_disk(monkeypatch):
    monkeypatch.setattr(pipes, "IN_MEMORY", 10_000)
    monkeypatch.setattr(pipes, "_PIECE", 4_096)
    part = pipes.spooled(io.BytesIO(b"x" * 50_000))
    assert not isinstance(part._file, io.BytesIO)
    assert part.read() == b"x" * 50_000
    part.close()
    assert part._file.closed


def test_a_pipe_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(pipes, "MOST_SPOOLED", 3 << 20)

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, target):
            return len(target)

    with pytest.raises(InvalidAudio, match="accepted: a pipe that ends"):
        load(Endless())


def test_a_pipe_with_a_name(tmp_path):
    path = tmp_path / "pipe"
    for read in (lambda: len(load(path)), lambda: expected_samples(path), lambda: sum(map(len, blocks(path)))):
        os.mkfifo(path)
        thread = threading.Thread(target=path.write_bytes, args=(wav(),), daemon=True)
        thread.start()
        assert read() == len(SOUND)
        thread.join()
        path.unlink()


async def test_a_clip_from_a_pipe_with_a_name_is_read_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    maker, _ = client()
    writing = asyncio.create_task(asyncio.to_thread(path.write_bytes, wav()))
    assert len((await maker.animate(path)).weights) == 90
    await writing


async def test_what_is_wrong_with_a_pipe_is_said():
    maker, _ = client()
    pipe, thread = filled(b"no sound at all, and no magic either")
    with pipe, pytest.raises(UnreadableAudio, match="the file cannot be read as audio"):
        await maker.animate(pipe)
    thread.join()

    class Text(io.BytesIO):
        def seekable(self):
            return False

        def read(self, size=-1):
            return super().read(size).decode()

    with pytest.raises(InvalidAudio, match="opened as text"):
        await maker.animate(Text(b"text"))

"""A client that is closed, forgotten, shared or left open: nothing hangs, nothing stays, nothing is said."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fake import FakeTransport, client
from virtual import GUARD_S, virtual

from emotalk_client import ClientClosed, DeadlineExceeded, EmoTalkClient

pytestmark = pytest.mark.unit

CLIP = np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "emotalk-client"]


def soon(condition):
    end = time.monotonic() + GUARD_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_a_forgotten_client_takes_its_thread_with_it():
    class Holder:
        pass

    holder = Holder()
    holder.client, holder.itself = EmoTalkClient(transport=FakeTransport()), holder
    del holder
    gc.collect()
    assert soon(lambda: not threads())


def test_a_client_collected_on_its_own_thread_does_not_wait_for_itself(monkeypatch):
    maker = [EmoTalkClient(transport=FakeTransport())]
    loop = maker[0]._loop
    joined = []
    monkeypatch.setattr(threading.Thread, "join", lambda thread, timeout=None: joined.append(thread.name))
    loop.call_soon_threadsafe(maker.clear)
    assert soon(lambda: not threads())
    assert "emotalk-client" not in joined


@pytest.mark.parametrize("windows", [0, 1, 4, 40])
def test_closing_while_other_threads_work_ends_them_all(windows):
    transport = FakeTransport(dict.fromkeys(range(10_000), 0.001))
    maker, seen = EmoTalkClient(transport=transport), []

    def work():
        try:
            while True:
                maker.animate(CLIP[:16_000], sample_rate=16_000, window=0.5)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is compared
            seen.append(type(error))

    workers = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert soon(lambda: len(transport.sent) >= windows)
    maker.close()
    for worker in workers:
        worker.join(GUARD_S)
    assert seen == [ClientClosed] * 4
    assert not threads()


def test_a_script_that_closes_nothing_ends_at_once_and_in_silence():
    code = """
import numpy as np
from fake import FakeTransport
from emotalk_client import EmoTalkClient
maker = EmoTalkClient(transport=FakeTransport(dict.fromkeys(range(2, 99), 3_600)))
stream = maker.stream(np.zeros(160_000, np.float32), sample_rate=16_000, window=2.0)
print(next(stream).index)
"""
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        cwd=Path(__file__).parents[1] / "helpers",  # where `fake` is
        capture_output=True,
        text=True,
        timeout=GUARD_S,  # far less than its windows take
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "0\n", "")


@virtual
async def test_a_callers_own_time_between_frames_is_not_the_calls():
    maker, _ = client(dict.fromkeys(range(99), 0.02), timeout_s=1.0, concurrency=1)
    frames, paused = 0, 0
    async for frame in maker.stream(CLIP, sample_rate=16_000, window=2.0, overlap=0.0):
        frames += 1
        if frame.index % 60 == 59:
            await asyncio.sleep(0.4)
            paused += 1
    assert (frames, paused) == (300, 5)  # 2 s of pauses in a call of at most 1 s


@virtual
async def test_the_calls_own_time_is():
    maker, _ = client(dict.fromkeys(range(99), 0.2), timeout_s=0.5, concurrency=1)
    with pytest.raises(DeadlineExceeded, match=r"0\.5 s"):
        await maker.animate(CLIP, sample_rate=16_000, window=2.0)

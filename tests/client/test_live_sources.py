"""Where a live stream's speech comes from, and how late its frames are."""

import io
import time

import numpy as np
import pytest
import soundfile

from emotalk_client.audio.loading import load
from emotalk_client.errors import MissingExtra, NoSoundDevice
from emotalk_client.faces.animation import Frame
from emotalk_client.live.latency import LatencyMeter
from emotalk_client.live.sources import file_blocks, microphone, paced, pcm_blocks

pytestmark = pytest.mark.unit


def test_a_files_blocks_are_the_file(tmp_path):
    samples = np.random.default_rng(1).normal(0, 0.1, 44_100 + 77).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, 44_100)
    parts = list(file_blocks(tmp_path / "x.wav"))
    assert {len(part) for part in parts[:-1]} == {160}
    assert 0 < len(parts[-1]) <= 160
    np.testing.assert_array_equal(np.concatenate(parts), load(tmp_path / "x.wav"))


class Dribble(io.RawIOBase):
    """A pipe that gives what it has: 1, 2, 3 … bytes at a time."""

    def __init__(self, content):
        self._content, self._turn = content, 0

    def read(self, _most):
        self._turn += 1
        out, self._content = self._content[: self._turn], self._content[self._turn :]
        return out


@pytest.mark.parametrize(("kind", "dtype"), [("s16le", "<i2"), ("s32le", "<i4"), ("f32le", "<f4")])
@pytest.mark.parametrize("channels", [1, 2])
def test_raw_samples_survive_any_cut_and_an_incomplete_last_one_is_dropped(kind, dtype, channels):
    samples = np.arange(1, 601).astype(dtype).reshape(-1, channels)
    blocks = list(pcm_blocks(Dribble(samples.tobytes() + b"\x01"), kind, 16_000, channels))
    assert len(blocks) > 10
    np.testing.assert_array_equal(np.concatenate(blocks), samples)


def test_raw_samples_come_in_blocks_of_ten_milliseconds():
    blocks = list(pcm_blocks(io.BytesIO(bytes(2 * 4800)), "s16le", 48_000, 1))
    assert [len(block) for block in blocks] == [480] * 10


def test_a_paced_source_waits_until_a_block_would_have_been_spoken(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    moments = []
    for number, block in enumerate(paced(iter([np.zeros(160)] * 4), 16_000)):
        moments.append(round(now[0] - 100, 6))
        assert len(block) == 160
        now[0] += 0.025 if number == 1 else 0  # whoever takes it was slow once: later blocks make up for it
    assert moments == [0.01, 0.02, 0.045, 0.045]


def test_latency_runs_from_the_block_that_holds_the_frames_moment():
    now = [0.0]
    meter = LatencyMeter(lambda: now[0])
    for block in range(1, 11):
        now[0] = block * 0.01
        meter.spoken(block * 0.01)
    now[0] = 0.25
    weights = np.zeros(52, np.float32)
    assert meter.arrived(Frame(0, 0.0, weights)) == pytest.approx(0.24)
    assert meter.arrived(Frame(1, 1 / 30, weights)) == pytest.approx(0.25 - 0.04)
    assert meter.arrived(Frame(2, 2 / 30, weights)) == pytest.approx(0.25 - 0.07)


def test_without_a_microphone_the_error_says_what_is_missing():
    with pytest.raises((MissingExtra, NoSoundDevice), match=r"microphone|record"), microphone("none such", 16_000):
        pass

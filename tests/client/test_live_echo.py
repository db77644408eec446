"""The sound that goes with each frame."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_client.live.echo import SpokenEcho, first_sample, pcm16

pytestmark = pytest.mark.unit
RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 16_001)


@given(
    rate=st.sampled_from(RATES),
    length=st.integers(1, 30_000),
    pushes=st.lists(st.integers(0, 30_000), max_size=6),
    takes=st.lists(st.integers(0, 110), max_size=6),
)
def test_put_together_it_is_what_was_spoken_and_silence_up_to_a_whole_frame(rate, length, pushes, takes):
    spoken = np.arange(1, length + 1).astype(np.int16)
    echo = SpokenEcho(rate)
    for start, end in itertools.pairwise([0, *sorted(min(cut, length) for cut in pushes), length]):
        echo.push(spoken[start:end])
    frames = math.ceil(30 * length / rate)
    bounds = [0, *sorted(min(cut, frames) for cut in takes), frames]
    sounds = [sound for first, end in itertools.pairwise(bounds) for sound in echo.take(first, end - first)]
    assert len(sounds) == frames
    heard = np.frombuffer(b"".join(sounds), "<i2")
    assert len(heard) == first_sample(frames, rate)
    np.testing.assert_array_equal(heard[:length], spoken)
    assert not heard[length:].any()


@pytest.mark.parametrize("rate", RATES)
def test_an_hour_of_frames_drifts_by_less_than_a_sample(rate):
    for frame in range(0, 108_001, 37):
        assert 0 <= frame * rate / 30 - first_sample(frame, rate) < 1


def test_sound_of_frames_that_were_left_out_comes_with_the_next():
    echo = SpokenEcho(3_000)
    echo.push(np.arange(300, dtype=np.int16))
    assert np.frombuffer(echo.take(1, 1)[0], "<i2").tolist() == list(range(200))
    assert np.frombuffer(echo.take(2, 1)[0], "<i2").tolist() == list(range(200, 300))


def test_floats_are_scaled_rounded_and_cut_off():
    assert np.frombuffer(pcm16(np.array([0, 0.5, -1, 1, 2.5, -7, 0.6 / 32768], np.float32)), "<i2").tolist() == [
        *(0, 16384, -32768, 32767, 32767, -32768, 1)
    ]


def test_int16_that_went_through_floats_is_itself():
    samples = np.arange(-32768, 32768).astype(np.int16)
    assert pcm16(samples.astype(np.float32) / 32768) == samples.tobytes()

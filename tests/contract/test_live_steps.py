"""The arithmetic of a live stream's steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_contract import tensors
from emotalk_contract.limits import MIN_SAMPLES
from emotalk_contract.live_steps import (
    NEIGHBOURS,
    SMOOTHED_ROWS,
    Step,
    StepReach,
    features_in_all,
    frames_in_all,
    known_for,
    settled,
)
from emotalk_contract.timing import FEATURE_HOP, FPS, SAMPLE_RATE

pytestmark = pytest.mark.unit

REACH = StepReach(lead=520, ahead=4, emotion_ahead=2)


@given(st.integers(0, 10**9))
def test_a_feature_is_there_once_all_that_it_hears_was_spoken(samples):
    features = REACH.features(samples)
    if features:
        assert (features - 1) * FEATURE_HOP + REACH.lead <= samples
    assert features * FEATURE_HOP + REACH.lead > samples


@given(st.integers(1, 10**7))
def test_a_frame_is_known_once_its_last_feature_is_there(frame):
    """In exact arithmetic: frame f lies at feature 5 f / 3, and what is there are the features 0 .. n - 1."""
    last = -(-5 * (frame - 1) // 3) + REACH.ahead
    assert REACH.known(last + 1) >= frame
    assert REACH.known(last) < frame
    assert REACH.needed(frame) == last + 1


@given(st.integers(0, 10**6), st.integers(1, 250))
def test_steps_overlap_by_what_a_feature_hears(first, features):
    start, samples = REACH.span(first, features)
    after, _ = REACH.span(first + features, 1)
    assert start + samples == after + 2 * REACH.lead - FEATURE_HOP


@given(st.integers(1, 10**6), st.booleans(), st.booleans())
def test_what_a_frame_waits_for_is_the_least_that_settles_it(frames, smooth, prompt):
    known = known_for(frames, smooth=smooth, prompt=prompt)
    assert settled(known, smooth=smooth, prompt=prompt) >= frames
    assert settled(known - 1, smooth=smooth, prompt=prompt) < frames


def test_smoothed_frames_wait_for_both_neighbours_and_the_first_for_its_parabola():
    assert [settled(n, smooth=True, prompt=False) for n in range(SMOOTHED_ROWS + 2)] == [0, 0, 0, 0, 0, 3, 4]
    assert NEIGHBOURS == 2


@settings(max_examples=200)
@given(st.integers(0, 400), st.integers(1, 60), st.booleans())
def test_a_steps_rows_follow_those_of_the_step_before(first, features, prompt):
    one = Step.within(REACH, first, features, prompt=prompt)
    two = Step.within(REACH, first + features, 3, prompt=prompt)
    assert one.known == two.known_before
    inputs = one.inputs()
    rows = inputs[tensors.STEP_EMOTION_POSITIONS.name].shape[1]
    assert rows == one.known - one.known_before + one.provisional
    assert rows >= 1  # the graph computes a frame at least
    assert inputs[tensors.STEP_POSITIONS.name].shape[1] == one.known - one.known_before


@settings(max_examples=200)
@given(st.integers(MIN_SAMPLES, 200_000), st.integers(0, 600))
def test_the_last_step_has_rows_for_every_frame_that_is_left(samples, sent):
    first = min(sent, REACH.features(samples))
    step = Step.last(REACH, first, samples)
    assert step.features >= 1
    assert first + step.features >= features_in_all(samples)
    assert step.known + step.provisional >= frames_in_all(samples)
    positions = np.concatenate(
        [step.inputs()[tensors.STEP_POSITIONS.name], step.inputs()[tensors.DRAIN_POSITIONS.name]], 1
    )
    assert positions.max(initial=-1) <= features_in_all(samples) - 1 - first  # none beyond the stream's last feature


def test_positions_are_exact_far_into_a_stream():
    """Ten years: positions are relative to the step, so that float32 holds them."""
    first = 5 * 10**9
    near, far = Step.within(REACH, 500, 7), Step.within(REACH, first, 7)
    for name, array in near.inputs().items():
        if name != tensors.BOUNDS.name:
            np.testing.assert_array_equal(array, far.inputs()[name])


def test_a_stream_of_a_known_network_waits_as_long_as_its_card_says():
    """126 ms to a raw frame at most, for the bundled network."""
    waits = [REACH.spoken(REACH.needed(frame + 1)) / SAMPLE_RATE - frame / FPS for frame in range(30)]
    assert max(waits) == pytest.approx(0.125833, abs=1e-4)

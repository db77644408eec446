"""Statistics of a clip: what a norm over the whole clip needs, however the sound was cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_contract.clip_statistics import (
    PATCH,
    PATCH_HOP,
    PatchStatistics,
    running_statistics,
    statistics_of,
    statistics_width,
)

pytestmark = pytest.mark.unit


def sound(samples, seed=0):
    """Neighbouring samples nearly alike, as in speech."""
    noise = np.random.default_rng(seed).standard_normal(samples + 20)
    return (0.1 * np.convolve(noise, np.hanning(21) / 3, "valid")[:samples] + 0.02).astype(np.float32)


def channel(audio, kernel):
    """What a convolution with ``kernel`` [10], 5 apart, gives in float64."""
    return np.correlate(audio.astype(np.float64), kernel.astype(np.float64), "valid")[::PATCH_HOP]


@pytest.mark.parametrize("kernel", ["random", "difference", "mean"])
def test_a_channels_mean_and_variance_follow_from_the_patches(kernel):
    audio = sound(48_123)
    weights = {
        "random": np.random.default_rng(3).standard_normal(PATCH),
        "difference": np.diff(np.eye(PATCH), 5, axis=0)[0],  # wᵀCw in float32 is off by a third here
        "mean": np.full(PATCH, 0.1),
    }[kernel]
    statistics = statistics_of(audio, "patches")
    mean, root = statistics[:PATCH], statistics[PATCH:].reshape(PATCH, PATCH)
    expected = channel(audio, weights)
    assert np.dot(weights, mean) == pytest.approx(expected.mean(), abs=1e-6)
    assert np.square(root.T @ weights).sum() == pytest.approx(expected.var(), rel=1e-3)


@pytest.mark.parametrize("normalisation", ["clip", "patches"])
@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 700), max_size=12))
def test_cuts_change_nothing(normalisation, cuts):
    audio = sound(3_000)
    counter = running_statistics(normalisation)
    start = 0
    for cut in cuts:
        counter.push(audio[start : start + cut])
        start += cut
    counter.push(audio[start:])
    given, whole = counter.value(), statistics_of(audio, normalisation)
    assert given.shape == whole.shape == (statistics_width(normalisation),)
    if normalisation == "patches":  # a root is one of many
        given, whole = (
            np.concatenate([v[:PATCH], (r := v[PATCH:].reshape(10, 10)) @ r.T @ np.eye(10)[0]]) for v in (given, whole)
        )
    np.testing.assert_allclose(given, whole, rtol=0, atol=1e-7)


@pytest.mark.parametrize("samples", [0, 9, 10, 400])
@pytest.mark.parametrize("normalisation", ["clip", "patches"])
def test_silence_and_next_to_nothing_are_finite(samples, normalisation):
    counter = running_statistics(normalisation)
    counter.push(np.zeros(samples, np.float32))
    assert not counter.value().any()


def test_of_a_batch_each_gets_its_own():
    audio = np.stack([sound(2_000, seed) for seed in range(3)])
    for normalisation in ("clip", "patches"):
        rows = statistics_of(audio, normalisation)
        assert rows.dtype == np.float32
        for row, clip in zip(rows, audio, strict=True):
            np.testing.assert_array_equal(row, statistics_of(clip, normalisation))


def test_a_prior_weighs_as_much_as_it_counts():
    prior = PatchStatistics(1_000, np.eye(PATCH))
    assert not prior.value()[:PATCH].any()
    prior.push(np.zeros(PATCH + 999 * PATCH_HOP, np.float32))  # a thousand patches of nothing
    root = prior.value()[PATCH:].reshape(PATCH, PATCH)
    np.testing.assert_allclose(root @ root.T, np.eye(PATCH) / 2, atol=1e-6)

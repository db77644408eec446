"""The shapes that TensorRT plans take hold whatever preprocessing gives the networks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_contract import limits, tensors
from emotalk_contract.pipeline import pipeline
from emotalk_contract.plans import profiles
from emotalk_contract.recipe import Manifest, Recipe, Widths
from emotalk_contract.repository import bundled
from emotalk_contract.timing import FEATURE_SPAN, GRID_FRAMES, GRID_SAMPLES, SAMPLE_RATE, feature_count
from emotalk_ensemble.preprocess import preprocess

pytestmark = pytest.mark.unit

EMOTALK = Recipe(), Widths(512, 512, 1024, 1024)
BUNDLED = Manifest.load(bundled()).recipe, Manifest.load(bundled()).widths
SHORT = replace(EMOTALK[0], min_samples=FEATURE_SPAN, window_s=25.0), EMOTALK[1]
SERVED = pytest.mark.parametrize(("recipe", "widths"), [EMOTALK, BUNDLED, SHORT])


def by_name(recipe, widths):
    return {one.name: one for model in pipeline(recipe).graphs for one in profiles(model, widths, recipe)}


def holds(profile, shape):
    corners = zip(profile.smallest, shape, profile.largest, strict=True)
    return all(least <= size <= most for least, size, most in corners)


def sent(recipe, samples, batch=1, start=0, clip=None):
    """Return what the networks get for windows of ``samples`` samples that start at the frame ``start``."""
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (batch, samples)).astype(np.float32)
    inputs = {tensors.AUDIO.name: audio, "START_FRAME": np.full((batch, 1), start, np.int64)}
    if clip is not None:
        inputs["CLIP_SAMPLES"] = np.full((batch, 1), clip, np.int64)
    if recipe.knows_its_clip:
        inputs["CLIP_STATS"] = np.tile(np.array([[0.0, 1.0]], np.float32), (batch, 1))
    return preprocess(inputs, {}, recipe)


def check(recipe, widths, arrays, samples):
    known = by_name(recipe, widths)
    held = [name for name, array in arrays.items() if name in known]
    assert {"NETWORK_AUDIO", "CONTENT_POSITIONS"} <= set(held)
    for name in held:
        assert holds(known[name], arrays[name].shape), (name, arrays[name].shape, known[name])
    features = feature_count(samples)
    assert known["CONTENT_FEATURES"].smallest[1] <= features <= known["CONTENT_FEATURES"].largest[1]


@SERVED
def test_the_shortest_clip_is_taken_for_a_server_is_probed_with_it(recipe, widths):
    assert recipe.min_samples <= limits.MIN_SAMPLES
    for samples in (recipe.min_samples, limits.MIN_SAMPLES):
        check(recipe, widths, sent(recipe, samples), samples)


@SERVED
def test_the_longest_window_of_clients_is_taken_by_eight(recipe, widths):
    samples = round(recipe.window_s * SAMPLE_RATE)
    check(recipe, widths, sent(recipe, samples, limits.MAX_BATCH), samples)


@SERVED
@given(data=st.data())
def test_any_window_of_a_clip_is_taken(recipe, widths, data):
    samples = data.draw(st.integers(recipe.min_samples, round(recipe.window_s * SAMPLE_RATE)))
    start = GRID_FRAMES * data.draw(st.integers(0, 10_000))
    first = start // GRID_FRAMES * GRID_SAMPLES
    clip = first + samples + data.draw(st.integers(0, 10**6))
    check(recipe, widths, sent(recipe, samples, 1, start, clip), samples)


def test_best_is_between_smallest_and_largest():
    for recipe, widths in (EMOTALK, BUNDLED, SHORT):
        assert all(holds(one, one.best) for one in by_name(recipe, widths).values())

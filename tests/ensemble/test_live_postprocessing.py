"""A live stream's faces are its whole clip's, whatever its options, on raw weights that do not depend on the steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_contract import tensors
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.live_steps import Step, features_in_all, frames_in_all
from emotalk_contract.options import Options
from emotalk_contract.recipe import Manifest
from emotalk_contract.regions import FACE_PARAMETERS
from emotalk_contract.repository import bundled
from emotalk_contract.timing import FEATURE_HOP, frame_count
from emotalk_ensemble.live import LiveSteps
from emotalk_ensemble.live_state import HISTORY, MOST_HISTORY, StateCodec
from emotalk_ensemble.postprocess import face

pytestmark = pytest.mark.unit

RECIPE = Manifest.load(bundled()).recipe
REACH = RECIPE.steps
CODEC = StateCodec(b"weights1", 3)
RAW = np.random.default_rng(5).uniform(-0.1, 1.1, (600, 52)).astype(np.float32)
OPTIONS = st.builds(
    Options,
    smooth=st.booleans(),
    blink=st.booleans(),
    clamp=st.booleans(),
    raw=st.sampled_from([False, False, False, True]),
    emotions=st.dictionaries(st.sampled_from(list(EMOTIONS)), st.floats(0, 1), max_size=2),
    emotion_keys=st.lists(
        st.fixed_dictionaries(
            {
                "time": st.floats(0, 3),
                "emotions": st.dictionaries(st.sampled_from(list(EMOTIONS)), st.floats(0, 1), max_size=2),
            }
        ),
        max_size=4,
    ),
    emotion_transition=st.floats(0, 1),
    emotion_strength=st.floats(0, 2),
    region=st.fixed_dictionaries(
        {}, optional={name: st.floats(p.least, p.most) for name, p in FACE_PARAMETERS.items()}
    ),
)


def graph(inputs):
    """The raw weights of a clip that is known before it is spoken."""
    before = -int(inputs[tensors.BOUNDS.name][0, 2])
    rows = inputs[tensors.STEP_POSITIONS.name].shape[1] + inputs[tensors.DRAIN_POSITIONS.name].shape[1]
    frames = np.clip(np.arange(before, before + rows), 0, len(RAW) - 1)
    return {tensors.STEP_ROWS.name: RAW[None, frames], tensors.NEXT_CACHE.name: inputs[tensors.CACHE.name]}


def streamed(samples, sizes, options, state_sizes=None):
    steps = LiveSteps(graph, RECIPE, REACH, CODEC)
    state, first, out = None, 0, []
    sizes = iter(sizes)
    while first < features_in_all(samples):
        features = next(sizes, 40)
        inputs = {}
        step = Step.within(REACH, first, features)
        if first + features >= REACH.features(samples):
            step = Step.last(REACH, first, samples)
            inputs["CLIP_SAMPLES"] = np.array([[samples]], np.int64)
        inputs["AUDIO"] = np.zeros((1, step.span()[1]), np.float32)
        if state is not None:
            inputs["STATE"] = state
        (answer,) = steps.answers([steps.read(inputs, options.parameters())])
        assert isinstance(answer, dict), answer
        state, first = answer["STATE"], first + step.features
        if state_sizes is not None:
            state_sizes.append(state.shape[1])
        out.append(answer["BLENDSHAPES"][0])
    return np.concatenate(out)


@settings(deadline=None, max_examples=150)
@given(OPTIONS, st.lists(st.integers(1, 60), max_size=60), st.integers(4000, 60_000))
def test_live_equals_whole_to_the_last_bit(options, sizes, samples):
    whole = face(RAW[: frames_in_all(samples)], 0, options)[: frame_count(samples)]
    np.testing.assert_array_equal(streamed(samples, sizes, options), whole)


def test_a_state_grows_only_with_what_its_filters_look_back():
    samples = 200 * FEATURE_HOP
    for region, most in (
        ({}, HISTORY),
        ({"lowerFaceSmoothing": 0.006}, HISTORY + 2),
        ({"upperFaceSmoothing": 1}, MOST_HISTORY),
    ):
        found = []
        streamed(samples, [5] * 100, Options(region=region), found)
        assert max(found) == CODEC.size(most)

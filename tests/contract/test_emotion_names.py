"""The names of the emotions that a network detects, and the output that comes of them."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_contract import tensors
from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import EMOTION_NAME, Manifest, ManifestError, Recipe, Widths
from emotalk_contract.repository import bundled

pytestmark = pytest.mark.unit

NAMES = ("calm", "joy", "Wut")


@given(st.lists(st.from_regex(EMOTION_NAME, fullmatch=True), unique=True, max_size=9))
def test_names_go_through_a_config_and_a_manifest(names):
    recipe = Recipe(detected_emotions=tuple(names))
    assert Recipe.from_strings(recipe.strings()) == recipe
    assert Recipe(**json.loads(json.dumps(asdict(recipe)))) == recipe


@pytest.mark.parametrize("names", [("",), ("a,b",), (" a",), ("a", "a"), (7,), ("x" * 65,), ("a\n",)])
def test_what_is_not_a_name(names):
    with pytest.raises(ManifestError, match="accepted"):
        Recipe(detected_emotions=names)


def test_no_detection_without_emotions():
    with pytest.raises(ManifestError, match="model without emotions detects"):
        Recipe(normalisation="none", emotional=False, detected_emotions=NAMES)


def test_names_and_width_agree():
    with pytest.raises(ManifestError, match="names 3 emotions"):
        Manifest("weights", Recipe(detected_emotions=NAMES), Widths(5, 6, 7, 8, detected_emotions=2))


def test_only_a_model_that_detects_has_the_output():
    assert tensors.EMOTIONS in pipeline(Recipe(detected_emotions=NAMES)).ensemble.outputs
    assert pipeline(Recipe()).ensemble.outputs == (tensors.BLENDSHAPES, tensors.TIMECODES)
    assert pipeline(Manifest.load(bundled()).recipe).ensemble.outputs == (tensors.BLENDSHAPES, tensors.TIMECODES)

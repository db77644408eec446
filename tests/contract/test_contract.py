"""The contract itself: names, orders, options, errors, manifests."""

import json

import pytest

from emotalk_contract import arkit, errors, tensors
from emotalk_contract.options import Options
from emotalk_contract.pipeline import OPTIONAL_STEPS, pipeline
from emotalk_contract.recipe import Manifest, ManifestError, Recipe, Widths

pytestmark = pytest.mark.unit

MANIFEST = Manifest("for a test", Recipe(), Widths(32, 32, 64, 64), provenance={"seed": 7})


def test_emotalk_order_is_the_52_names_in_ascii_order():
    assert list(arkit.BLENDSHAPES) == sorted(arkit.BLENDSHAPES)
    assert len(set(arkit.BLENDSHAPES)) == 52
    # The places that the paper's post-processing and its readers rely on.
    assert [arkit.INDEX[n] for n in ("browDownLeft", "eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "tongueOut")] == [
        0,
        8,
        9,
        24,
        51,
    ]


def test_other_orders_are_permutations_and_live_link_swaps_left_and_right():
    for order in (arkit.APPLE_ORDER, arkit.LIVE_LINK_CSV_ORDER):
        assert sorted(order) == sorted(arkit.BLENDSHAPES)
    apple, csv = arkit.APPLE_ORDER, arkit.LIVE_LINK_CSV_ORDER
    assert [i for i in range(52) if apple[i] != csv[i]] == [15, 16, 21, 22]
    assert csv[15:17] == ("jawRight", "jawLeft")
    assert csv[21:23] == ("mouthRight", "mouthLeft")
    assert arkit.columns(apple)[:7] == [8, 10, 12, 14, 16, 18, 20]


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(normalisation="patches", emotional=False)])
def test_steps_hand_on_what_the_next_ones_take(recipe):
    known = {t.name for t in tensors.ENSEMBLE.inputs}
    for model in pipeline(recipe).steps:
        assert {t.name for t in model.inputs} <= known
        known |= {t.name for t in model.outputs}
    assert {t.name for t in pipeline(recipe).ensemble.outputs} <= known


def test_only_the_optional_steps_are_ever_missing():
    usual = {model.name for model in pipeline(Recipe()).steps}
    least = {model.name for model in pipeline(Recipe(normalisation="none", emotional=False)).steps}
    assert usual == {model.name for model in tensors.STEPS}
    assert usual - least == OPTIONAL_STEPS


def test_an_emotion_clip_cannot_share_a_normalised_first_convolution():
    with pytest.raises(ManifestError, match=r"'patches' for an emotional model; accepted: 'clip' or 'none'"):
        Recipe(normalisation="patches")
    with pytest.raises(ManifestError, match="12 styles, the widths say 24"):
        Manifest("two opinions", Recipe(styles=12), Widths(1, 1, 1, 1))
    with pytest.raises(ManifestError, match="styles is 0"):
        Recipe(styles=0)


def test_options_survive_the_journey_as_parameters():
    options = Options(smooth=False, seed=9, emotions={"joy": 0.5}, gains={"jawOpen": 1.5}, offsets={"tongueOut": -0.25})
    assert Options.parse(options.parameters()) == options
    assert Options().parameters() == {}
    assert Options.parse({"smooth": "false", "seed": "9", "blink": 1}) == Options(smooth=False, seed=9)


@pytest.mark.parametrize(
    ("parameters", "kind", "words"),
    [
        ({"smoth": True}, errors.UnknownOption, "'smoth'.*accepted: blink"),
        ({"smooth": "maybe"}, errors.InvalidOption, "'maybe'"),
        ({"smooth": 2}, errors.InvalidOption, "smooth is 2"),
        ({"seed": -1}, errors.InvalidOption, "seed is -1"),
        ({"seed": 2**63}, errors.InvalidOption, "seed"),
        ({"seed": 1.5}, errors.InvalidOption, "1.5"),
        ({"seed": True}, errors.InvalidOption, "True"),
        ({"gains": "{"}, errors.InvalidOption, "not JSON"),
        ({"gains": "[1]"}, errors.InvalidOption, "JSON object"),
        ({"gains": '{"jawOpen": "big"}'}, errors.InvalidOption, "jawOpen.*'big'"),
        ({"gains": '{"jawOpen": NaN}'}, errors.InvalidOption, "nan"),
        ({"offsets": '{"jawOpen": 1e9}'}, errors.InvalidOption, "-1000..1000"),
        ({"offsets": '{"jaw": 1}'}, errors.UnknownBlendshape, "'jaw'"),
        ({"emotions": "joy"}, errors.InvalidOption, r"'joy', which is not JSON; accepted: \{\"joy\": 0\.8\}"),
        ({"emotions": '["joy"]'}, errors.InvalidOption, "JSON object"),
        ({"emotions": '{"bliss": 1}'}, errors.UnknownEmotion, "'bliss'; accepted: amazement, anger.*sadness"),
        ({"emotions": '{"joy": 1.01}'}, errors.EmotionOutOfRange, r"emotions\['joy'\] is 1\.01; accepted: 0\.\.1"),
        ({"emotions": '{"joy": -0.1}'}, errors.EmotionOutOfRange, r"-0\.1"),
        ({"emotions": '{"joy": NaN}'}, errors.EmotionOutOfRange, "nan"),
        ({"emotions": '{"joy": true}'}, errors.EmotionOutOfRange, "True"),
    ],
)
def test_bad_options_have_their_own_errors(parameters, kind, words):
    with pytest.raises(errors.InvalidRequest, match=words) as caught:
        Options.parse(parameters)
    assert type(caught.value) is kind


def test_an_error_is_found_again_in_a_servers_message():
    sent = errors.PersonOutOfRange("PERSON is 24; accepted: 0..23")
    found = errors.from_message(f"[StatusCode.INVALID_ARGUMENT] in ensemble 'emotalk', {sent.tagged()}")
    assert type(found) is errors.PersonOutOfRange
    assert str(found) == str(sent)
    assert errors.from_message("[StatusCode.UNAVAILABLE] no such thing") is None


def test_a_manifest_survives_the_journey(tmp_path):
    MANIFEST.save(tmp_path)
    assert Manifest.load(tmp_path) == MANIFEST
    assert Recipe.from_strings({**MANIFEST.recipe.strings(), "more": "of it"}) == MANIFEST.recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("model"), "model"),
        (lambda c: c["recipe"].update(frame_grid="square"), "'square'"),
        (lambda c: c["widths"].pop("content"), "content"),
    ],
)
def test_a_broken_manifest_says_what_is_wrong(tmp_path, change, words):
    MANIFEST.save(tmp_path)
    path = tmp_path / "MANIFEST.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=words):
        Manifest.load(tmp_path)


def test_a_missing_manifest_says_who_writes_it(tmp_path):
    with pytest.raises(ManifestError, match="emotalk-export"):
        Manifest.load(tmp_path)

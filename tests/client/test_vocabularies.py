"""Vocabularies of rigs: one matrix each."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_client import Animation, InvalidMap
from emotalk_client.faces.vocabularies import POSES, VOCABULARIES, vocabulary, vocabulary_of
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.errors import InvalidOption
from emotalk_contract.lips import gap_mm

pytestmark = pytest.mark.unit


CLOSED = [
    {
        "jawOpen": 0.07,
        "mouthClose": 0.06,
        "mouthFunnel": 0.09,
        "mouthPressLeft": 0.4,
        "mouthPressRight": 0.4,
        "mouthPucker": 0.31,
        "mouthRollLower": 0.24,
        "mouthRollUpper": 0.2,
        "mouthShrugLower": 0.09,
    },
    {
        "jawOpen": 0.08,
        "mouthClose": 0.07,
        "mouthPressLeft": 0.37,
        "mouthPressRight": 0.37,
        "mouthRollLower": 0.6,
        "mouthRollUpper": 0.19,
        "mouthShrugLower": 0.21,
        "mouthUpperUpLeft": 0.23,
        "mouthUpperUpRight": 0.23,
    },
]
"""Closed lips of the sample voice's face in the middle of other movements."""


def face_of(pose):
    weights = np.zeros((1, 52), np.float32)
    for name, amount in pose.items():
        weights[0, INDEX[name]] = amount
    return weights


def shown(name, weights):
    """The face of a rig that is its poses, [F, 52]."""
    words = vocabulary(name)
    poses = {one: pose for group in POSES[name].values() for one, pose in group.items()}
    return np.clip(words.of(weights) @ np.concatenate([face_of(poses[one]) for one in words.names]), 0, 1)


@pytest.mark.parametrize("name", ["arkit", "pascal"])
def test_other_spellings_are_the_same_weights(name):
    words = vocabulary(name)
    weights = np.random.default_rng(0).uniform(0, 1, (5, 52)).astype(np.float32)
    np.testing.assert_array_equal(words.of(weights), weights)
    assert [one.casefold() for one in words.names] == [one.casefold() for one in BLENDSHAPES]


@pytest.mark.parametrize("name", list(POSES))
def test_a_pose_is_shown_by_its_own_expression_most(name):
    words = vocabulary(name)
    for poses in POSES[name].values():
        for one, pose in poses.items():
            assert words.names[int(words.of(face_of(pose))[0].argmax())] == one


@pytest.mark.parametrize("name", list(POSES))
def test_a_face_at_rest_is_at_rest_and_amounts_stay_in_range(name):
    words = vocabulary(name)
    assert not words.of(np.zeros((1, 52), np.float32)).any()
    amounts = words.of(np.random.default_rng(1).uniform(-1, 2, (200, 52)).astype(np.float32))
    assert 0 <= amounts.min() <= amounts.max() <= 1


@pytest.mark.parametrize("name", list(POSES))
def test_coarse_rigs_open_their_mouths_as_the_face_does(name):
    """Vowels of growing openings."""
    jaw = np.linspace(0.05, 0.6, 12, dtype=np.float32)
    weights = np.zeros((12, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = jaw
    gaps = gap_mm(shown(name, weights))
    assert np.corrcoef(gaps, gap_mm(weights))[0, 1] > 0.95


@pytest.mark.parametrize("name", list(POSES))
@pytest.mark.parametrize(
    "pose", [{"mouthPressLeft": 0.7, "mouthPressRight": 0.7}, {"jawOpen": 0.2, "mouthClose": 0.2}, *CLOSED]
)
def test_lips_that_close_stay_closed(name, pose):
    weights = face_of({**pose, "jawOpen": pose.get("jawOpen", 0.05)})
    assert gap_mm(shown(name, weights))[0] < 0.7


def test_both_eyes_blink_and_the_persons_left_is_left():
    words = vocabulary("vrm")
    shown_by = words.of(face_of({"eyeBlinkLeft": 1, "eyeLookOutLeft": 1, "eyeLookInRight": 1}))[0]
    amounts = dict(zip(words.names, shown_by, strict=True))
    assert amounts["blinkLeft"] == pytest.approx(1, abs=0.06)
    assert amounts["blinkRight"] < 0.05
    assert amounts["lookLeft"] == pytest.approx(1, abs=0.06)


def test_a_map_of_ones_own(tmp_path):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps({"Mouth_Open": {"jawOpen": 2, "mouthClose": -2}, "Lids": {"eyeBlinkLeft": 0.5}}))
    words = vocabulary_of(str(path))
    assert words.names == ("Mouth_Open", "Lids")
    np.testing.assert_allclose(words.of(face_of({"jawOpen": 0.4, "mouthClose": 0.1, "eyeBlinkLeft": 1}))[0], [0.6, 0.5])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "accepted: an object"),
        ("{}", "accepted: an object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": 1}', "'a' is 1"),
        ('{"a": {"jaw": 1}}', "'jaw'.*accepted: ARKit's 52"),
        ('{"a": {"jawOpen": "1"}}', "factor of 'jawOpen'.*accepted: -10..10"),
        ('{"a": {"jawOpen": NaN}}', "factor"),
        ('{"a": {"jawOpen": 11}}', "factor"),
        ('{"": {"jawOpen": 1}}', "''"),
        (json.dumps({str(i): {} for i in range(1001)}), "1001 names"),
    ],
)
def test_maps_that_are_not_maps_are_refused_in_words(tmp_path, content, said):
    path = tmp_path / "rig.json"
    path.write_text(content)
    with pytest.raises(InvalidMap, match=said):
        vocabulary_of(str(path))


@pytest.mark.parametrize("asked", ["vrm2", "", "rig.yaml", "missing.json", "."])
def test_what_is_neither_a_name_nor_a_map_is_refused(asked):
    with pytest.raises(InvalidMap, match=r"accepted|cannot be read"):
        vocabulary_of(asked)


@given(st.sampled_from(VOCABULARIES))
def test_names_are_their_own(name):
    assert vocabulary_of(name).names == vocabulary(name).names
    assert len(set(vocabulary(name).names)) == len(vocabulary(name).names)


def test_a_csv_in_other_words(tmp_path):
    weights = np.concatenate([face_of({"jawOpen": 0.6}), face_of({"eyeBlinkLeft": 1})])
    rotations = np.arange(18, dtype=np.float32).reshape(2, 9) / 100
    Animation(weights, np.arange(2) / 30, rotations=rotations).save(tmp_path / "a.csv", vocabulary=vocabulary("vrm"))
    first, second = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert first["BlendShapeCount"] == str(len(vocabulary("vrm").names) + 9)
    assert float(first["aa"]) > 0.5
    assert float(second["blinkLeft"]) > 0.9
    assert float(second["HeadPitch"]) == pytest.approx(0.10)


def test_formats_without_names_of_their_own_refuse_a_vocabulary(tmp_path):
    with pytest.raises(InvalidOption, match=r"accepted: \.csv"):
        Animation(np.zeros((1, 52), np.float32), np.zeros(1)).save(tmp_path / "a.json", vocabulary=vocabulary("vrm"))
    assert not (tmp_path / "a.json").exists()

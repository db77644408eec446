"""Emotions: what the table says, and that speech goes first. The lips are the client's own head's."""

import re
from pathlib import Path

import numpy as np
import pytest

from emotalk_contract import emotions
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.emotions import (
    ACTION_UNITS,
    EMOTIONS,
    OPEN_MM,
    PRESSED,
    amounts_row,
    lips_apart,
    offsets,
)
from emotalk_contract.lips import GAP_MM, REST_MM
from emotalk_contract.options import Options
from emotalk_ensemble.postprocess import face

pytestmark = pytest.mark.unit

REST = np.zeros((1, 52), np.float32)


def shown(**weights):
    row = REST.copy()
    for name, weight in weights.items():
        row[0, INDEX[name]] = weight
    return row


def added(weights, amounts):
    return emotions.added(weights, amounts_row(amounts)[None])


def speech(frames=200, seed=0):
    """A mouth that opens and presses, lids that blink; [frames, 52]."""
    weights = np.random.default_rng(seed).uniform(0, 0.3, (frames, 52)).astype(np.float32)
    weights[:, INDEX["jawOpen"]] = 0.3 * (1 + np.sin(np.arange(frames) / 3))
    weights[::10, INDEX["eyeBlinkLeft"]] = weights[::10, INDEX["eyeBlinkRight"]] = 1.0
    return weights


def test_the_ten_emotions_are_built_of_units_that_move_the_52():
    assert list(EMOTIONS) == [
        *("amazement", "anger", "cheekiness", "disgust", "fear", "grief", "joy", "outofbreath", "pain", "sadness")
    ]
    moved = [name for unit in ACTION_UNITS.values() for name in (*unit.left, *unit.right)]
    assert len(moved) == len(set(moved))
    assert set(moved) <= set(BLENDSHAPES)
    for name, emotion in EMOTIONS.items():
        assert emotion.source
        assert 0 < max(offsets(name).values()) <= 1
        assert min(offsets(name).values()) > 0


def test_the_documentation_lists_the_same_units():
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    for name, emotion in EMOTIONS.items():
        (listed,) = re.findall(rf"^\| {name} \| (.*) \|$", page, re.MULTILINE)
        told = {}
        for entry in listed.split(", "):
            number, _, side = entry.partition(" ")
            told[int(number)] = side
        shown = {}
        for number, intensity in emotion.units.items():
            left, right = intensity if isinstance(intensity, tuple) else (intensity, intensity)
            shown[number] = "" if left and right else "left" if left else "right"
        assert told == shown, name


def test_joy_is_cheeks_and_corners_and_half_of_it_is_half():
    whole, half = (added(REST, {"joy": amount})[0] for amount in (1.0, 0.5))
    assert {BLENDSHAPES[i] for i in np.flatnonzero(whole)} == {
        *("cheekSquintLeft", "cheekSquintRight", "mouthSmileLeft", "mouthSmileRight")
    }
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)


def test_sides_may_differ_and_several_emotions_add_up():
    cheeky = added(REST, {"cheekiness": 1.0})[0]
    assert cheeky[INDEX["mouthSmileLeft"]] > 2 * cheeky[INDEX["mouthSmileRight"]] > 0
    assert cheeky[INDEX["browOuterUpLeft"]] == 0 < cheeky[INDEX["browOuterUpRight"]]
    both = added(REST, {"joy": 0.4, "cheekiness": 0.6})
    apart = added(REST, {"joy": 0.4}) + added(REST, {"cheekiness": 0.6})
    np.testing.assert_allclose(both, apart, atol=1e-6)


@pytest.mark.parametrize(
    "closed",
    [
        {},
        {"jawOpen": 0.4, "mouthClose": 0.4},
        {"jawOpen": 0.35, "mouthPressLeft": PRESSED, "mouthPressRight": PRESSED},
        {"jawOpen": 0.1, "mouthRollLower": 0.6, "mouthRollUpper": 0.4},
    ],
)
@pytest.mark.parametrize("emotion", EMOTIONS)
def test_lips_that_speech_closes_are_not_opened(emotion, closed):
    before = shown(**closed)
    after = added(before, {emotion: 1.0})
    for name, gap in GAP_MM.items():
        if gap > 0:
            assert after[0, INDEX[name]] == before[0, INDEX[name]], name


def test_an_open_mouth_is_not_pressed_and_opens_fully():
    wide = shown(jawOpen=(OPEN_MM - REST_MM) / GAP_MM["jawOpen"] + 0.01)
    assert added(wide, {"anger": 1.0})[0, INDEX["mouthPressLeft"]] == 0
    assert added(REST, {"anger": 1.0})[0, INDEX["mouthPressLeft"]] == offsets("anger")["mouthPressLeft"]
    gained = added(wide, {"amazement": 1.0})[0, INDEX["jawOpen"]] - wide[0, INDEX["jawOpen"]]
    assert gained == pytest.approx(offsets("amazement")["jawOpen"])


def test_the_gate_opens_without_a_step():
    jaw = np.linspace(0, 0.3, 301)
    weights = np.concatenate([shown(jawOpen=value) for value in jaw])
    gate = lips_apart(weights)
    assert (np.diff(gate) >= 0).all()
    assert np.diff(gate).max() < 0.02
    assert (gate[0], gate[-1]) == (0, 1)


def test_a_blink_stays_a_blink():
    blink = shown(eyeBlinkLeft=1.0, eyeBlinkRight=0.5)
    fear = added(blink, {"fear": 1.0})[0]
    assert fear[INDEX["eyeWideLeft"]] == 0
    assert fear[INDEX["eyeWideRight"]] == pytest.approx(0.5 * offsets("fear")["eyeWideRight"])


def test_a_window_feels_as_the_whole_does():
    raw = speech()
    options = Options(emotions={"fear": 0.7, "joy": 0.3}, smooth=False)
    whole = face(raw, 0, options)
    for first in (0, 30, 87):
        np.testing.assert_array_equal(face(raw[first : first + 50], first, options), whole[first : first + 50])


def test_raw_has_no_emotion_and_gains_and_clamp_come_after():
    raw = speech()
    np.testing.assert_array_equal(face(raw, 0, Options(raw=True, emotions={"joy": 1.0})), raw)
    muted = face(raw, 0, Options(emotions={"joy": 1.0}, gains={"mouthSmileLeft": 0.0}))
    assert muted[:, INDEX["mouthSmileLeft"]].max() == 0 < muted[:, INDEX["mouthSmileRight"]].min()
    assert face(raw + 0.5, 0, Options(emotions={"joy": 1.0})).max() == 1.0


def test_no_emotion_changes_nothing():
    raw = speech()
    calm = face(raw, 0, Options())
    np.testing.assert_array_equal(face(raw, 0, Options(emotions={"joy": 0.0})), calm)

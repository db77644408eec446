"""Regions of the face: what strengths, smoothing and rest poses do to the weights; heights are those of the head."""

import numpy as np
import pytest
from head_heights import heights
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_contract import lips, regions
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.options import Options
from emotalk_contract.regions import FACE_PARAMETERS, GAZE, HEIGHT, LIDS, MOST_REACH, TONGUE
from emotalk_ensemble.postprocess import face

pytestmark = pytest.mark.unit

PLAIN = {"smooth": False, "blink": False, "clamp": False}
STILL = [*LIDS, *GAZE, TONGUE]
SKIN = [column for column in range(52) if column not in STILL]
VALUES = {name: st.floats(p.least - 1, p.most + 1) for name, p in FACE_PARAMETERS.items()}
REGIONS = st.fixed_dictionaries({}, optional=VALUES)


def weights(frames=60, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (frames, 52)).astype(np.float32)


def plain(raw, **region):
    return face(raw, 0, Options(**PLAIN, region=region))


def columns(*names):
    return [INDEX[name] for name in names]


def test_heights_are_those_of_the_clients_head():
    measured = heights()
    assert list(HEIGHT) == list(BLENDSHAPES)
    for name, height in HEIGHT.items():
        assert height == pytest.approx(measured[name], abs=0.001), name


@given(st.sampled_from(list(FACE_PARAMETERS)))
def test_a_parameter_at_its_default_changes_nothing(name):
    raw = weights()
    np.testing.assert_array_equal(plain(raw, **{name: FACE_PARAMETERS[name].default}), raw)


@pytest.mark.parametrize("name", [name for name, p in FACE_PARAMETERS.items() if not p.meaning])
def test_what_has_no_meaning_here_changes_nothing(name):
    raw = weights()
    np.testing.assert_array_equal(plain(raw, **{name: FACE_PARAMETERS[name].most}), raw)


@pytest.mark.parametrize("name", [name for name, p in FACE_PARAMETERS.items() if p.meaning])
def test_what_lies_beyond_the_range_counts_as_its_end(name):
    raw, parameter = weights(), FACE_PARAMETERS[name]
    beside = {}
    if name.startswith("faceMask"):
        beside = {"upperFaceStrength": 0.5, "faceMaskLevel": 0.675, "faceMaskSoftness": 0.02}
    for far, end in ((1e9, parameter.most), (-1e9, parameter.least)):
        changed = plain(raw, **beside | {name: far})
        np.testing.assert_array_equal(changed, plain(raw, **beside | {name: end}))
        assert end == parameter.default or (changed != plain(raw, **beside)).any()


def test_at_its_default_the_mask_parts_brows_eyes_and_nose_from_cheeks_and_mouth():
    upper = {BLENDSHAPES[i] for i in np.flatnonzero(regions.upper_share({}) == 1)}
    lower = {BLENDSHAPES[i] for i in np.flatnonzero(regions.upper_share({}) == 0)}
    assert upper | lower == set(BLENDSHAPES)
    assert {name for name in BLENDSHAPES if name.startswith(("brow", "eye", "nose"))} == upper


def test_strengths_are_factors_of_their_region_and_of_nothing_else():
    raw = weights()
    upper = [i for i in SKIN if regions.upper_share({})[i] == 1]
    lower = [i for i in SKIN if i not in upper]
    for region, moved, factor in (
        ({"upperFaceStrength": 0.5}, upper, 0.5),
        ({"lowerFaceStrength": 2.0}, lower, 2.0),
        ({"skinStrength": 0.0}, SKIN, 0.0),
        ({"tongueStrength": 3.0}, [TONGUE], 3.0),
        ({"blinkStrength": 0.25}, LIDS, 0.25),
    ):
        expected = raw.copy()
        expected[:, moved] *= np.float32(factor)
        np.testing.assert_array_equal(plain(raw, **region), expected)


def test_a_soft_mask_shares_out_what_lies_on_it():
    region = {"faceMaskLevel": HEIGHT["eyeSquintLeft"], "faceMaskSoftness": 0.05, "upperFaceStrength": 0}
    out = plain(np.ones((6, 52), np.float32), **region)[0]
    assert out[INDEX["eyeSquintLeft"]] == pytest.approx(0.5)
    assert out[INDEX["browInnerUp"]] == 0
    assert 0.5 < out[INDEX["noseSneerLeft"]] < 1
    assert out[INDEX["mouthSmileLeft"]] == 1


def test_blinks_have_their_strength_and_emotions_that_lower_lids_the_faces():
    raw = np.zeros((300, 52), np.float32)
    calm = face(raw, 0, Options(region={"blinkStrength": 0}))
    assert (calm == 0).all()
    pained = face(raw, 0, Options(region={"blinkStrength": 0, "upperFaceStrength": 0.5}, emotions={"pain": 1}))
    np.testing.assert_allclose(pained[:, LIDS], 0.225, atol=1e-6)


def test_an_emotion_has_the_strengths_of_its_regions():
    raw = np.zeros((6, 52), np.float32)
    whole = face(raw, 0, Options(**PLAIN, emotions={"joy": 1, "amazement": 1}))
    half = face(raw, 0, Options(**PLAIN, emotions={"joy": 1, "amazement": 1}, region={"upperFaceStrength": 0.5}))
    upper = regions.upper_share({}) == 1
    np.testing.assert_allclose(half[:, upper], whole[:, upper] / 2, atol=1e-6)
    np.testing.assert_array_equal(half[:, ~upper], whole[:, ~upper])


@pytest.mark.parametrize("time_constant", [5e-324, 1e-300, 1e-12])
def test_a_time_constant_of_next_to_nothing_is_none(time_constant):
    raw = weights()
    np.testing.assert_array_equal(plain(raw, upperFaceSmoothing=time_constant), raw)
    beside = plain(raw, lowerFaceSmoothing=0.1)
    np.testing.assert_array_equal(plain(raw, upperFaceSmoothing=time_constant, lowerFaceSmoothing=0.1), beside)


@pytest.mark.parametrize("time_constant", [0.001, 0.006, 0.03, 0.1])
def test_smoothing_is_a_one_pole_filter_that_looks_back_only(time_constant):
    raw = np.zeros((90, 52), np.float32)
    raw[30:] = 1
    out = plain(raw, upperFaceSmoothing=time_constant, lowerFaceSmoothing=time_constant)
    expected = 1 - np.exp(-np.arange(1, 61) / (30 * time_constant))
    np.testing.assert_array_equal(out[:30], 0)
    np.testing.assert_allclose(out[30:, SKIN], np.repeat(expected[:, None], len(SKIN), 1), atol=5e-4)
    np.testing.assert_array_equal(out[:, STILL], raw[:, STILL])


def test_a_face_that_does_not_move_is_left_as_it_is():
    raw = np.tile(weights(1), (60, 1))
    np.testing.assert_allclose(plain(raw, upperFaceSmoothing=0.1, lowerFaceSmoothing=0.05), raw, atol=1e-6)


def test_smoothing_reaches_no_farther_than_it_says():
    for region in ({"upperFaceSmoothing": 0.1}, {"lowerFaceSmoothing": 0.006}, {"upperFaceSmoothing": 9}, {}):
        back = regions.reach(region)
        assert back <= MOST_REACH
        raw = weights(80)
        np.testing.assert_array_equal(plain(raw[40 - back :], **region)[back:], plain(raw, **region)[40:])
        assert back == 0 or (plain(raw[40 - back + 1 :], **region)[back - 1] != plain(raw, **region)[40]).any()


def test_lids_open_and_shut():
    raw = weights()
    open_ = plain(raw, eyelidOpenOffset=0.5)
    wide = columns("eyeWideLeft", "eyeWideRight")
    np.testing.assert_allclose(open_[:, wide], raw[:, wide] + 0.5 * (1 - raw[:, LIDS]), atol=1e-6)
    shut = plain(raw, eyelidOpenOffset=-1)
    np.testing.assert_allclose(shut[:, LIDS], 1, atol=1e-6)
    np.testing.assert_array_equal(shut[:, wide], 0)
    others = [i for i in range(52) if i not in (*LIDS, *wide)]
    np.testing.assert_array_equal(open_[:, others], raw[:, others])
    np.testing.assert_array_equal(shut[:, others], raw[:, others])


def test_lips_part_and_close_by_the_same_millimetres_and_no_farther_than_the_jaw():
    raw = np.zeros((5, 52), np.float32)
    raw[:, INDEX["jawOpen"]] = 0.5
    rest = lips.gap_mm(raw)[0]
    assert lips.gap_mm(plain(raw, lipOpenOffset=0.2))[0] - rest == pytest.approx(1.76, abs=1e-3)
    assert lips.gap_mm(plain(raw, lipOpenOffset=-0.2))[0] - rest == pytest.approx(-1.76, abs=1e-3)
    raw[:, INDEX["mouthClose"]] = 0.49
    np.testing.assert_allclose(plain(raw, lipOpenOffset=-0.2)[:, INDEX["mouthClose"]], 0.5, atol=1e-6)
    raw[:, INDEX["mouthClose"]] = 0.6
    np.testing.assert_array_equal(plain(raw, lipOpenOffset=-0.2), raw)


@settings(deadline=None)
@given(REGIONS, st.booleans(), st.booleans(), st.integers(0, 99))
def test_whatever_is_asked_gains_of_zero_give_zero_and_the_clamp_is_last(region, smooth, blink, seed):
    raw = weights(40, seed) * 1.5 - 0.25
    options = {"smooth": smooth, "blink": blink, "region": region, "emotions": {"pain": 1, "amazement": 0.5}}
    muted = face(raw, 0, Options(**options, clamp=False, gains=dict.fromkeys(BLENDSHAPES, 0.0)))
    assert (muted == 0).all()
    shown = face(raw, 0, Options(**options))
    assert shown.min() >= 0
    assert shown.max() <= 1
    free = face(raw, 0, Options(**options, clamp=False))
    np.testing.assert_array_equal(shown, np.clip(free, 0, 1))
    offset = face(raw, 0, Options(**options, clamp=False, offsets={"jawOpen": 0.5}))
    np.testing.assert_array_equal(offset[:, INDEX["jawOpen"]], free[:, INDEX["jawOpen"]] + np.float32(0.5))


@settings(deadline=None)
@given(REGIONS, st.integers(0, 60), st.integers(5, 60), st.floats(0, 2), st.floats(0, 4))
def test_a_window_with_its_overlap_is_the_whole_to_the_last_bit(region, first, frames, transition, time):
    raw = weights(160)
    options = Options(
        region=region,
        emotions={"joy": 0.5},
        emotion_keys=[{"time": time, "emotions": {"pain": 1.0}}, {"time": 1, "emotions": {"fear": 0.6}}],
        emotion_transition=transition,
    )
    whole = face(raw, 0, options)
    before = max(0, first - regions.reach(region) - 2)
    end = first + frames
    part = face(raw[before : end + 2], before, options.restricted(before, end))
    np.testing.assert_array_equal(part[first - before : end - before], whole[first:end])


@settings(deadline=None)
@given(REGIONS, st.floats(0, 3), st.floats(0, 2))
def test_a_key_moves_the_face_from_its_time_on_and_not_before(region, time, transition):
    raw = weights(120)
    before = face(raw, 0, Options(region=region, emotion_transition=transition))
    keys = [{"time": time, "emotions": {"anger": 1.0}}]
    after = face(raw, 0, Options(region=region, emotion_transition=transition, emotion_keys=keys))
    begin = int(np.ceil(30 * time))
    np.testing.assert_array_equal(after[:begin], before[:begin])


def test_a_key_does_move_the_face():
    raw = weights(120) * 0.1
    keys = [{"time": 1.0, "emotions": {"anger": 1.0}}]
    moved = face(raw, 0, Options(emotion_keys=keys)) != face(raw, 0, Options())
    assert moved.any(axis=1)[31:].all()
    assert not moved[:31].any()
    weak = face(raw, 0, Options(emotion_keys=keys, emotion_strength=0.5, **PLAIN))
    strong = face(raw, 0, Options(emotion_keys=keys, **PLAIN))
    calm = face(raw, 0, Options(**PLAIN))
    np.testing.assert_allclose(weak - calm, (strong - calm) / 2, atol=1e-6)


def test_a_rest_pose_is_not_smoothed_and_a_blink_is_neither():
    raw = np.zeros((300, 52), np.float32)
    region = {"upperFaceSmoothing": 0.1, "eyelidOpenOffset": 0.5}
    out = face(raw, 0, Options(region=region))
    lids = face(raw, 0, Options())[:, LIDS]
    np.testing.assert_array_equal(out[:, LIDS], lids)
    np.testing.assert_allclose(out[:, columns("eyeWideLeft", "eyeWideRight")], 0.5 * (1 - lids), atol=1e-6)

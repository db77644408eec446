import numpy as np
import pytest
from scipy.signal import savgol_filter

from emotalk_contract import errors, limits
from emotalk_contract.arkit import INDEX
from emotalk_contract.options import Options
from emotalk_ensemble.blinks import DURATION, OPEN, PEAK, blink_weights
from emotalk_ensemble.postprocess import face, postprocess
from emotalk_ensemble.smoothing import smoothed

pytestmark = pytest.mark.unit

LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
OTHERS = [i for i in range(52) if i not in LIDS]


def weights(frames, seed=0):
    return np.random.default_rng(seed).uniform(-0.2, 1.2, (frames, 52)).astype(np.float32)


@pytest.mark.parametrize("frames", [5, 6, 7, 30, 500])
def test_smoothing_is_scipys_savitzky_golay(frames):
    raw = weights(frames)
    np.testing.assert_allclose(smoothed(raw), savgol_filter(raw.astype(float), 5, 2, axis=0), atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_too_few_frames_are_not_smoothed_and_not_shared(frames):
    raw = weights(frames)
    out = smoothed(raw)
    np.testing.assert_array_equal(out, raw)
    assert out is not raw


def test_a_window_smooths_as_the_whole_does_beyond_the_reach_of_its_cuts():
    raw = weights(60)
    np.testing.assert_array_equal(smoothed(raw[20:50])[2:-2], smoothed(raw)[22:48])


def test_blinks_are_a_function_of_the_absolute_frame():
    whole = blink_weights(3, 0, 9000)
    for start in (0, 1, 59, 120, 4321):
        np.testing.assert_array_equal(blink_weights(3, start, 500), whole[start : start + 500])


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63 - 1])
def test_blinks_come_every_two_to_six_seconds_and_last_seven_frames(seed):
    lids = blink_weights(seed, 0, 30 * 600)
    shut = np.flatnonzero((lids[1:-1] > 0.5) & (lids[1:-1] >= lids[:-2]) & (lids[1:-1] > lids[2:])) + 1
    gaps = np.diff(shut)
    assert OPEN < shut[0] <= OPEN + 60 + DURATION
    assert gaps.min() >= 60 - 2  # the peak falls one frame earlier or later with the phase
    assert gaps.max() <= 180 + 2
    assert gaps.std() > 15  # not a metronome
    moving = np.flatnonzero(lids > 0)
    runs = np.split(moving, np.flatnonzero(np.diff(moving) > 1) + 1)
    assert max(len(run) for run in runs) <= DURATION
    assert lids[shut].min() > 0.8 * PEAK
    assert lids.max() <= PEAK + 1e-6


def test_no_clip_begins_in_a_blink():
    for seed in range(200):  # seed 0, the default, had its lids shut at frame 1
        assert not blink_weights(seed, 0, OPEN).any()


def test_another_seed_moves_only_the_blinks():
    raw = weights(300)
    one, other = (face(raw, 0, Options(seed=seed)) for seed in (1, 2))
    np.testing.assert_array_equal(one[:, OTHERS], other[:, OTHERS])
    assert (one[:, LIDS] != other[:, LIDS]).any()


def test_both_lids_move_together_and_replace_the_networks_own():
    out = face(weights(200), 0, Options())
    np.testing.assert_array_equal(out[:, LIDS[0]], out[:, LIDS[1]])
    np.testing.assert_array_equal(out[:, LIDS[0]], blink_weights(0, 0, 200))


def test_raw_is_the_networks_output_whatever_else_is_asked():
    raw = weights(40)
    np.testing.assert_array_equal(face(raw, 0, Options(raw=True, gains={"jawOpen": 2.0})), raw)


def test_gains_come_before_offsets_and_the_clamp_last():
    raw = np.full((6, 52), 0.4, np.float32)
    options = Options(smooth=False, blink=False, gains={"jawOpen": 2.0}, offsets={"jawOpen": 0.1, "tongueOut": 0.9})
    out = face(raw, 0, options)
    np.testing.assert_allclose(out[:, INDEX["jawOpen"]], 0.9, rtol=1e-6)
    np.testing.assert_array_equal(out[:, INDEX["tongueOut"]], 1.0)
    np.testing.assert_allclose(out[:, INDEX["mouthClose"]], 0.4, rtol=1e-6)


def test_clamp_can_be_left_out():
    raw = weights(50)
    out = face(raw, 0, Options(smooth=False, blink=False, clamp=False))
    np.testing.assert_array_equal(out, raw)
    assert face(raw, 0, Options()).min() >= 0
    assert face(raw, 0, Options()).max() <= 1


def test_the_input_is_left_as_it_was():
    raw = weights(50)
    before = raw.copy()
    face(raw, 0, Options(smooth=False, offsets={"jawOpen": 1.0}))
    np.testing.assert_array_equal(raw, before)


def test_a_batch_has_its_own_start_frames():
    raw = np.stack([weights(90), weights(90)])
    out = postprocess({"RAW_BLENDSHAPES": raw, "START_FRAME": np.array([[0], [900]])}, {})
    np.testing.assert_array_equal(out["TIMECODES"][:, 0], [0.0, 30.0])
    np.testing.assert_array_equal(out["BLENDSHAPES"][1, :, LIDS[0]], blink_weights(0, 900, 90))
    np.testing.assert_array_equal(out["BLENDSHAPES"][0][:, OTHERS], out["BLENDSHAPES"][1][:, OTHERS])


@pytest.mark.parametrize(
    ("inputs", "kind", "words"),
    [
        (
            {"RAW_BLENDSHAPES": np.zeros((1, limits.MAX_FRAMES + 1, 52), np.float32)},
            errors.InvalidShape,
            "has 5001 frames; accepted: at most 5000",
        ),
        (
            {"RAW_BLENDSHAPES": np.zeros((1, 3, 52), np.float32), "START_FRAME": np.array([[2**63 - 1]])},
            errors.InvalidWindow,
            r"START_FRAME is 9223372036854775807; accepted: 0\.\.",
        ),
        (
            {"RAW_BLENDSHAPES": np.zeros((1, 3, 52), np.float32), "START_FRAME": np.array([[-1]])},
            errors.InvalidWindow,
            "START_FRAME is -1",
        ),
    ],
)
def test_what_only_a_direct_caller_can_send_is_refused(inputs, kind, words):
    with pytest.raises(kind, match=words):
        postprocess(inputs, {})

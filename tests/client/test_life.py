"""Life: nods, gaze, idle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.faces import life
from emotalk_client.faces.life import HISTORY, Life, LiveLife
from emotalk_client.faces.rotations import HEAD, LEFT_EYE, RIGHT_EYE, quaternions
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.errors import InvalidOption

pytestmark = pytest.mark.unit

FULL = Life(1, 1, 1, seed=5)


def speech(frames, seed=0):
    """A mouth that opens and shuts, [frames, 52]."""
    random = np.random.default_rng(seed)
    weights = np.zeros((frames, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = np.clip(0.3 * np.convolve(random.normal(size=frames + 4), np.ones(5), "valid"), 0, 1)
    weights[:, INDEX["mouthPressLeft"]] = random.uniform(0, 1, frames)
    return weights


def degrees(rotations):
    return np.degrees(rotations.astype(np.float64))


@given(
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=12),
    seed=st.integers(0, 2**63 - 1),
    start=st.integers(0, 9000),
)
@settings(max_examples=40, deadline=None)
def test_pieces_move_as_the_whole_does_to_the_last_bit(cuts, seed, start):
    weights = speech(sum(cuts))
    whole = Life(0.7, 0.3, 1, seed=seed).of(weights, start)
    stream = LiveLife(Life(0.7, 0.3, 1, seed=seed), start)
    pieces = [stream.push(piece) for piece in np.split(weights, np.cumsum(cuts)[:-1])]
    np.testing.assert_array_equal(np.concatenate([piece.weights for piece in pieces]), whole.weights)
    np.testing.assert_array_equal(np.concatenate([piece.rotations for piece in pieces]), whole.rotations)


def test_a_start_in_the_middle_needs_the_energy_before_it_only():
    weights = speech(400)
    whole = FULL.of(weights)
    part = FULL.of(weights[200:], 200, life.energy(weights[200 - HISTORY : 200]))
    np.testing.assert_array_equal(part.rotations, whole.rotations[200:])
    np.testing.assert_array_equal(part.weights, whole.weights[200:])


def test_nothing_lives_by_default_and_no_weight_is_touched():
    weights = speech(90) * 3 - 1  # beyond 0..1 too: life has nothing to say of that
    still = Life()
    assert still.still
    assert not FULL.still
    lived = still.of(weights)
    np.testing.assert_array_equal(lived.weights, weights)
    assert not lived.rotations.any()


def test_the_mouth_is_left_to_speech():
    weights = speech(3000)
    changed = (FULL.of(weights).weights != weights).any(axis=0)
    moved = {name for name, one in zip(BLENDSHAPES, changed, strict=True) if one}
    assert moved
    assert not [name for name in moved if name.startswith(("jaw", "mouth", "cheek", "tongue", "nose", "eyeBlink"))]


def test_another_seed_is_another_life_and_amounts_scale_it():
    weights = speech(600)
    one, other = (Life(1, 0, 1, seed=seed).of(weights).rotations for seed in (1, 2))
    assert np.abs(one - other).max() > np.radians(2)
    half = Life(0.5, 0, 0.5, seed=1).of(weights).rotations
    np.testing.assert_allclose(2 * half, one, atol=1e-6)


def test_a_head_nods_at_a_syllable_that_stands_out_and_at_no_other():
    weights = np.zeros((300, 52), np.float32)
    weights[150:156, INDEX["jawOpen"]] = 0.4
    pitch = degrees(Life(head=1).of(weights).rotations[:, 1])
    assert not pitch[:150].any()
    assert 2 < pitch.max() < 10
    assert 150 <= pitch.argmax() <= 162
    weights[:, INDEX["jawOpen"]] = 0.4  # spoken evenly, once it has lasted
    nods = life.speaking_rotation(0, 0, np.concatenate([np.zeros(HISTORY), life.energy(weights)]))
    calm = np.radians(3.5) * life._noise(0, 1, np.arange(300.0), 29)
    np.testing.assert_allclose(nods[HISTORY + 1 :, 1], calm[HISTORY + 1 :], atol=1e-9)


def test_gaze_jumps_every_half_to_two_and_a_half_seconds_and_rests_between():
    gaze = degrees(life.gaze_rotation(9, 0, 30 * 600))
    speed = np.abs(np.diff(gaze, axis=0)).max(axis=1)
    moving = np.flatnonzero(speed > 1e-9)
    onsets = moving[np.flatnonzero(np.diff(moving, prepend=-9) > 1)]
    gaps = np.diff(onsets)
    assert gaps.min() >= 15 - 3
    assert gaps.max() <= 75 + 3
    assert len(moving) / len(speed) < 0.08  # eyes rest for most of the time
    assert np.abs(gaze[:, 0]).max() <= 14
    assert 0.5 < (np.abs(gaze) <= 1.5).all(axis=1).mean() < 0.8
    assert not gaze[0].any()  # it begins at the listener


def test_eyes_hold_their_point_while_the_head_moves():
    rotations = Life(head=1, gaze=1e-9 + 0.2, idle=1).of(speech(300)).rotations
    point = 0.2 * life.gaze_rotation(0, 0, 300)
    for eye in (LEFT_EYE, RIGHT_EYE):
        np.testing.assert_allclose(rotations[:, eye][:, :2] + rotations[:, HEAD][:, :2], point, atol=1e-6)


def test_eyes_to_the_persons_left_are_out_of_the_left_eye_and_into_the_right_one():
    weights = life.looking(np.array([[0.2, 0.1], [-0.2, -0.1]]))
    shown = [{name for name in BLENDSHAPES if row[INDEX[name]] > 0} for row in weights]
    assert shown == [
        {"eyeLookOutLeft", "eyeLookInRight", "eyeLookDownLeft", "eyeLookDownRight"},
        {"eyeLookInLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight"},
    ]


def test_life_is_smooth_and_stays_small():
    rotations = degrees(FULL.of(speech(9000)).rotations)
    assert np.abs(rotations[:, HEAD]).max() < 16
    assert np.abs(np.diff(rotations[:, HEAD], axis=0)).max() < 2.5  # degrees a frame
    weights = FULL.of(np.zeros((9000, 52), np.float32)).weights
    assert weights.min() >= 0
    assert weights[:, INDEX["browInnerUp"]].max() <= 0.12


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), "0.5", True, None])
def test_amounts_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(InvalidOption, match=r"gaze is .*accepted: 0\.\.1"):
        Life(gaze=wrong)


@pytest.mark.parametrize("wrong", [-1, 2**63, 1.0, True])
def test_seeds_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidOption, match="seed is"):
        Life(seed=wrong)


def test_quaternions_turn_roll_then_pitch_then_yaw():
    def about(axis, angle):
        c, s = np.cos(angle), np.sin(angle)
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        out = np.eye(3)
        out[[i, j], [i, j]], out[i, j], out[j, i] = c, -s, s
        return out

    yaw, pitch, roll = 0.7, -0.4, 0.3
    x, y, z, w = quaternions(np.array([[yaw, pitch, roll]]))[0]
    matrix = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    np.testing.assert_allclose(matrix, about(1, yaw) @ about(0, pitch) @ about(2, roll), atol=1e-12)
    np.testing.assert_allclose(
        matrix @ [0, 0, 1], [np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)]
    )

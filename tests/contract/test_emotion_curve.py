import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_contract import errors
from emotalk_contract.emotion_curve import EmotionCurve
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.limits import MAX_EMOTION_KEYS, MAX_EMOTION_KEYS_CHARACTERS
from emotalk_contract.options import Options

pytestmark = pytest.mark.unit

JOY = list(EMOTIONS).index("joy")
KEYS = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.one_of(st.integers(0, 12), st.floats(0, 12)),
            "emotions": st.dictionaries(st.sampled_from(list(EMOTIONS)), st.floats(0, 1), max_size=3),
        }
    ),
    max_size=12,
)


def key(time, **emotions):
    return {"time": time, "emotions": emotions}


def joy(curve, frames=120):
    return curve.at(0, frames)[:, JOY]


def test_a_key_holds_until_the_next_and_a_name_that_is_missing_is_zero():
    curve = EmotionCurve.of({"joy": 0.2}, [key(1, joy=1.0), key(2, anger=1.0)], 0)
    np.testing.assert_array_equal(joy(curve), [0.2] * 30 + [1.0] * 30 + [0.0] * 60)


def test_keys_may_come_in_any_order_and_of_equal_times_the_last_counts():
    mixed = EmotionCurve.of({}, [key(2, joy=0.5), key(1, joy=0.1), key(1.0, joy=0.9)], 0.3)
    np.testing.assert_array_equal(joy(mixed), joy(EmotionCurve.of({}, [key(1, joy=0.9), key(2, joy=0.5)], 0.3)))


@pytest.mark.parametrize("time", [0, 0.4, 0.7, 1.01, 2.99])
def test_a_transition_begins_at_its_key_and_takes_its_time(time):
    amounts = joy(EmotionCurve.of({}, [key(time, joy=1.0)], 0.5))
    frame = np.arange(120)
    assert (amounts[frame / 30 <= time] == 0).all()
    assert (amounts[(frame / 30 > time)] > 0).all()
    assert (amounts[frame / 30 < time + 0.5 - 1e-9] < 1).all()
    assert (amounts[frame / 30 >= time + 0.5 + 1e-9] == 1).all()
    assert (np.diff(amounts) >= 0).all()
    assert np.diff(amounts).max() <= 1.5 / 15 + 1e-9  # the smoothstep is half as steep again as a ramp


def test_a_transition_of_zero_is_a_step_at_its_key():
    np.testing.assert_array_equal(joy(EmotionCurve.of({}, [key(1, joy=1.0)], 0), 40), [0] * 30 + [1] * 10)


@settings(deadline=None)
@given(KEYS, st.floats(0, 3), st.integers(0, 400), st.integers(0, 400))
def test_a_restricted_curve_is_the_whole_one_to_the_last_bit(keys, transition, one, other):
    first, end = sorted((one, other))
    whole = EmotionCurve.of({"fear": 0.3}, keys, transition)
    part = whole.restricted(first, end)
    np.testing.assert_array_equal(part.at(first, end - first), whole.at(0, end)[first:])
    assert len(part.keys) <= len(whole.keys)


@settings(deadline=None)
@given(KEYS, st.floats(0, 3))
def test_amounts_stay_between_those_of_the_keys(keys, transition):
    amounts = EmotionCurve.of({}, keys, transition).at(0, 400)
    assert amounts.min() >= -1e-12
    assert amounts.max() <= 1 + 1e-12


@settings(deadline=None)
@given(KEYS, st.floats(0, 12), st.dictionaries(st.sampled_from(list(EMOTIONS)), st.floats(0, 1)))
def test_what_comes_before_a_key_is_what_it_is_without_it(keys, time, emotions):
    with_it = EmotionCurve.of({}, [*keys, {"time": time, "emotions": emotions}], 0.5).at(0, 400)
    without = EmotionCurve.of({}, [other for other in keys if other["time"] != time], 0.5).at(0, 400)
    before = np.arange(400) / 30 < time
    np.testing.assert_array_equal(with_it[before], without[before])


def test_five_minutes_with_a_key_a_second_of_ten_names_travel():
    amounts = dict.fromkeys(EMOTIONS, 1 / 3)
    options = Options(emotion_keys=[{"time": second / 3, "emotions": amounts} for second in range(900)])
    sent = options.parameters()
    assert len(sent["emotion_keys"]) < MAX_EMOTION_KEYS_CHARACTERS / 3
    assert Options.parse(sent).parameters() == sent
    assert len(options.restricted(3000, 3300).emotion_keys) <= 33


def test_what_is_sent_of_a_restricted_curve_is_read_again():
    options = Options(emotions={"joy": 0.5}, emotion_keys=[key(1, anger=0.5), key(3, fear=1.0)], emotion_strength=0.5)
    part = options.restricted(60, 100)
    assert part.emotions == {"anger": 0.5}
    assert part.parameters() == {
        "emotions": '{"anger": 0.5}',
        "emotion_keys": '[{"time": 3, "emotions": {"fear": 1.0}}]',
        "emotion_strength": 0.5,
    }
    assert Options(emotions={"joy": 1}).restricted(0, 3) == Options(emotions={"joy": 1})


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("[", errors.InvalidOption, "is not JSON"),
        ("[" * 100_000, errors.InvalidOption, "is not JSON"),
        ("[" * (MAX_EMOTION_KEYS_CHARACTERS + 1), errors.InvalidOption, "has 1048577 characters; accepted: at most"),
        ('{"time": 1, "emotions": {}}', errors.InvalidOption, "accepted: a JSON list such as"),
        (7, errors.InvalidOption, "accepted: a JSON list such as"),
        ("[1]", errors.InvalidEmotionKey, r"emotion_keys\[0\] is 1; accepted: a key such as"),
        ('[{"time": 1}]', errors.InvalidEmotionKey, r"emotion_keys\[0\] is"),
        ('[{"time": 1, "emotions": {}, "more": 1}]', errors.InvalidEmotionKey, "is"),
        ('[{"time": 1, "emotions": []}]', errors.InvalidEmotionKey, "is"),
        ('[{"time": -1, "emotions": {}}]', errors.InvalidEmotionKey, r"has the time -1; accepted: seconds, 0\.\."),
        ('[{"time": NaN, "emotions": {}}]', errors.InvalidEmotionKey, "has the time nan"),
        ('[{"time": Infinity, "emotions": {}}]', errors.InvalidEmotionKey, "has the time inf"),
        ('[{"time": true, "emotions": {}}]', errors.InvalidEmotionKey, "has the time True"),
        ('[{"time": "1", "emotions": {}}]', errors.InvalidEmotionKey, "has the time '1'"),
        ('[{"time": 1' + "0" * 400 + ', "emotions": {}}]', errors.InvalidEmotionKey, "integer of 1329 bits"),
        (
            '[{"time": 1, "emotions": {"joy": 1}}, {"time": 1, "emotions": {"neutral": 1}}]',
            errors.UnknownEmotion,
            r"emotion_keys\[1\]\.emotions names 'neutral'; accepted: amazement, ",
        ),
        ('[{"time": 1, "emotions": {"joy": NaN}}]', errors.EmotionOutOfRange, r"emotion_keys\[0\].emotions\['joy'\]"),
        (json.dumps([key(1)] * (MAX_EMOTION_KEYS + 1)), errors.InvalidOption, "has 9001 keys; accepted: at most 9000"),
    ],
)
def test_hostile_keys_are_refused_by_name(value, kind, words):
    with pytest.raises(kind, match=words):
        Options.parse({"emotion_keys": value})


@pytest.mark.parametrize("name", ["emotion_transition", "emotion_strength"])
@pytest.mark.parametrize("value", [-0.1, 1e9, "much", "nan", float("nan"), float("inf"), True, [1], None, 10**400])
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(errors.InvalidOption, match=rf"{name} is .*; accepted: 0\.\."):
        Options.parse({name: value})


def test_numbers_may_be_strings():
    options = Options.parse({"emotion_transition": "0.25", "emotion_strength": 1})
    assert (options.emotion_transition, options.emotion_strength) == (0.25, 1.0)


@pytest.mark.parametrize("value", ["[]", {"time": 1}, None, 3])
def test_keys_in_python_are_a_sequence(value):
    with pytest.raises(errors.InvalidOption, match=r"emotion_keys is .*; accepted: a sequence of mappings"):
        Options(emotion_keys=value)

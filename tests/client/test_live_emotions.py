"""Emotions of a live stream: every request has the keys that its frames need, and what was handed out stays true."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.live.emotions import EmotionTrack
from emotalk_contract import errors
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.limits import MAX_EMOTION_KEYS
from emotalk_contract.options import Options
from emotalk_contract.regions import reach

pytestmark = pytest.mark.unit

AMOUNTS = st.dictionaries(st.sampled_from(list(EMOTIONS)), st.floats(0, 1), max_size=2)
KEYS = st.lists(st.fixed_dictionaries({"time": st.floats(0, 9), "emotions": AMOUNTS}), max_size=8)
JOY = list(EMOTIONS).index("joy")


def key(time, **emotions):
    return {"time": time, "emotions": emotions}


def amounts(parameters, first, end):
    return Options.parse(parameters).curve().at(first, end - first)


def handed_out(track, cuts, said=()):
    """The amounts of the frames that requests from cut to cut give; before the request at ``cut``, ``said`` is set."""
    rows = []
    for first, end in itertools.pairwise(cuts):
        for cut, emotions, at_s in said:
            if cut == first:
                track.set(emotions, at_s)
        rows.append(amounts(track.parameters(first, end), first, end))
    return np.concatenate(rows)


@settings(deadline=None)
@given(KEYS, AMOUNTS, st.floats(0, 2), st.sets(st.integers(1, 299)))
def test_requests_give_what_the_whole_gives(keys, beginning, transition, cuts):
    options = Options(emotions=beginning, emotion_keys=keys, emotion_transition=transition)
    got = handed_out(EmotionTrack(options), [0, *sorted(cuts), 300])
    np.testing.assert_array_equal(got, options.curve().at(0, 300))


def test_the_frames_that_filters_look_back_at_have_their_emotions_too():
    options = Options(emotion_keys=[key(1, joy=1.0)], emotion_transition=0.2, region={"upperFaceSmoothing": 0.1})
    track, back = EmotionTrack(options), reach(options.region)
    for first in range(0, 90, 10):
        begin = max(0, first - back)
        got = amounts(track.parameters(first, first + 10), begin, first + 10)
        np.testing.assert_array_equal(got, options.curve().at(begin, first + 10 - begin))


def test_a_change_acts_from_its_time_on_or_from_the_next_frame():
    said = [(30, {"joy": 1.0}, 2.0), (60, {"joy": 0.5}, 0.4)]
    got = handed_out(EmotionTrack(Options(emotion_transition=0)), [0, 30, 60, 90], said)[:, JOY]
    np.testing.assert_array_equal(got, [0] * 60 + [0.5] * 30)
    got = handed_out(EmotionTrack(Options(emotion_transition=0)), [0, 30, 90], said[:1])[:, JOY]
    np.testing.assert_array_equal(got, [0] * 60 + [1.0] * 30)


@settings(deadline=None)
@given(KEYS, st.integers(1, 9), AMOUNTS, st.floats(0, 9))
def test_a_change_leaves_what_was_handed_out(keys, cut, emotions, at_s):
    options = Options(emotion_keys=keys)
    cuts = list(range(0, 301, 30))
    before = handed_out(EmotionTrack(options), cuts)
    after = handed_out(EmotionTrack(options), cuts, [(30 * cut, emotions, at_s)])
    np.testing.assert_array_equal(after[: 30 * cut], before[: 30 * cut])


def test_what_comes_before_and_after_is_not_sent():
    track = EmotionTrack(Options(emotion_keys=[key(second, joy=1.0) for second in range(1, 3000)]))
    sent = Options.parse(track.parameters(3000, 3010))
    assert [k["time"] for k in sent.emotion_keys] == [100]
    assert sent.emotions == {"joy": 1.0}


def test_a_stream_without_keys_sends_its_options_as_they_are():
    options = Options(emotions={"joy": 0.5}, gains={"jawOpen": 2.0})
    assert EmotionTrack(options).parameters(300, 310) == options.parameters()
    assert EmotionTrack(Options()).parameters(0, 3) == {}


def test_numpys_numbers_are_numbers():
    track = EmotionTrack(Options())
    track.set({"joy": np.float32(0.5)}, 0.0)
    assert amounts(track.parameters(0, 30), 0, 30)[-1, JOY] > 0


@pytest.mark.parametrize(
    ("emotions", "at_s", "kind"),
    [
        ({"glee": 1}, 0.0, errors.UnknownEmotion),
        ({"joy": 1.1}, 0.0, errors.EmotionOutOfRange),
        ([1], 0.0, errors.InvalidEmotionKey),
        (None, 0.0, errors.InvalidEmotionKey),
        ({"joy": 1}, -0.1, errors.InvalidEmotionKey),
        ({"joy": 1}, float("nan"), errors.InvalidEmotionKey),
        ({"joy": 1}, "1", errors.InvalidEmotionKey),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_the_stream_goes_on(emotions, at_s, kind):
    track = EmotionTrack(Options())
    with pytest.raises(kind):
        track.set(emotions, at_s)
    assert track.parameters(0, 30) == {}


def test_keys_that_lie_ahead_are_bounded_and_those_behind_are_forgotten():
    track = EmotionTrack(Options())
    for number in range(MAX_EMOTION_KEYS):
        track.set({"joy": 1.0}, number / 10)
    with pytest.raises(errors.InvalidOption, match="has 3001 keys"):
        track.set({"joy": 1.0}, 1.0)
    track.parameters(600, 610)
    track.set({"joy": 1.0}, 1.0)

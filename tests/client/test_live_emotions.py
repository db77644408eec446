"""Emotions of a live stream: every request has the keys that its frames need, and what was handed out stays true."""

import itertools

import numpy as np
import pytest
from fake import PARAMETERS, STREAMING, FakeTransport, client
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import virtual

from emotalk_client import EmoTalkClient
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
    with pytest.raises(errors.InvalidOption, match="has 9001 keys"):
        track.set({"joy": 1.0}, 1.0)
    track.parameters(600, 610)
    track.set({"joy": 1.0}, 1.0)


# Of a session ----------------------------------------------------------------------------------

RATE = 16_000


def spoken(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def joys(notes, end_frame):
    """The amount of joy in each frame, as the request that gave it says."""
    requests = zip(notes.sent, itertools.pairwise([*notes.firsts, end_frame]), strict=True)
    return np.concatenate([amounts(parameters, *frames)[:, JOY] for (_, parameters), frames in requests])


class Noting:
    """Notes the frame that each request begins to give, beside what was sent."""

    def __init__(self, transport):
        self.sent, self.firsts, self.session = transport.sent, [], None
        self._infer = transport.infer
        transport.infer = self.infer

    async def infer(self, *request):
        self.firsts.append(self.session.status.frames)
        return await self._infer(*request)


@pytest.mark.parametrize("parameters", [STREAMING, PARAMETERS], ids=["steps", "windows"])
@virtual
async def test_a_session_changes_its_emotions_from_what_was_spoken_on_and_keeps_them(parameters):
    made, transport = client(parameters=parameters)
    notes = Noting(transport)
    async with made:
        session = notes.session = made.live(sample_rate=RATE, emotion_transition=0, emotions={"joy": 0.25})
        frames = await session.push(spoken(1))
        session.set_emotions({"joy": 1.0})
        frames += await session.push(spoken(1))
        session.set_emotions({"joy": 0.5}, at=2.5)
        frames += await session.push(spoken(1))
        frames += await session.flush()
        assert [frame.index for frame in frames] == list(range(90))
        np.testing.assert_array_equal(joys(notes, 90), [0.25] * 30 + [1.0] * 45 + [0.5] * 15)
        notes.sent.clear()
        notes.firsts.clear()
        await session.push(spoken(1))  # the next utterance
        await session.flush()
        np.testing.assert_array_equal(joys(notes, 30), 0.5)


@virtual
async def test_before_anything_is_spoken_emotions_are_there_from_the_beginning():
    made, transport = client(parameters=STREAMING)
    notes = Noting(transport)
    async with made:
        session = notes.session = made.live(sample_rate=RATE)
        session.set_emotions({"joy": 1.0})
        await session.push(spoken(1))
        await session.flush()
        np.testing.assert_array_equal(joys(notes, 30), 1.0)


@virtual
async def test_a_change_that_cannot_be_leaves_the_session_as_it_was():
    made, transport = client(parameters=STREAMING)
    notes = Noting(transport)
    async with made:
        session = notes.session = made.live(sample_rate=RATE)
        await session.push(spoken(1))
        for emotions, at in (({"glee": 1}, None), ({"joy": 2}, None), ({"joy": 1}, -1.0), ([1], None)):
            with pytest.raises(errors.InvalidRequest):
                session.set_emotions(emotions, at)
        await session.push(spoken(1))
        assert len(await session.flush()) > 0
        np.testing.assert_array_equal(joys(notes, 60), 0)


def test_the_other_client_changes_them_too():
    transport = FakeTransport(None, STREAMING)
    with EmoTalkClient(transport=transport) as made, made.live(sample_rate=RATE) as session:
        session.push(spoken(1))
        session.set_emotions({"joy": 1.0}, at=1.5)
        session.push(spoken(1))
        session.flush()
    assert "emotion_keys" in transport.sent[-1][1]

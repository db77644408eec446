"""What a caller may ask for: each mistake found before anything is sent, and where windows lie."""

import numpy as np
import pytest
from fake import client
from hypothesis import given
from hypothesis import strategies as st

from emotalk_client.settings import SMOOTHING_S, Settings
from emotalk_client.windows.planner import Layout
from emotalk_contract import errors, limits
from emotalk_contract.recipe import Recipe
from emotalk_contract.regions import reach
from emotalk_contract.timing import FPS
from emotalk_ensemble import smoothing

pytestmark = pytest.mark.unit

STYLE = [1.0] + [0.0] * 23


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"person": 1.5}, errors.PersonOutOfRange, r"person is 1\.5"),
        ({"person": True}, errors.PersonOutOfRange, "person is True"),
        ({"person": -1}, errors.PersonOutOfRange, "-1"),
        ({"level": "0.5"}, errors.LevelOutOfRange, "'0.5'"),
        ({"level": float("nan")}, errors.LevelOutOfRange, "nan"),
        ({"level": 1.01}, errors.LevelOutOfRange, r"1\.01; accepted: 0\.\.1"),
        ({"seed": 1.0}, errors.InvalidOption, r"seed is 1\.0"),
        ({"seed": -1}, errors.InvalidOption, "seed is -1"),
        ({"seed": True}, errors.InvalidOption, "seed is True"),
        ({"style": [float("nan"), *STYLE[1:]]}, errors.InvalidStyle, "person 0 the weight nan"),
        ({"style": [-0.5, 1.5, *STYLE[2:]]}, errors.InvalidStyle, "weight -0.5"),
        ({"style": {0.5: 1.0}}, errors.PersonOutOfRange, r"style is 0\.5"),
        ({"style": STYLE, "person": 3}, errors.InvalidStyle, "one of them"),
        ({"gains": {"jaw": 1.0}}, errors.UnknownBlendshape, "'jaw'"),
        ({"emotions": {"bliss": 1.0}}, errors.UnknownEmotion, "'bliss'; accepted: amazement"),
        ({"emotions": {"joy": 1.5}}, errors.EmotionOutOfRange, r"1\.5; accepted: 0\.\.1"),
        ({"emotions": {"joy": "1"}}, errors.EmotionOutOfRange, "'1'"),
        ({"offsets": {"jawOpen": float("inf")}}, errors.InvalidOption, "inf"),
        ({"smooth": 1}, errors.InvalidOption, "smooth is 1"),
        ({"window": "25"}, errors.InvalidWindow, "window is '25'"),
        ({"window": 200.0}, errors.InvalidWindow, "200"),
        ({"overlap": -0.1}, errors.InvalidWindow, "overlap"),
        ({"window": 25.0, "overlap": 25.0}, errors.InvalidWindow, "less than the window"),
        ({"overlap": "no"}, errors.InvalidWindow, "overlap is 'no'"),
    ],
)
def test_a_mistake_has_its_class_and_its_value(options, kind, words):
    with pytest.raises(kind, match=words):
        Settings(**options)


@pytest.mark.parametrize("styles", [24, 12])
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"person": 24}, errors.PersonOutOfRange, r"person is 24; accepted: 0\.\.{last}"),
        ({"style": STYLE[:3]}, errors.InvalidStyle, "3 weights; accepted: {styles}"),
        ({"style": {24: 1.0}}, errors.PersonOutOfRange, r"style is 24; accepted: 0\.\.{last}"),
    ],
)
def test_the_served_model_says_how_many_persons_there_are(options, kind, words, styles):
    with pytest.raises(kind, match=words.format(last=styles - 1, styles=styles)):
        Settings(**options).inputs(Recipe(styles=styles))


def test_a_level_that_nobody_asked_for_is_not_sent_to_a_model_without_levels():
    without = Recipe(normalisation="none", emotional=False)
    assert "LEVEL" not in Settings().inputs(without)
    assert Settings(level=0.5).inputs(without)["LEVEL"] == 0.5  # the server refuses it in words
    assert Settings().inputs(Recipe())["LEVEL"] == 1


def test_numpys_numbers_and_none_are_fine():
    settings = Settings(
        person=np.int64(3),
        seed=np.uint8(7),
        level=np.float32(0.5),
        window=np.float64(5),
        gains=None,
        offsets=None,
        emotions=None,
    )
    assert settings.inputs(Recipe())["PERSON"].tolist() == [[3]]
    assert settings.options().parameters() == {"seed": 7}
    halves = {"emotions": {"joy": np.float32(0.5)}, "gains": {"jawOpen": np.int64(2)}}
    assert Settings(**halves).options().parameters() == {"emotions": '{"joy": 0.5}', "gains": '{"jawOpen": 2.0}'}


def test_an_emotion_clip_must_fit_into_one_request():
    long = np.zeros(limits.MAX_SAMPLES + 1, np.float32)
    with pytest.raises(errors.AudioTooLong, match=r"166\.7 s long; accepted: at most 166\.7 s"):
        Settings(emotion_audio=long, emotion_sample_rate=16_000).inputs(Recipe())
    with pytest.raises(errors.AudioTooShort, match="the emotion clip has 10 samples"):
        Settings(emotion_audio=long[:10], emotion_sample_rate=16_000).inputs(Recipe())


async def test_the_emotion_clip_goes_whole_with_every_window():
    maker, transport = client()
    clip = np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32)
    await maker.animate(clip, sample_rate=16_000, window=2.0, emotion_audio=clip[:8_000], emotion_sample_rate=8_000)
    assert len(transport.sent) > 2
    assert {inputs["EMOTION_AUDIO"].shape for inputs, _ in transport.sent} == {(1, 16_000)}


def test_the_margin_is_what_smoothing_looks_at():
    assert SMOOTHING_S == smoothing.REACH / FPS


@pytest.mark.parametrize(
    ("options", "recipe", "layout"),
    [
        (
            {},
            Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=1.0),
            Layout(750, 63, 33),
        ),  # with two neighbours, rounded up
        ({"raw": True}, Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=1.0), Layout(750, 60, 30)),
        ({"smooth": False}, Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=1.0), Layout(750, 60, 30)),
        (
            {},
            Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=0.0),
            Layout(750, 63, 3),
        ),  # smoothing alone looks ahead
        ({"raw": True}, Recipe(window_s=25.0, context_before_s=0.0, look_ahead_s=0.0), Layout(750, 0, 0)),
        ({"overlap": 0.0}, Recipe(window_s=25.0), Layout(750, 0, 0)),
        ({"overlap": 3.0}, Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=1.0), Layout(750, 60, 30)),
        ({"overlap": 0.1}, Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=1.0), Layout(750, 3, 3)),
        (
            {"window": 2.0},
            Recipe(window_s=25.0, context_before_s=9.0, look_ahead_s=3.0),
            Layout(60, 21, 6),
        ),  # at most half of it
        ({"window": 0.1}, Recipe(window_s=25.0), Layout(3, 0, 0)),
        (
            {"region": {"lowerFaceSmoothing": 0.1}},
            Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=1.0),
            Layout(750, 63 + reach({"lowerFaceSmoothing": 0.1}), 33),
        ),  # the filter looks back
        (
            {"region": {"lowerFaceSmoothing": 0.1}, "raw": True},
            Recipe(window_s=25.0, context_before_s=2.0, look_ahead_s=1.0),
            Layout(750, 60, 30),
        ),
    ],
)
def test_where_windows_lie(options, recipe, layout):
    assert Settings(**options).layout(recipe) == layout


@given(st.floats(0.01, 160.0), st.floats(0.0, 30.0), st.floats(0.0, 30.0), st.booleans())
def test_the_models_own_overlap_fits_every_window(window, before, after, smooth):
    recipe = Recipe(context_before_s=before, look_ahead_s=after)
    layout = Settings(window=window, smooth=smooth).layout(recipe)
    assert layout.before + layout.after <= layout.window / 2


HUGE = 10**6000


@pytest.mark.parametrize(
    "options",
    [
        {"seed": HUGE},
        {"seed": -HUGE},
        {"seed": "9" * 6000},
        {"level": HUGE},
        {"person": HUGE},
        {"window": "9" * 6000},
        {"style": {0: HUGE}},
        {"style": {HUGE: 1.0}},
        {"gains": {"x" * 100_000: 1.0}},
        {"gains": {"jawOpen": HUGE}},
        {"emotions": {"x" * 100_000: 1.0}},
        {"emotions": {"joy": HUGE}},
    ],
    ids=lambda options: f"{next(iter(options))} {type(next(iter(options.values()))).__name__}",
)
def test_a_huge_value_is_refused_in_a_line(options):
    with pytest.raises(errors.InvalidRequest) as caught:
        Settings(**options)
    assert len(str(caught.value)) < 500

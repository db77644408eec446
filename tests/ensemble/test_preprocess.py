import numpy as np
import pytest

from emotalk_contract import errors, limits, timing
from emotalk_contract.loudness import levelled
from emotalk_contract.recipe import Recipe
from emotalk_ensemble.preprocess import preprocess

pytestmark = pytest.mark.unit

RECIPE = Recipe()


def clip(samples=16_000, batch=1, seed=0):
    return np.random.default_rng(seed).normal(0.01, 0.1, (batch, samples)).astype(np.float32)


def run(recipe=RECIPE, parameters=None, **inputs):
    return preprocess(inputs, parameters or {}, recipe)


def test_audio_is_normalised_over_the_clip_with_wav2vecs_epsilon():
    audio = clip() * 1e-3
    out = run(AUDIO=audio)["NETWORK_AUDIO"]
    x = audio.astype(np.float64)
    np.testing.assert_allclose(out, (x - x.mean()) / np.sqrt(x.var() + 1e-7), atol=2e-6)


def test_a_window_is_normalised_with_its_clips_statistics():
    whole = clip(48_000)
    whole[:, 16_000:] *= 3
    stats = np.array([[whole.mean(), whole.var()]], np.float32)
    part = run(
        AUDIO=whole[:, :16_000], CLIP_STATS=stats, CLIP_SAMPLES=np.array([[48_000]]), START_FRAME=np.array([[0]])
    )
    np.testing.assert_allclose(part["NETWORK_AUDIO"], run(AUDIO=whole)["NETWORK_AUDIO"][:, :16_000], atol=1e-5)


def test_a_model_that_normalises_itself_gets_the_audio_as_it_is():
    audio = clip()
    out = run(Recipe(normalisation="none", frame_grid="uniform"), AUDIO=audio)
    np.testing.assert_array_equal(out["NETWORK_AUDIO"], audio)
    np.testing.assert_allclose(out["CONTENT_POSITIONS"][0, :6], np.arange(6) * 5 / 3, rtol=1e-6)


def test_a_whole_clip_is_levelled_and_a_window_is_not():
    """Who cuts a clip into windows levels it before: a window cannot know how loud the clip is."""
    recipe = Recipe(normalisation="none", frame_grid="uniform", levelled=True)
    speech = (np.sin(np.arange(40_000) / 9) * (1 + np.sin(np.arange(40_000) / 900))) * 0.003 + 0.02
    quiet = np.stack([speech, 0.5 * speech]).astype(np.float32)
    out = run(recipe, AUDIO=quiet)["NETWORK_AUDIO"]
    for clip_, heard in zip(quiet, out, strict=True):
        np.testing.assert_array_equal(heard, levelled(clip_))
    assert out[0].std() > 3 * quiet[0].std()
    assert abs(out.mean()) < 1e-3
    start = np.zeros((2, 1), np.int64)
    np.testing.assert_array_equal(run(recipe, AUDIO=quiet, START_FRAME=start)["NETWORK_AUDIO"], quiet)
    borrowed = run(recipe, AUDIO=quiet, START_FRAME=start, EMOTION_AUDIO=quiet)["NETWORK_AUDIO"]
    np.testing.assert_array_equal(borrowed[:, -40_000:], out)


def test_each_item_of_a_batch_is_prepared_as_if_alone():
    audio = clip(batch=3)
    audio[1] *= 5
    level, person = np.array([[0.0], [0.5], [1.0]], np.float32), np.array([[0], [5], [23]], np.int32)
    together = run(AUDIO=audio, LEVEL=level, PERSON=person)
    for i in range(3):
        alone = run(AUDIO=audio[i : i + 1], LEVEL=level[i : i + 1], PERSON=person[i : i + 1])
        for name, array in alone.items():
            np.testing.assert_array_equal(together[name][i : i + 1], array)


def test_level_and_person_are_coded_and_have_defaults():
    out = run(AUDIO=clip(), LEVEL=np.array([[0.25]], np.float32), PERSON=np.array([[7]], np.int32))
    np.testing.assert_array_equal(out["LEVEL_CODE"], [[0.75, 0.25]])
    np.testing.assert_array_equal(out["STYLE_CODE"], np.eye(24)[[7]])
    default = run(AUDIO=clip())
    np.testing.assert_array_equal(default["LEVEL_CODE"], [[0, 1]])
    np.testing.assert_array_equal(default["STYLE_CODE"], np.eye(24)[[0]])


def test_a_style_is_passed_on():
    style = np.zeros((1, 24), np.float32)
    style[0, [2, 9]] = 0.25, 0.75
    np.testing.assert_array_equal(run(AUDIO=clip(), STYLE=style)["STYLE_CODE"], style)


@pytest.mark.parametrize("samples", [16_000, 16_001, 15_999])
def test_an_emotion_clip_follows_the_speech_on_the_feature_grid(samples):
    speech, other = clip(samples), clip(24_000, seed=1)
    out = run(AUDIO=speech, EMOTION_AUDIO=other)
    offset = -(-samples // timing.FEATURE_HOP) * timing.FEATURE_HOP
    np.testing.assert_array_equal(out["NETWORK_AUDIO"][:, :samples], run(AUDIO=speech)["NETWORK_AUDIO"])
    np.testing.assert_array_equal(out["NETWORK_AUDIO"][:, offset:], run(AUDIO=other)["NETWORK_AUDIO"])
    np.testing.assert_array_equal(out["CONTENT_POSITIONS"], run(AUDIO=speech)["CONTENT_POSITIONS"])
    np.testing.assert_allclose(
        out["EMOTION_POSITIONS"] - offset // timing.FEATURE_HOP, run(AUDIO=other)["EMOTION_POSITIONS"], atol=1e-4
    )


def test_an_emotion_clip_keeps_the_distance_that_the_frontend_hears():
    recipe = Recipe(normalisation="none", frame_grid="uniform", frontend_context_s=0.5)
    out = run(recipe, AUDIO=clip(), EMOTION_AUDIO=clip(24_000, seed=1))
    np.testing.assert_array_equal(out["NETWORK_AUDIO"][:, 16_000:24_000], 0)
    assert out["EMOTION_POSITIONS"][0, 0] == 24_000 / timing.FEATURE_HOP


def nan(value):
    audio = clip()
    audio[0, 77] = value
    return audio


def int64(*values):
    return np.array([values], np.int64)


def style(**kwargs):
    out = np.zeros((1, 24), np.float32)
    for key, value in kwargs.items():
        out[0, int(key[1:])] = value
    return out


BAD = {
    "empty": (errors.AudioTooShort, "0 samples", {"AUDIO": clip(0)}),
    "short": (errors.AudioTooShort, "719 samples", {"AUDIO": clip(719)}),
    "long": (errors.AudioTooLong, "5000 frames", {"AUDIO": clip(limits.MAX_SAMPLES + 600)}),
    "nan": (errors.AudioNotFinite, "nan at sample 77", {"AUDIO": nan(np.nan)}),
    "infinity": (errors.AudioNotFinite, "inf at sample 77", {"AUDIO": nan(np.inf)}),
    "integers": (errors.AudioOutOfRange, "12000", {"AUDIO": nan(12_000.0)}),
    "rank": (errors.InvalidShape, r"\[16000\]", {"AUDIO": clip()[0]}),
    "level": (errors.LevelOutOfRange, "1.5", {"AUDIO": clip(), "LEVEL": np.array([[1.5]], np.float32)}),
    "level nan": (errors.LevelOutOfRange, "nan", {"AUDIO": clip(), "LEVEL": np.array([[np.nan]], np.float32)}),
    "person -1": (errors.PersonOutOfRange, "-1", {"AUDIO": clip(), "PERSON": np.array([[-1]], np.int32)}),
    "person 24": (errors.PersonOutOfRange, "24", {"AUDIO": clip(), "PERSON": np.array([[24]], np.int32)}),
    "style sum": (errors.InvalidStyle, "sums to 2", {"AUDIO": clip(), "STYLE": style(_1=1, _2=1)}),
    "style sign": (errors.InvalidStyle, "-0.5", {"AUDIO": clip(), "STYLE": style(_1=1.5, _2=-0.5)}),
    "style nan": (errors.InvalidStyle, "nan", {"AUDIO": clip(), "STYLE": style(_1=np.nan)}),
    "both": (errors.InvalidStyle, "both", {"AUDIO": clip(), "STYLE": style(_1=1), "PERSON": np.array([[1]], np.int32)}),
    "wide level": (errors.InvalidShape, r"LEVEL has shape \[1, 2\]", {"AUDIO": clip(), "LEVEL": np.ones((1, 2))}),
    "batch": (errors.InvalidShape, r"LEVEL has shape \[1, 1\]", {"AUDIO": clip(batch=2), "LEVEL": np.ones((1, 1))}),
    "grid": (errors.InvalidWindow, "START_FRAME is 4", {"AUDIO": clip(), "START_FRAME": int64(4)}),
    "before": (errors.InvalidWindow, "START_FRAME is -3", {"AUDIO": clip(), "START_FRAME": int64(-3)}),
    "far": (errors.InvalidWindow, "START_FRAME", {"AUDIO": clip(), "START_FRAME": int64(2**62 // 3 * 3)}),
    "beyond": (
        errors.InvalidWindow,
        "CLIP_SAMPLES is 20000",
        {"AUDIO": clip(), "START_FRAME": int64(30), "CLIP_SAMPLES": int64(20_000)},
    ),
    "variance": (errors.InvalidStatistics, "-1", {"AUDIO": clip(), "CLIP_STATS": np.array([[0.0, -1.0]])}),
    "mean": (errors.InvalidStatistics, "nan", {"AUDIO": clip(), "CLIP_STATS": np.array([[np.nan, 1.0]])}),
    "emotion": (errors.AudioTooShort, "EMOTION_AUDIO has 3", {"AUDIO": clip(), "EMOTION_AUDIO": clip(3)}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_its_own_error_with_the_value_and_what_is_accepted(name):
    kind, words, inputs = BAD[name]
    with pytest.raises(errors.InvalidRequest, match=words) as caught:
        run(**inputs)
    assert type(caught.value) is kind
    assert any(word in str(caught.value) for word in ("accepted", "at least"))


def test_options_are_checked_before_anything_is_computed():
    with pytest.raises(errors.UnknownBlendshape, match="jawOpenn"):
        run(AUDIO=clip(), parameters={"gains": '{"jawOpenn": 1}'})


def test_windows_of_one_batch_must_have_equal_frames():
    audio = clip(16_100, batch=2)
    with pytest.raises(errors.InvalidWindow, match="separate requests"):
        run(AUDIO=audio, START_FRAME=np.array([[0], [0]]), CLIP_SAMPLES=np.array([[16_100], [17_000]]) + 1)
    ok = run(AUDIO=clip(16_000, batch=2), START_FRAME=np.array([[0], [0]]), CLIP_SAMPLES=np.array([[32_000]] * 2))
    assert ok["CONTENT_POSITIONS"].shape == (2, 30)

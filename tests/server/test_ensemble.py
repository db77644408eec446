"""The ensemble through a real Triton: same numbers everywhere, windows, styles, emotions, determinism."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from emotalk_contract import limits, tensors, timing
from emotalk_contract.arkit import INDEX
from emotalk_contract.clip_statistics import statistics_of

pytestmark = pytest.mark.server

LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
RAW = {"raw": True}


def column(dtype, *values):
    return np.array(values, dtype)[:, None]


def test_numpy_grpc_and_http_give_the_same_numbers(speech, pipeline, grpc, http):
    request = {"AUDIO": speech[None, :40_000], "LEVEL": column(np.float32, 0.3), "PERSON": column(np.int32, 11)}
    for parameters in (RAW, {"seed": 4, "gains": '{"jawOpen": 1.5}'}):
        here, over_grpc, over_http = (f(parameters, **request) for f in (pipeline, grpc, http))
        for name in ("BLENDSHAPES", "TIMECODES"):
            np.testing.assert_allclose(over_grpc[name], here[name], rtol=0, atol=1e-6)
            np.testing.assert_array_equal(over_http[name], over_grpc[name])


def test_shapes_types_and_timecodes(speech, grpc):
    samples = 35_001
    out = grpc(AUDIO=speech[None, :samples])
    frames = timing.frame_count(samples)
    assert (out["BLENDSHAPES"].shape, out["BLENDSHAPES"].dtype) == ((1, frames, 52), np.float32)
    assert (out["TIMECODES"].shape, out["TIMECODES"].dtype) == ((1, frames), np.float64)
    np.testing.assert_array_equal(out["TIMECODES"][0], np.arange(frames) / 30)
    assert out["BLENDSHAPES"].min() >= 0
    assert out["BLENDSHAPES"].max() <= 1


def test_a_batch_gives_each_clip_what_it_gets_alone(speech, grpc):
    clips = np.stack([speech[:32_000], speech[32_000:64_000] * 0.2, speech[200_000:232_000][::-1]])
    level, person = column(np.float32, 0, 0.5, 1), column(np.int32, 0, 5, 23)
    together = grpc(RAW, AUDIO=clips, LEVEL=level, PERSON=person)["BLENDSHAPES"]
    for i in range(3):
        alone = grpc(RAW, AUDIO=clips[i : i + 1], LEVEL=level[i : i + 1], PERSON=person[i : i + 1])
        np.testing.assert_allclose(together[i], alone["BLENDSHAPES"][0], rtol=0, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_clips_that_arrive_at_once_are_not_mixed(speech, grpc):
    """Different and equal lengths together, so that Triton batches some; each must get its own answer."""
    lengths = [16_000, 16_000, 24_000, 16_000, 24_000, 8_000, 16_000, 24_000] * 3
    clips = [speech[None, 5_000 * i : 5_000 * i + n] for i, n in enumerate(lengths)]
    alone = [grpc(RAW, AUDIO=clip)["BLENDSHAPES"] for clip in clips]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda clip: grpc(RAW, AUDIO=clip)["BLENDSHAPES"], clips))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5)


def test_the_same_request_gives_the_same_bytes_and_another_seed_moves_only_blinks(speech, grpc):
    clip = speech[None, :160_000]
    first, again, other = (grpc({"seed": seed}, AUDIO=clip)["BLENDSHAPES"][0] for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    others = np.delete(np.arange(52), LIDS)
    np.testing.assert_array_equal(first[:, others], other[:, others])
    assert (first[:, LIDS] != other[:, LIDS]).any()


def test_level_person_and_style_change_the_face_and_mix_linearly(speech, grpc):
    clip = speech[None, :24_000]
    base = grpc(RAW, AUDIO=clip)["BLENDSHAPES"]
    assert np.abs(grpc(RAW, AUDIO=clip, LEVEL=column(np.float32, 0))["BLENDSHAPES"] - base).max() > 1e-3
    person = grpc(RAW, AUDIO=clip, PERSON=column(np.int32, 9))["BLENDSHAPES"]
    assert np.abs(person - base).max() > 1e-3
    one_hot = np.eye(24, dtype=np.float32)[[9]]
    np.testing.assert_array_equal(grpc(RAW, AUDIO=clip, STYLE=one_hot)["BLENDSHAPES"], person)
    blend = np.zeros((1, 24), np.float32)
    blend[0, [0, 9]] = 0.5
    mixed = grpc(RAW, AUDIO=clip, STYLE=blend)["BLENDSHAPES"]
    assert np.abs(mixed - base).max() > 1e-4
    assert np.abs(mixed - person).max() > 1e-4


def test_a_window_over_the_whole_clip_is_the_clip(speech, grpc):
    clip = speech[None, :50_000]
    window = grpc(
        RAW,
        AUDIO=clip,
        START_FRAME=column(np.int64, 0),
        CLIP_SAMPLES=column(np.int64, 50_000),
        CLIP_STATS=statistics_of(clip),
    )
    np.testing.assert_allclose(window["BLENDSHAPES"], grpc(RAW, AUDIO=clip)["BLENDSHAPES"], rtol=0, atol=1e-6)


def test_a_window_that_knows_its_clip_is_nearer_to_it_than_one_that_does_not(speech, grpc):
    clip = speech[None].copy()
    clip[:, :16_000] *= 4  # so that the clip's statistics are not the window's
    whole = grpc(RAW, AUDIO=clip)["BLENDSHAPES"][0]
    part, start = clip[:, 16_000:], 30
    knows = grpc(
        RAW,
        AUDIO=part,
        START_FRAME=column(np.int64, start),
        CLIP_SAMPLES=column(np.int64, clip.shape[1]),
        CLIP_STATS=statistics_of(clip),
    )
    ignorant = grpc(RAW, AUDIO=part)["BLENDSHAPES"][0]
    np.testing.assert_array_equal(knows["TIMECODES"][0], np.arange(start, len(whole)) / 30)
    far = slice(300, None)  # ten seconds after the cut, where little depends on what came before it
    errors = [np.abs(w - whole[start:])[far].mean() for w in (knows["BLENDSHAPES"][0], ignorant)]
    assert errors[0] < 0.25 * errors[1]  # 0.0018 and 0.0083


def test_windows_blink_as_their_clip_does(speech, grpc):
    clip = speech[None, :320_000]
    whole = grpc({"seed": 5}, AUDIO=clip)["BLENDSHAPES"][0][:, LIDS]
    part = grpc(
        {"seed": 5}, AUDIO=clip[:, 160_000:], START_FRAME=column(np.int64, 300), CLIP_SAMPLES=column(np.int64, 320_000)
    )["BLENDSHAPES"][0][:, LIDS]
    np.testing.assert_array_equal(part, whole[300:])
    assert whole.max() > 0.5


def test_a_live_window_needs_no_clip(speech, grpc):
    out = grpc(RAW, AUDIO=speech[None, :16_000], START_FRAME=column(np.int64, 3_000_000))
    assert out["BLENDSHAPES"].shape == (1, 30, 52)
    assert out["TIMECODES"][0, 0] == 100_000.0


def test_emotion_from_the_same_clip_changes_nothing(speech, grpc):
    clip = speech[None, :48_000]
    own = grpc(RAW, AUDIO=clip)["BLENDSHAPES"]
    same = grpc(RAW, AUDIO=clip, EMOTION_AUDIO=clip)["BLENDSHAPES"]
    np.testing.assert_allclose(same, own, rtol=0, atol=1e-5)


def test_emotion_from_another_clip_changes_the_face_but_not_its_length(speech, grpc):
    clip, other = speech[None, :48_000], speech[None, 100_000:131_000] * np.linspace(0.1, 2, 31_000, dtype=np.float32)
    own = grpc(RAW, AUDIO=clip)["BLENDSHAPES"]
    borrowed = grpc(RAW, AUDIO=clip, EMOTION_AUDIO=other)["BLENDSHAPES"]
    assert borrowed.shape == own.shape
    assert np.abs(borrowed - own).max() > 1e-3


@pytest.mark.parametrize("samples", [limits.MIN_SAMPLES, limits.MIN_SAMPLES + 1])
def test_the_shortest_clips(samples, speech, grpc):
    assert grpc(AUDIO=speech[None, :samples])["BLENDSHAPES"].shape == (1, 2, 52)


def test_generate_for_curl(server, speech, grpc):
    """Triton's JSON endpoint, as the README's curl uses it."""
    clip = np.round(speech[:8_000], 4)
    body = {"AUDIO": clip.astype(float).tolist(), "LEVEL": 0.5, "PERSON": 3, "seed": 2, "clamp": False}
    request = urllib.request.Request(
        f"http://{server.http_url}/v2/models/{tensors.ENSEMBLE.name}/generate",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
    expected = grpc(
        {"seed": 2, "clamp": False},
        AUDIO=clip[None].astype(np.float32),
        LEVEL=column(np.float32, 0.5),
        PERSON=column(np.int32, 3),
    )
    weights = np.array(answer["BLENDSHAPES"]).reshape(-1, 52)
    np.testing.assert_allclose(weights, expected["BLENDSHAPES"][0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(answer["TIMECODES"], expected["TIMECODES"][0])

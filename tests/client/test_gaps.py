"""Clips with gaps and clips that begin at a time of day, in every format and on the page."""

import numpy as np
import pygltflib
import pytest
from head_lips import accessor
from livelink_recordings import on_clock, table
from pxr import Usd, UsdSkel
from scipy.interpolate import PchipInterpolator

from emotalk_client import Animation
from emotalk_client.errors import InvalidRate
from emotalk_client.faces.formats import FORMATS
from emotalk_client.faces.formats.audio2face import document
from emotalk_gateway.page.viewer import frames_document

pytestmark = pytest.mark.unit

NOON = 43_200.5
MISSING = [20, 21, 22, 50]
KEPT = np.delete(np.arange(90), MISSING)


@pytest.fixture
def face():
    """A ramp of 90 frames at 30 fps from half a second after noon, four of which are missing."""
    weights = np.repeat(KEPT[:, None] / 100, 52, axis=1).astype(np.float32)
    return Animation(weights, NOON + KEPT / 30)


def test_a_gap_counts_in_the_duration(face):
    assert face.duration_s == pytest.approx(3)
    assert Animation(face.weights[:1], face.timecodes[:1]).duration_s == pytest.approx(1 / 30)
    assert Animation(face.weights[:0], face.timecodes[:0]).duration_s == 0


def test_even_fills_gaps_along_the_curves(face):
    even = face.even()
    np.testing.assert_allclose(even.timecodes, NOON + np.arange(90) / 30)
    np.testing.assert_allclose(even.weights[:, 3], np.arange(90) / 100, atol=1e-4)
    np.testing.assert_allclose(even.weights[KEPT], face.weights, atol=1e-6)
    assert even.even() is even


def test_curves_over_gaps_are_scipys_monotone_cubics():
    rng = np.random.default_rng(1)
    face = Animation(rng.uniform(0, 1, (len(KEPT), 52)).astype(np.float32), KEPT / 30)
    expected = PchipInterpolator(KEPT, face.weights.astype(float))(np.arange(90))
    np.testing.assert_allclose(face.even().weights, expected, atol=1e-6)


def test_other_rates_have_no_gaps(face):
    other = face.resampled(60)
    np.testing.assert_allclose(other.timecodes, NOON + np.arange(180) / 60)
    np.testing.assert_allclose(other.weights[:178, 0], np.arange(178) / 200, atol=5e-3)
    assert len(face.resampled(30)) == 90


def test_a_gap_without_end_is_refused():
    face = Animation(np.zeros((2, 52), np.float32), np.array([0.0, 86_400.0]))
    with pytest.raises(InvalidRate, match="has 2592001 frames at 30 fps; accepted: at most 500000"):
        face.even()


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_saved_is_as_long_and_begins_where_its_format_says(tmp_path, face, suffix):
    path = tmp_path / f"face{suffix}"
    face.save(path)
    loaded = Animation.load(path)
    assert (loaded.fps, loaded.duration_s) == (30, pytest.approx(3))
    keeps_time = suffix in (".csv", ".jsonl")
    assert loaded.start_s == pytest.approx(NOON if keeps_time else 0, abs=1e-4)
    grid = suffix in (".npy", ".json")
    np.testing.assert_allclose(loaded.seconds, np.arange(90) / 30 if grid else KEPT / 30, atol=1e-4)
    np.testing.assert_allclose(loaded.even().weights, face.even().weights, atol=1e-5)


def test_gltf_begins_at_nought_and_has_its_gaps(tmp_path, face):
    face.save(tmp_path / "face.glb")
    file = pygltflib.GLTF2().load(tmp_path / "face.glb")
    sampler = file.animations[0].samplers[0]
    np.testing.assert_allclose(accessor(file, sampler.input)[:, 0], KEPT / 30, atol=1e-6)
    assert file.accessors[sampler.input].min == [0]


def test_usd_begins_at_nought_and_has_its_gaps(tmp_path, face):
    face.save(tmp_path / "face.usda")
    stage = Usd.Stage.Open(str(tmp_path / "face.usda"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, 89)
    clip = next(UsdSkel.Animation(prim) for prim in stage.Traverse() if prim.IsA(UsdSkel.Animation))
    np.testing.assert_allclose(clip.GetBlendShapeWeightsAttr().GetTimeSamples(), KEPT)
    np.testing.assert_allclose(np.array(clip.GetBlendShapeWeightsAttr().Get(21))[0], 0.21, atol=1e-6)


def test_audio2face_counts_the_frames_that_it_has(face):
    content = document(face)
    assert content["numFrames"] == len(content["weightMat"]) == 90


def test_the_page_gets_frames_from_nought_without_gaps(face):
    shown = frames_document(face)
    assert (shown["timecode"], shown["fps"], len(shown["blendshapes"])) == (0, 30, 90)
    assert shown["blendshapes"][21][0] == pytest.approx(0.21, abs=1e-4)


def test_a_recording_is_shown_from_its_first_row(tmp_path):
    (tmp_path / "take.csv").write_text(table(on_clock(np.arange(60) * 2, 60, start=NOON, fraction="169")))
    take = Animation.load(tmp_path / "take.csv")
    assert take.start_s == pytest.approx(NOON, abs=0.01)
    assert frames_document(take)["timecode"] == 0
    assert len(frames_document(take)["blendshapes"]) == 60
    take.save(tmp_path / "take.glb")
    assert Animation.load(tmp_path / "take.glb").start_s == 0
    assert Animation.load(tmp_path / "take.glb").fps == 30


def test_times_that_stray_are_put_on_the_grid():
    rng = np.random.default_rng(3)
    times = np.arange(300) / 59.9 + rng.uniform(-0.001, 0.001, 300)
    face = Animation(np.repeat(times[:, None], 52, axis=1).astype(np.float32), times, 60.0)
    even = face.even()
    np.testing.assert_allclose(even.weights[:-1, 0], even.timecodes[:-1], atol=2e-3)
    assert len(even) == round(times[-1] * 60) + 1 > 300

"""Files, read back with readers that are not ours."""

import csv
import json

import numpy as np
import pytest

from emotalk_client import Animation
from emotalk_client.errors import MissingExtra, UnknownFormat, UnreadableAnimation, UnwritableFile
from emotalk_client.faces.formats import FORMATS
from emotalk_client.faces.plot import plot
from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.unit


@pytest.fixture
def face():
    weights = np.random.default_rng(0).uniform(0, 1, (95, 52)).astype(np.float32)
    return Animation(weights, np.arange(95) / 30)


def test_npy_is_a_plain_array(tmp_path, face):
    face.save(tmp_path / "face.npy")
    loaded = np.load(tmp_path / "face.npy")
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, face.weights)


def test_live_link_csv_has_its_columns_by_name(tmp_path, face):
    face.save(tmp_path / "face.csv")
    with (tmp_path / "face.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    header = rows[0]
    assert header[:4] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    assert header.index("JawRight") + 1 == header.index("JawLeft")
    assert header.index("MouthRight") + 1 == header.index("MouthLeft")
    assert header[54:] == [
        *("HeadYaw", "HeadPitch", "HeadRoll"),
        *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
    ]
    assert {len(row) for row in rows} == {63}
    assert {row[1] for row in rows[1:]} == {"61"}
    for name in BLENDSHAPES:
        column = header.index(name[0].upper() + name[1:])
        values = [float(row[column]) for row in rows[1:]]
        np.testing.assert_allclose(values, face.weights[:, BLENDSHAPES.index(name)], atol=1e-9)
    assert [rows[i][0] for i in (1, 2, 31, 95)] == [
        "00:00:00:00.000",
        "00:00:00:02.000",
        "00:00:01:00.000",
        "00:00:03:08.000",
    ]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("fps", [24, 60])
def test_every_format_is_saved_at_any_rate_and_read_back(tmp_path, face, suffix, fps):
    path = tmp_path / f"face{suffix}"
    face.save(path, fps=fps)
    loaded = Animation.load(path, fps=fps if suffix == ".npy" else None)
    expected = face.resampled(fps)
    assert loaded.fps == pytest.approx(fps, abs=1e-4)
    np.testing.assert_allclose(loaded.weights, expected.weights, atol=1e-6)
    np.testing.assert_allclose(loaded.timecodes, expected.timecodes, atol=1e-4)


def test_audio2face_json_says_what_it_holds(tmp_path, face):
    face.save(tmp_path / "face.json")
    content = json.loads((tmp_path / "face.json").read_text())
    assert (content["exportFps"], content["numPoses"], content["numFrames"]) == (30, 52, 95)
    weights = np.array(content["weightMat"])
    assert content["facsNames"][:2] == ["eyeBlinkLeft", "eyeLookDownLeft"]
    for i, name in enumerate(content["facsNames"]):
        np.testing.assert_allclose(weights[:, i], face.weights[:, BLENDSHAPES.index(name)], atol=1e-6)
    assert content["joints"] == []
    assert content["rotations"] == content["translations"] == [[]] * 95  # a list a frame, as its other readers expect


def test_json_lines_are_a_line_a_frame(tmp_path, face):
    face.save(tmp_path / "face.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "face.jsonl").read_text().splitlines()]
    assert [line["timecode"] for line in lines] == [i / 30 for i in range(95)]
    np.testing.assert_allclose([line["blendshapes"] for line in lines], face.weights, atol=1e-6)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_was_saved_is_read_back(tmp_path, face, suffix):
    path = tmp_path / f"face{suffix.upper()}"
    face.save(path)
    loaded = Animation.load(path)
    np.testing.assert_allclose(loaded.weights, face.weights, atol=1e-6)
    np.testing.assert_allclose(loaded.timecodes, face.timecodes, atol=1e-4)
    assert (len(loaded), loaded.duration_s) == (95, pytest.approx(95 / 30))


def test_an_unknown_suffix_lists_those_that_are_known(tmp_path, face):
    with pytest.raises(UnknownFormat, match=r"'\.xyz'; accepted: \.npy, \.csv, \.json, \.jsonl"):
        face.save(tmp_path / "face.xyz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"", b"nonsense\n", b'{"a": 1}\n'])
def test_a_file_that_is_no_animation_says_so(tmp_path, suffix, content):
    path = tmp_path / f"face{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableAnimation, match=r"face\."):
        Animation.load(path)


def test_a_channel_is_found_by_name(face):
    np.testing.assert_array_equal(face.channel("jawOpen"), face.weights[:, 24])


def test_the_plot_is_a_picture_of_the_curves(tmp_path, face):
    from matplotlib.image import imread

    plot(face, tmp_path / "a.png", np.zeros(50_000, np.float32) + 1e-3)
    plot(Animation(face.weights * 0.1, face.timecodes), tmp_path / "b.png")
    with_audio, without = imread(tmp_path / "a.png"), imread(tmp_path / "b.png")
    assert with_audio.shape[1] == without.shape[1] == 1200
    assert with_audio.shape[0] > without.shape[0]
    assert with_audio[..., :3].std() > 0.05


def test_without_matplotlib_the_extra_is_named(tmp_path, face, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(MissingExtra, match=r"emotalk-triton\[plot\]"):
        plot(face, tmp_path / "a.png")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_cannot_be_written_says_so(tmp_path, face, suffix):
    with pytest.raises(UnwritableFile, match=r"face\..* cannot be written: No such file"):
        face.save(tmp_path / "missing" / f"face{suffix}")


def test_a_plot_that_cannot_be_written_says_so(tmp_path, face):
    with pytest.raises(UnknownFormat, match=r"'\.xyz'; accepted: \.png"):
        plot(face, tmp_path / "a.xyz")
    with pytest.raises(UnwritableFile, match=r"a\.png cannot be written"):
        plot(face, tmp_path / "missing" / "a.png")

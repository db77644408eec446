"""Files, read back with readers that are not ours."""

import csv
import json

import numpy as np
import pytest

from emotalk_client import Animation
from emotalk_client.errors import MissingExtra, UnknownFormat, UnreadableAnimation, UnwritableFile
from emotalk_client.faces.formats import FORMATS
from emotalk_client.faces.formats.livelink import timecode
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
        "00:00:00:01.000",
        "00:00:01:00.000",
        "00:00:03:04.000",
    ]


def test_timecodes_of_long_clips():
    assert timecode(3661 + 29 / 30, 30) == "01:01:01:29.000"
    assert timecode(1 / 60, 30) == "00:00:00:00.500"
    assert timecode(3661 + 59 / 60, 60) == "01:01:01:59.000"
    assert timecode(239 / 240, 240) == "00:00:00:239.000"
    # 23.976 counts 24 frames to its second, which is a little longer (non-drop).
    assert [timecode(frame / 23.976, 23.976) for frame in (23, 24)] == ["00:00:00:23.000", "00:00:01:00.000"]


@pytest.mark.parametrize("fps", [24, 25, 48, 60, 120])
def test_live_link_csv_counts_the_frames_of_its_own_rate(tmp_path, face, fps):
    face.save(tmp_path / "face.csv", fps=fps)
    expected = face.resampled(fps)
    with (tmp_path / "face.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(expected)
    for frame, row in enumerate(rows):
        hours, minutes, seconds, frames = row["Timecode"].split(":")
        assert (hours, minutes) == ("00", "00")
        assert (int(seconds), float(frames)) == divmod(frame, fps)
    for name in BLENDSHAPES:
        values = [float(row[name[0].upper() + name[1:]]) for row in rows]
        np.testing.assert_allclose(values, expected.channel(name), atol=1e-9)


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


def test_a_csv_shorter_than_a_second_is_read_at_the_rate_that_is_said(tmp_path, face):
    short = Animation(face.weights[:20], face.timecodes[:20])
    short.save(tmp_path / "face.csv", fps=60)
    np.testing.assert_allclose(Animation.load(tmp_path / "face.csv", fps=60).timecodes, np.arange(40) / 60)
    assert Animation.load(tmp_path / "face.csv").fps == 30


def test_audio2face_json_says_what_it_holds(tmp_path, face):
    face.save(tmp_path / "face.json")
    content = json.loads((tmp_path / "face.json").read_text())
    assert (content["exportFps"], content["numPoses"], content["numFrames"]) == (30, 52, 95)
    weights = np.array(content["weightMat"])
    assert content["facsNames"][:2] == ["eyeBlinkLeft", "eyeLookDownLeft"]
    for i, name in enumerate(content["facsNames"]):
        np.testing.assert_allclose(weights[:, i], face.weights[:, BLENDSHAPES.index(name)], atol=1e-6)
    assert all(content[key] == [] for key in ("joints", "rotations", "translations"))


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

"""Files of the other formats as other programs write them, and as they break."""

import json

import numpy as np
import pytest

from emotalk_client import Animation
from emotalk_client.errors import UnreadableAnimation
from emotalk_client.faces.formats.faults import shortened
from emotalk_client.faces.track import MAX_FRAMES
from emotalk_contract.arkit import APPLE_ORDER

pytestmark = pytest.mark.unit


def export(names=APPLE_ORDER, frames=20, **others):
    """An Audio2Face export whose row r has the weight r / 100 everywhere; a value of None leaves a key out."""
    document = {
        "exportFps": 60,
        "trackPath": "C:/voice.wav",
        "numPoses": len(names),
        "numFrames": frames,
        "facsNames": list(names),
        "weightMat": [[row / 100] * len(names) for row in range(frames)],
    } | others
    return {key: value for key, value in document.items() if value is not None}


def load(tmp_path, suffix, content, **options):
    path = tmp_path / f"face{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return Animation.load(path, **options)


def refused(tmp_path, suffix, content):
    with pytest.raises(UnreadableAnimation) as told:
        load(tmp_path, suffix, content)
    assert len(str(told.value)) < 600
    return str(told.value)


# Audio2Face ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spell",
    [
        str,
        lambda name: name[0].upper() + name[1:],
        lambda name: f"blendShapes.{name[0].upper()}{name[1:]}",
        str.upper,
        lambda name: name.replace("Left", "_L").replace("Right", "_R"),
    ],
)
def test_names_are_read_in_any_spelling(tmp_path, spell):
    rows = (np.arange(52)[None] / 100 + np.arange(5)[:, None] / 1000).tolist()
    names = [spell(name) for name in APPLE_ORDER if name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")]
    names += ["jawLeft", "jawRight", "mouthLeft", "mouthRight"]
    order = [name for name in APPLE_ORDER if name not in names[-4:]] + names[-4:]
    face = load(tmp_path, ".json", export(names, 5, weightMat=rows))
    for column, name in enumerate(order):
        np.testing.assert_allclose(face.channel(name), [row[column] for row in rows], atol=1e-7)
    assert face.fps == 60


def test_46_poses_leave_the_others_at_rest(tmp_path, caplog):
    names = [name for name in APPLE_ORDER if not name.startswith(("eyeLookIn", "eyeLookOut", "cheekSquint"))]
    assert len(names) == 46
    face = load(tmp_path, ".json", export(names))
    np.testing.assert_allclose(face.channel("jawOpen"), np.arange(20) / 100, atol=1e-7)
    assert (face.channel("eyeLookInLeft") == 0).all()
    assert "6 blendshapes are missing and stay 0: 'cheekSquintLeft'" in caplog.text


def test_poses_of_another_rig_are_named(tmp_path, caplog):
    words = refused(tmp_path, ".json", export(["jawDrop", "lipPressorL", "lipPressorR"]))
    assert "none of its columns ('jawDrop', 'lipPressorL', 'lipPressorR') is one of ARKit's 52 blendshapes" in words
    face = load(tmp_path, ".json", export(["jawOpen", "jawDrop"]))
    assert face.channel("jawOpen")[3] == pytest.approx(0.03)
    assert "1 columns are not blendshapes and are left out: 'jawDrop'" in caplog.text


def test_an_export_without_its_rate_is_read_at_the_one_that_is_told(tmp_path, caplog):
    unsaid = export(exportFps=None, trackPath=None, numFrames=None, numPoses=None)
    assert load(tmp_path, ".json", unsaid).fps == 30
    assert "face.json does not say its exportFps: it is read at 30 fps" in caplog.text
    face = load(tmp_path, ".json", unsaid, fps=60)
    np.testing.assert_allclose(face.timecodes, np.arange(20) / 60)


def with_cell(value):
    return export(frames=3, weightMat=[[0.0] * 52, [0.0] * 7 + [value] + [0.0] * 44, [0.0] * 52])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"[1, 2]", "it is a list of 2; accepted: a JSON object"),
        (b"{", "it is not JSON (Expecting property name"),
        (b"[" * 100_000, "its JSON is nested too deep"),
        (b'{"exportFps": ' + b"9" * 10_000 + b"}", "it is not JSON that can be read"),
        (b"[" * 2_000_001, "more values than 500000 frames can have"),
        (b'{"a": "\xff"}', "it is not UTF-8 text (byte 8 is 0xff)"),
        ({}, "facsNames is missing; accepted: a list"),
        (export(facsNames="jawOpen"), "facsNames is 'jawOpen'; accepted: a list"),
        (export(weightMat=None), "weightMat is missing"),
        (export(exportFps=0), "exportFps is 0; accepted: 1..240 frames a second"),
        (export(exportFps="30"), "exportFps is '30'; accepted"),
        (export(exportFps=float("nan")), "exportFps is nan; accepted"),
        (export(numPoses=46), "numPoses is 46, but it has 52"),
        (export(numFrames=21), "numFrames is 21, but it has 20"),
        (with_cell("loud"), "weightMat, row 2, column 'eyeBlinkRight' is 'loud'; accepted: a finite number"),
        (with_cell(None), "weightMat, row 2, column 'eyeBlinkRight' is nan; accepted: a finite number"),
        (with_cell(float("inf")), "weightMat, row 2, column 'eyeBlinkRight' is inf; accepted"),
        (with_cell([0.1]), "weightMat, row 2, column 'eyeBlinkRight' is a list of 1; accepted"),
        (with_cell(1e300), "weightMat, row 2, column 'eyeBlinkRight' is inf; accepted"),
        (with_cell(10**400), "weightMat, row 2, column 'eyeBlinkRight' is 1000"),
        (export(frames=1, weightMat=[[0.0] * 51]), "weightMat, row 1 has 51 weights; accepted: 52"),
        (export(frames=1, weightMat=[0.0]), "weightMat, row 1 is 0.0; accepted: a list of 52 numbers"),
        (export(["jawOpen", 7]), "the name of column 2 is 7; accepted: text"),
        (export(["jawOpen", "JawOpen"]), "jawOpen stands twice, in columns 1 and 2"),
    ],
)
def test_a_broken_export_says_where(tmp_path, content, words):
    assert words in refused(tmp_path, ".json", content)


def test_a_value_is_shortened_in_messages():
    assert shortened(10**5000) == "a huge int"
    assert len(shortened("x" * 10**6)) <= 61
    assert shortened([0] * 10**6) == "a list of 1000000"


# JSON lines ------------------------------------------------------------------------------------


def lines(*frames):
    return "\n".join(json.dumps(frame) for frame in frames).encode()


def frame(seconds, weights=None):
    return {"timecode": seconds, "blendshapes": [0.0] * 52 if weights is None else weights}


def test_lines_keep_their_times_and_gaps(tmp_path):
    times = 43_200 + np.delete(np.arange(90), [20, 21, 22]) / 30
    face = load(tmp_path, ".jsonl", b"\xef\xbb\xbf" + lines(*map(frame, times)) + b"\n\n")
    assert face.fps == 30
    np.testing.assert_array_equal(face.timecodes, times)
    assert face.duration_s == pytest.approx(3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (lines(frame(0), 7), "row 2 is 7; accepted: a JSON object"),
        (lines(frame(0)) + b"\n{", "row 2: it is not JSON"),
        (lines(frame(0)) + b"\n" + b"[" * 60_000, "row 2: its JSON is nested too deep"),
        (lines(frame(0)) + b"\n" + b"[" * 70_000, "row 2 has more than 65536 bytes"),
        (lines(frame(0), {"timecode": 1}), "row 2 has no blendshapes"),
        (lines(frame(0), {"blendshapes": []}), "row 2 has no timecode"),
        (lines(frame(0), frame("1")), "row 2 has the timecode '1'; accepted: seconds"),
        (lines(frame(0), frame(float("nan"))), "row 2 has the timecode nan; accepted: seconds"),
        (lines(frame(0), frame(1), frame(0.5)), "row 3 lies at 0.5 s, and the one before it at 1 s"),
        (lines(frame(0), frame(1, [0.0] * 51)), "row 2 has 51 weights; accepted: 52"),
        (lines(frame(0), frame(1, [0.0] * 51 + [float("nan")])), "row 2, column 'tongueOut' is nan"),
        (lines(frame(0), frame(1 / 967)), "come 967 times a second; accepted: at most 240"),
        (lines(frame(0), frame(1 / 30), frame(2 / 30), frame(1e6)), "its rows span 1e+06 s at 30 fps"),
    ],
)
def test_broken_lines_say_where(tmp_path, content, words):
    assert words in refused(tmp_path, ".jsonl", content)


# NumPy -----------------------------------------------------------------------------------------


def npy(shape, descr="<f4", body=b""):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def saved(tmp_path, array):
    np.save(tmp_path / "made.npy", array)
    return (tmp_path / "made.npy").read_bytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4", np.float64, np.int64, np.uint8])
def test_arrays_of_any_real_numbers_are_read(tmp_path, dtype):
    face = load(tmp_path, ".npy", saved(tmp_path, np.ones((7, 52), dtype)), fps=25)
    assert face.weights.dtype == np.float32
    assert (face.weights == 1).all()
    assert face.fps == 25


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"\x93NUMPY", "its header is not that of a NumPy array"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535, "its header is not that of a NumPy array"),
        (npy((1 << 40, 52)), f"1099511627776] frames; accepted: at most {MAX_FRAMES}"),
        (npy((1 << 18, 52)), "it ends before its 262144 frames do"),
        (npy((-1, 52)), "the array has shape [-1, 52]; accepted: [frames, 52]"),
        (npy((2, 51)), "the array has shape [2, 51]; accepted: [frames, 52]"),
        (npy((52,)), "the array has shape [52]"),
        (npy((1, 52), "<c8", bytes(416)), "the array is of complex64; accepted: real numbers"),
        (npy((1, 52), "|O", bytes(416)), "the array is of object"),
        (npy((1, 52), "<f4", np.full(52, np.nan, "<f4").tobytes()), "row 1, column 'browDownLeft' is nan"),
        (npy((1, 52), "<f8", np.full(52, 1e300).tobytes()), "row 1, column 'browDownLeft' is inf"),
    ],
)
def test_a_broken_array_says_what_it_is(tmp_path, content, words):
    assert words in refused(tmp_path, ".npy", content)


# What is there, but is not a file --------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json", ".jsonl", ".glb", ".usd"])
def test_a_folder_and_a_missing_file_say_so(tmp_path, suffix):
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(UnreadableAnimation, match=r"folder\..* cannot be read: Is a directory"):
        Animation.load(tmp_path / f"folder{suffix}")
    with pytest.raises(UnreadableAnimation, match=r"none\..* cannot be read: No such file"):
        Animation.load(tmp_path / f"none{suffix}")

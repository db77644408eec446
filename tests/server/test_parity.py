"""What the paper's code gives, through a real Triton. Tolerance 1e-4: easy mistakes cost more (see tests/export)."""

import re

import numpy as np
import pytest

from emotalk_ensemble import timing

TOLERANCE = 1e-4
NAME = re.compile(r"(?P<clip>[a-z]+\d?)(_(?P<samples>\d+))?__level(?P<level>\d)_person(?P<person>\d+)")


def golden_request(path, audio):
    """The request that made the golden at ``path``, ``audio(clip)`` being its clip."""
    name = NAME.fullmatch(path.stem)
    clip = audio(name["clip"])
    clip = clip[: int(name["samples"])] if name["samples"] else clip
    return {
        "AUDIO": clip[None],
        "LEVEL": np.array([[float(name["level"])]], np.float32),
        "PERSON": np.array([[int(name["person"])]], np.int32),
    }


def check(path, audio, infer):
    golden = np.load(path)
    request = golden_request(path, audio)
    samples = request["AUDIO"].shape[1]
    out = infer({"raw": True}, **request)["BLENDSHAPES"][0]
    assert len(out) == timing.frame_count(samples)
    if len(golden) == len(out) + 1:  # the authors' floats gave a phantom frame, and laid their grid over it
        assert np.ceil(samples / 16000 * 30) == len(golden)
        return
    assert len(out) == len(golden)
    np.testing.assert_allclose(out, golden, rtol=0, atol=TOLERANCE, err_msg=path.stem)


def our_goldens(data, size):
    return sorted((data / f"goldens_{size}").glob("speechlike*.npy"))


def test_our_goldens(data, speech, grpc):
    paths = our_goldens(data, "small")
    assert len(paths) >= 5
    for path in paths:
        check(path, lambda clip: speech, grpc)


def test_goldens_of_recorded_speech(reference, grpc):
    if reference is None:
        pytest.skip("the recordings are not part of this project; set EMOTALK_REFERENCE to their folder")
    check_recorded(reference, "small", grpc)


def check_recorded(reference, size, infer):
    import soundfile

    def audio(clip):
        return soundfile.read(reference / "audio" / f"{clip}.wav", dtype="float32")[0]

    paths = [p for p in sorted((reference / f"goldens_{size}").glob("*.npy")) if not p.stem.startswith("speechlike")]
    assert len(paths) > 20
    for path in paths:
        check(path, audio, infer)

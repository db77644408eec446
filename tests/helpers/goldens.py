"""Compares answers with goldens of the authors' own code on seeded weights.

Tolerance 1e-4: easy mistakes cost more (see tests/export).
"""

import logging
import re

import numpy as np
import pytest
import soundfile

from emotalk_contract import timing

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
SEED = 7
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


def check(path, audio, ask):
    golden = np.load(path)
    request = golden_request(path, audio)
    samples = request["AUDIO"].shape[1]
    out = ask({"raw": True}, **request)["BLENDSHAPES"][0]
    assert len(out) == timing.frame_count(samples)
    if len(golden) == len(out) + 1:  # the authors' floats gave a phantom frame, and laid their grid over it
        assert np.ceil(samples / 16000 * 30) == len(golden)
        return
    assert len(out) == len(golden)
    np.testing.assert_allclose(out, golden, rtol=0, atol=TOLERANCE, err_msg=path.stem)
    logger.info("%s: largest difference %.1e", path.stem, np.abs(out - golden).max())


def check_ours(data, size, speech, ask, at_least):
    paths = sorted((data / f"goldens_{size}").glob("speechlike*.npy"))
    assert len(paths) >= at_least
    for path in paths:
        check(path, lambda clip: speech, ask)


def check_recorded(reference, size, ask):
    if reference is None:
        pytest.skip("the recordings are not part of this project; set EMOTALK_REFERENCE to their folder")
    paths = [p for p in sorted((reference / f"goldens_{size}").glob("*.npy")) if not p.stem.startswith("speechlike")]
    assert len(paths) > 20
    for path in paths:
        check(path, lambda clip: soundfile.read(reference / "audio" / f"{clip}.wav", dtype="float32")[0], ask)

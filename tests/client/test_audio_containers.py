import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.audio.containers import HEAD, container

pytestmark = pytest.mark.unit

NOISE = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("WAV", "wav"),
        ("WAVEX", "wav"),
        ("RF64", "wav"),
        ("W64", "w64"),
        ("AIFF", "aiff"),
        ("AU", "au"),
        ("CAF", "caf"),
        ("VOC", "voc"),
        ("FLAC", "flac"),
        ("OGG", "ogg"),
        ("MP3", "mp3"),
    ],
)
@pytest.mark.parametrize("samples", [np.zeros(8_000, np.float32), NOISE])
def test_what_libsndfile_writes(name, kind, samples):
    file = io.BytesIO()
    soundfile.write(file, samples, 8_000, format=name)
    assert container(file.getvalue()[:HEAD]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska", "mkv"),
        (b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00", "mp4"),
        (b"\x00\x00\x00\x20ftypqt  ", "mp4"),
        (b"\x00\x00\x00\x18styp", "mp4"),
        (b"ID3\x04\x00\x00", "mp3"),
        (b"RIFF\xff\xff\xff\xffWAVE", "wav"),
        (b"RIFX\x00\x00\x00\x00WAVE", "wav"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "avi"),
        (b"FORM\x00\x00\x00\x00AIFC", "aiff"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "asf"),
        (b"#!AMR\n", "amr"),
        (b"RIFF\x00\x00\x00\x00CDDA", None),
        (b"", None),
        (b"RI", None),
    ],
)
def test_magic(head, kind):
    assert container(head) == kind


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_answered(content):
    container(content)


@pytest.mark.parametrize("kind", ["<i2", ">i2", "<i4", "<f4", "u1"])
@pytest.mark.parametrize("level", [0.0, 1e-4, 0.1, 0.9])
def test_raw_pcm_is_not_a_container(kind, level):
    generator = np.random.default_rng(1)
    for _ in range(50):
        samples = np.clip(generator.normal(0, level / 3, 500), -1, 1)
        full = {"u1": 127.0, "<i4": 2.0**31 - 1, "<f4": 1.0}.get(kind, 32767.0)
        assert container((samples * full + (128 if kind == "u1" else 0)).astype(kind).tobytes()) is None
    assert container(b"\xff" * 5_000) is None  # -1 in 16 bits, which looks like the sync word of mp3
    assert container(b"\xff\xfb\x90\x00" + bytes(5_000)) is None  # one frame of mp3, and no second
    assert container(struct.pack("<h", -1) * 3_000) is None

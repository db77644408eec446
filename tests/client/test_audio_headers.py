"""Lengths in headers: placeholders are read to the end, files that were cut are refused."""

import io
import struct

import numpy as np
import pytest
import soundfile

from emotalk_client.audio.loading import expected_samples, load
from emotalk_client.errors import TruncatedAudio, UnreadableAudio

pytestmark = pytest.mark.unit

RATE = 16_000
SOUND = np.random.default_rng(3).normal(0, 0.1, 2 * RATE).astype(np.float32)


def wav(data=None, riff=None, *, form=b"RIFF", rate=RATE, tail=b"", body=None):
    """A WAV of 16 bits with ``data`` and ``riff`` as its sizes; None: the right ones."""
    order = ">" if form == b"RIFX" else "<"
    body = (SOUND * 32767).astype(order + "i2").tobytes() if body is None else body
    data = len(body) if data is None else data
    riff = 36 + len(body) + len(tail) if riff is None else riff
    format_chunk = struct.pack(order + "4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    head = form + struct.pack(order + "I", riff & 0xFFFFFFFF) + b"WAVE" + format_chunk
    return head + b"data" + struct.pack(order + "I", data & 0xFFFFFFFF) + body + tail


PLACEHOLDERS = {
    "zero": (0, 0),
    "zero, outer right": (0, None),
    "zero, outer of an empty file": (0, 36),
    "sox, espeak": (0x7FFFF000, 0x7FFFF024),
    "sox, outer odd": (0x7FFFF000, 0x7FFFEFFF),
    "two billion": (2_000_000_000, 2_000_000_036),
    "all ones": (0xFFFFFFFF, 0xFFFFFFFF),
    "all ones, outer zero": (0xFFFFFFFF, 0),
    "all ones less the header": (0xFFFFFFFF - 36, 0xFFFFFFFF),
    "largest of signed": (0x7FFFFFFF, 0x7FFFFFFF),
    "signed less the header": (0x7FFFFFFF - 36, 0x7FFFFFFF),
    "half": (0x80000000, 0x80000024),
    "a gibibyte": (1 << 30, (1 << 30) + 36),
    "a day": (RATE * 2 * 86_400, RATE * 2 * 86_400 + 36),
    "256 MiB, odd": (0x0FFFFFFF, 0x0FFFFFFF + 36),
    "outer right, data wrong": (1_000_000, None),
    "outer right, data with the header": (4 * RATE + 44, None),
    "data of half a sample": (1_000_001, 1_000_037),
}


@pytest.mark.parametrize("kind", PLACEHOLDERS)
@pytest.mark.parametrize("form", [b"RIFF", b"RIFX"])
def test_a_length_that_cannot_be_is_read_to_the_end(kind, form):
    data, riff = PLACEHOLDERS[kind]
    content = wav(data, riff, form=form)
    assert expected_samples(io.BytesIO(content)) == len(SOUND)
    np.testing.assert_allclose(load(io.BytesIO(content)), SOUND, atol=1e-4)


@pytest.mark.parametrize("seconds", [60, 3_600, 5 * 3_600])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_stays_refused(tmp_path, seconds, share):
    """With the sizes of a real recording, of a file that is sparse here."""
    samples = round(seconds * RATE * 1.003) + 7
    path = tmp_path / "cut.wav"
    path.write_bytes(wav(2 * samples, 2 * samples + 36, body=b""))
    with path.open("r+b") as file:
        file.truncate(44 + round(2 * samples * share))
    with pytest.raises(TruncatedAudio, match=f"its header says {2 * samples} bytes of audio, .* are there"):
        expected_samples(path)


@pytest.mark.parametrize("miscount", [-36, -8, 0, 8, 100])
@pytest.mark.parametrize("blocks", [100, 300_000])
def test_a_cut_recording_in_blocks_whose_outer_chunk_was_miscounted_is_refused(tmp_path, miscount, blocks):
    size = 4_096 * blocks
    path = tmp_path / "cut.wav"
    path.write_bytes(wav(size, size + 36 + miscount, body=b""))
    with path.open("r+b") as file:
        file.truncate(44 + size // 2)
    with pytest.raises(TruncatedAudio):
        expected_samples(path)


def test_an_empty_file_with_chunks_behind_is_empty():
    listed = struct.pack("<4sI", b"LIST", 10) + b"INFOabcdef"
    assert len(load(io.BytesIO(wav(body=b"", tail=listed)))) == 0
    assert len(load(io.BytesIO(wav(body=b"")))) == 0


def test_chunks_before_and_behind_the_sound_are_not_sound():
    listed = struct.pack("<4sI", b"LIST", 10) + b"INFOabcdef"
    content = wav(tail=listed)
    content = content[:36] + listed + content[36:]
    assert len(load(io.BytesIO(content))) == len(SOUND)
    content = content[:4] + struct.pack("<I", 0xFFFFFFFF) + content[8:]
    assert len(load(io.BytesIO(content))) == len(SOUND)


@pytest.mark.parametrize("claimed", [0, 0x7FFFF000, 2**63 - 1, 2**64 - 1])
def test_rf64_that_was_streamed(claimed):
    file = io.BytesIO()
    soundfile.write(file, SOUND, RATE, format="RF64", subtype="PCM_16")
    content = bytearray(file.getvalue())
    at = content.index(b"ds64") + 8
    struct.pack_into("<QQ", content, at, min(claimed + 100, 2**64 - 1), claimed)
    np.testing.assert_allclose(load(io.BytesIO(bytes(content))), SOUND, atol=1e-4)
    with pytest.raises(TruncatedAudio):
        load(io.BytesIO(file.getvalue()[:20_000]))


@pytest.mark.parametrize("claimed", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_aiff_and_au_that_were_streamed(claimed):
    for name, mark, offset in (("AIFF", b"SSND", 4), ("AU", b".snd", 8)):
        file = io.BytesIO()
        soundfile.write(file, SOUND, RATE, format=name, subtype="PCM_16")
        content = bytearray(file.getvalue())
        struct.pack_into(">I", content, content.index(mark) + offset, claimed)
        np.testing.assert_allclose(load(io.BytesIO(bytes(content))), SOUND, atol=1e-4)
        with pytest.raises(TruncatedAudio):
            load(io.BytesIO(file.getvalue()[: len(content) // 2]))


def test_a_piped_wav_is_read_from_a_pipe():
    class Pipe(io.RawIOBase):
        def __init__(self, content):
            self._content = io.BytesIO(content)

        def readable(self):
            return True

        def readinto(self, target):
            return self._content.readinto(memoryview(target)[:1_000])

    np.testing.assert_allclose(load(Pipe(wav(0x7FFFF000, 0x7FFFF024))), SOUND, atol=1e-4)


def test_a_wav_somewhere_within_a_file():
    file = io.BytesIO(b"x" * 33 + wav(0, 0))
    file.seek(33)
    assert len(load(file)) == len(SOUND)


def test_mp3_in_wav():
    file = io.BytesIO()
    soundfile.write(file, SOUND, RATE, format="MP3")
    mp3 = file.getvalue()
    form = struct.pack("<4sIHHIIHHHHIHHH", b"fmt ", 30, 0x55, 1, RATE, 4_000, 1, 0, 12, 1, 2, 144, 1, 1393)
    fact = struct.pack("<4sII", b"fact", 4, len(SOUND))
    for data in (len(mp3), 0, 0xFFFFFFFF):
        body = b"WAVE" + form + fact + struct.pack("<4sI", b"data", data) + mp3
        content = b"RIFF" + struct.pack("<I", len(body)) + body
        np.testing.assert_allclose(load(io.BytesIO(content)), load(io.BytesIO(mp3)), atol=1e-6)


def test_an_mp3_that_does_not_tell_its_length_is_not_called_truncated(caplog):
    file = io.BytesIO()
    soundfile.write(file, SOUND, RATE, format="MP3")
    content = file.getvalue()
    tag = max(content.find(b"Xing"), content.find(b"Info"))
    assert tag > 0
    start = content.find(content[:2], tag)  # the frame after the one that tells
    assert len(load(io.BytesIO(content[start:]))) > 0
    assert not caplog.text


@pytest.mark.parametrize("cut", [0, 4, 11, 12, 20, 36])
def test_headers_that_break_off(cut):
    with pytest.raises(UnreadableAudio):
        load(io.BytesIO(wav()[:cut]))

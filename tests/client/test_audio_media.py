"""Recordings of browsers and phones line up with their sound, and are bounded whatever they claim."""

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr
from sound_recordings import recorded

from emotalk_client.audio.loading import blocks, expected_samples, load
from emotalk_client.errors import MissingDecoder, MissingExtra, TruncatedAudio, UnreadableAudio

pytestmark = pytest.mark.unit

VOICE = load(Path(__file__).parents[2] / "docs" / "demo" / "voice.flac")[: 4 * 16_000 + 777]
RATE = 48_000


@pytest.fixture(autouse=True)
def decoder():
    """Without PyAV there is nothing to try, but for what says so."""
    pytest.importorskip("av")


def voice(rate=RATE):
    return VOICE if rate == 16_000 else soxr.resample(VOICE, 16_000, rate)


def lag(heard):
    """Samples by which ``heard`` comes after the voice."""
    n = 2 * max(len(heard), len(VOICE))
    match = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(VOICE, n)))
    return (int(match.argmax()) + n // 2) % n - n // 2


def correlation(heard):
    n = min(len(heard), len(VOICE))
    return np.corrcoef(heard[:n], VOICE[:n])[0, 1]


RECORDINGS = [
    ("webm", "libopus", 48_000, {}),
    ("matroska", "flac", 44_100, {}),
    ("matroska", "aac", 44_100, {}),
    ("ipod", "aac", 44_100, {}),
    ("mp4", "aac", 48_000, {"movflags": "frag_keyframe+empty_moov"}),
    ("mp4", "libopus", 48_000, {}),
    ("ipod", "alac", 44_100, {}),
    ("mov", "pcm_s16le", 44_100, {}),
    ("3gp", "aac", 16_000, {}),
    ("adts", "aac", 44_100, {}),
    ("flv", "aac", 44_100, {}),
    ("ogg", "flac", 44_100, {}),
    ("ogg", "libopus", 48_000, {}),
    ("wav", "pcm_s16le", 44_100, {}),
    ("wav", "adpcm_ima_wav", 16_000, {}),
    ("au", "pcm_s16be", 44_100, {}),
    ("aiff", "pcm_s16be", 44_100, {}),
    ("caf", "pcm_s16le", 44_100, {}),
]
"""Muxer, codec, rate, and the muxer's options."""
GOING_BACK = {"ipod", "mov", "3gp", "mp4"}
"""Muxers that have to go back in what they wrote, unless they are told to write fragments."""


@pytest.mark.parametrize(
    ("container", "codec", "rate", "options", "seekable"),
    [(*how, True) for how in RECORDINGS] + [(*how, False) for how in RECORDINGS if how[3] or how[0] not in GOING_BACK],
)
def test_a_recording_lines_up_with_its_sound(container, codec, rate, options, seekable):
    coded = codec in {"libopus", "aac"}
    content = recorded(
        voice(rate), rate, container, codec, seekable=seekable, options=options, bit_rate=96_000 if coded else None
    )
    heard = load(io.BytesIO(content))
    padding = 1_020 if "adpcm" in codec else 0  # its last block is whole
    assert abs(len(heard) - len(VOICE)) <= 534 + padding  # a frame at 30 fps
    assert abs(lag(heard)) <= 16
    assert correlation(heard) > (0.97 if coded or padding else 0.999)
    expected = expected_samples(io.BytesIO(content))
    assert expected == 0 or abs(expected - len(heard)) <= 534 + padding


@pytest.mark.parametrize("size", [100, 5_000, 1 << 18])
def test_blocks_are_the_whole(size):
    for content in (recorded(voice(), RATE, "webm", "libopus"), recorded(voice(), RATE, "ipod", "aac")):
        np.testing.assert_array_equal(
            np.concatenate(list(blocks(io.BytesIO(content), size=size))), load(io.BytesIO(content))
        )


def test_stereo_is_mixed():
    both = np.stack([voice(), np.zeros(len(voice()), np.float32)], axis=1)
    heard = load(io.BytesIO(recorded(both, RATE, "ipod", "aac")))
    assert heard.std() == pytest.approx(VOICE.std() / 2, rel=0.05)
    assert correlation(heard) > 0.97


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_browsers_recording_that_breaks_off_is_what_is_there(share):
    content = recorded(voice(), RATE, "webm", "libopus", seekable=False)
    heard = load(io.BytesIO(content[: round(share * len(content))]))
    assert len(heard) == pytest.approx(share * len(VOICE), rel=0.3)
    assert abs(lag(heard)) <= 16


def test_a_recording_that_knows_its_length_and_breaks_off_is_refused():
    content = recorded(voice(), RATE, "webm", "libopus")
    with pytest.raises(TruncatedAudio, match=r"says 4\.0\d\d s, .* s are there"):
        load(io.BytesIO(content[: len(content) // 2]))
    content = recorded(voice(), RATE, "ipod", "aac")
    with pytest.raises(UnreadableAudio):  # its tables are at the end
        load(io.BytesIO(content[: len(content) // 2]))


def test_where_packets_are_missing_there_is_silence():
    heard = load(io.BytesIO(recorded(voice(), RATE, "webm", "libopus", lost_s=(1.0, 2.0))))
    assert abs(len(heard) - len(VOICE)) <= 534
    assert np.abs(heard[17_000:31_000]).max() < 1e-3
    rest = np.concatenate([np.zeros(3 * 16_000, np.float32), heard[3 * 16_000 :]])
    assert abs(lag(rest)) <= 16


def test_without_the_decoder_the_extra_is_named(monkeypatch):
    content = recorded(voice(), RATE, "webm", "libopus")
    monkeypatch.setitem(sys.modules, "av", None)
    for error in (MissingDecoder, MissingExtra, UnreadableAudio):
        with pytest.raises(error, match=r"webm.*emotalk-triton\[media\]"):
            expected_samples(io.BytesIO(content))


def test_an_ogg_without_the_decoder_says_so_too(monkeypatch):
    content = recorded(voice(44_100), 44_100, "ogg", "flac", bit_rate=None)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDecoder, match=r"emotalk-triton\[media\]"):
        load(io.BytesIO(content))


def test_a_file_without_sound_says_so():
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("mpeg4", rate=25, width=32, height=32, pix_fmt="yuv420p")
        for packet in (*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)):
            out.mux(packet)
    file.seek(0)
    with pytest.raises(UnreadableAudio, match="no sound in it"):
        load(file)


@pytest.mark.parametrize("head", [b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x18ftypmp42", b"OggS\x00\x02", b"fLaC"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_behind_a_magic_is_unreadable(head, seed):
    with pytest.raises(UnreadableAudio):
        load(io.BytesIO(head + np.random.default_rng(seed).bytes(20_000)))


@pytest.mark.parametrize(("size", "count"), [(1, 2**31 - 1), (200, 50_000_000), (0, 2**32 - 1)])
def test_packets_by_the_million_are_refused_before_there_is_room_for_them(size, count):
    content = bytearray(recorded(voice(), RATE, "ipod", "aac"))
    struct.pack_into(">II", content, content.index(b"stsz") + 8, size, count)
    with pytest.raises(UnreadableAudio, match=f"claims {count} packets"):
        expected_samples(io.BytesIO(bytes(content)))


def test_a_header_that_claims_little_gives_little():
    """Callers let a clip in by what its header says."""
    content = bytearray(recorded(np.tile(voice(), 4), RATE, "webm", "libopus"))
    place = content.index(b"\x44\x89\x88") + 3
    assert struct.unpack_from(">d", content, place)[0] == pytest.approx(16_000, rel=0.05)
    struct.pack_into(">d", content, place, 1_000.0)
    assert expected_samples(io.BytesIO(bytes(content))) == 16_000
    assert len(load(io.BytesIO(bytes(content)))) <= 2 * 16_000

import io

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.audio.loading import blocks, load
from emotalk_client.audio.resampler import Resampler
from emotalk_client.errors import InvalidAudio, TruncatedAudio, UnreadableAudio
from emotalk_client.windows.clip import Clip
from emotalk_client.wire.retry import Deadline
from emotalk_contract.clip_statistics import statistics_of
from emotalk_contract.errors import AudioNotFinite, AudioOutOfRange

pytestmark = pytest.mark.unit

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000]


def noise(samples, channels=1, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (samples, channels)).astype(np.float32)


@pytest.fixture(scope="module")
def librosa_load():
    """The judge; where it is not to be had (Python 3.12 and up), these tests do not run."""
    return pytest.importorskip("librosa").load


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # librosa's own dependencies
def test_any_rate_and_channels_are_what_librosa_gives(tmp_path, librosa_load, rate, channels):
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(rate + 7, channels), rate, subtype="FLOAT")
    expected, _ = librosa_load(path, sr=16_000)
    np.testing.assert_array_equal(load(path), expected)
    assert len(load(path)) == -(-(rate + 7) * 16_000 // rate)


@pytest.mark.parametrize(
    ("suffix", "subtype", "error"),
    [
        ("wav", "PCM_16", 2e-4),
        ("wav", "PCM_24", 1e-5),
        ("flac", "PCM_16", 2e-4),
        ("ogg", "VORBIS", 0.2),
        ("mp3", None, 0.2),
        ("opus", "OPUS", 0.2),
    ],
)
def test_any_format(tmp_path, suffix, subtype, error):
    time = np.arange(32_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, tone, 16_000, subtype=subtype, format="OGG" if suffix == "opus" else None)
    out = load(path)
    assert abs(len(out) - len(tone)) < 3_000  # codecs pad
    spectrum = np.abs(np.fft.rfft(out[:16_000]))
    assert np.argmax(spectrum) == 440
    if error < 0.1:
        np.testing.assert_allclose(out, tone, atol=error)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.int16, 1e-4), (np.int32, 1e-6), (np.uint8, 8e-3), (np.int8, 8e-3)]
)
def test_integers_are_full_scale(dtype, tolerance):
    floats = noise(16_000)[:, 0] * 2
    info = np.iinfo(dtype)
    zero = (info.max + 1) // 2 if info.min == 0 else 0
    scale = (info.max - info.min) / 2
    integers = np.clip(np.round(floats * scale) + zero, info.min, info.max).astype(dtype)
    np.testing.assert_allclose(load(integers, 16_000), floats, atol=tolerance)


def test_an_open_file_and_a_path_give_the_same():
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(8_000), 16_000, format="WAV")
    buffer.seek(0)
    assert len(load(buffer)) == 8_000


@pytest.mark.parametrize(
    ("array", "rate", "kind", "words"),
    [
        (np.zeros(100, complex), 16_000, InvalidAudio, "complex128"),
        (np.zeros(100, np.int64), 16_000, InvalidAudio, "int64"),
        (np.array(["a"]), 16_000, InvalidAudio, "U1"),
        (np.zeros((2, 3, 4), np.float32), 16_000, InvalidAudio, r"\[2, 3, 4\]"),
        (np.zeros((2, 16_000), np.float32), 16_000, InvalidAudio, "channels"),
        (np.zeros(100, np.float32), None, InvalidAudio, "sample_rate is None"),
        (np.zeros(100, np.float32), 0, InvalidAudio, "sample_rate is 0"),
        (np.zeros(100, np.float32), 44_100.5, InvalidAudio, "44100.5"),
        (np.array([0, np.nan], np.float32), 16_000, AudioNotFinite, "nan at sample 1"),
        (np.array([np.inf, 0], np.float64), 8_000, AudioNotFinite, "inf at sample 0"),
    ],
)
def test_arrays_that_are_no_audio(array, rate, kind, words):
    with pytest.raises(kind, match=words):
        load(array, rate)


def test_files_that_are_no_audio(tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("this is no audio")
    with pytest.raises(UnreadableAudio, match=r"notes\.wav cannot be read.*accepted: wav"):
        load(text)
    with pytest.raises(UnreadableAudio, match=r"missing\.wav is not a file"):
        load(tmp_path / "missing.wav")
    with pytest.raises(UnreadableAudio, match="is a folder, not a file"):
        load(tmp_path)
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(UnreadableAudio, match=r"empty\.wav"):
        load(tmp_path / "empty.wav")


def test_a_truncated_wav_is_noticed_and_a_piped_one_is_not_taken_for_it(tmp_path):
    path = tmp_path / "cut.wav"
    soundfile.write(path, noise(16_000), 16_000, subtype="PCM_16")
    content = path.read_bytes()
    path.write_bytes(content[:20_000])
    with pytest.raises(TruncatedAudio, match=r"32000 bytes of audio, 19956 are there"):
        load(path)
    path.write_bytes(content[:30])
    with pytest.raises((TruncatedAudio, UnreadableAudio)):
        load(path)
    place = content.index(b"data") + 4
    path.write_bytes(content[:4] + b"\xff" * 4 + content[8:place] + b"\xff" * 4 + content[place + 4 :])
    assert len(load(path)) == 16_000


def test_a_files_rate_is_its_own():
    with pytest.raises(InvalidAudio, match="a file knows its own"):
        load("x.wav", 16_000)


async def test_statistics_are_the_whole_clips():
    clip = noise(3_000_000)[:, 0] + 0.25
    facts = await Clip(clip, 16_000).facts(Deadline.after(60), "clip")
    assert facts.samples == len(clip)
    np.testing.assert_allclose(facts.statistics, [clip.astype(float).mean(), clip.astype(float).var()], rtol=1e-6)
    patches = await Clip(clip, 16_000).facts(Deadline.after(60), "patches")
    np.testing.assert_allclose(patches.statistics, statistics_of(clip, "patches"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_blocks_of_any_size_are_the_whole(tmp_path, suffix, rate):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, noise(6 * rate + 11, 2), rate)  # the first 5 s are held back
    samples, _ = soundfile.read(path, dtype="float32")
    whole = samples.mean(axis=1)
    if rate != 16_000:
        whole = soxr.resample(whole, rate, 16_000, quality="HQ")  # in one piece
    for size in (997, 8_192, 1 << 30):
        pieces = list(blocks(path, size=size))
        joined = np.concatenate(pieces)
        assert len(joined) == -(-len(samples) * 16_000 // rate)
        # libsndfile's mp3 decoder differs in the last bit between two reads of one file.
        np.testing.assert_allclose(
            joined[: len(whole)], whole[: len(joined)], rtol=0, atol=1e-6 if suffix == "mp3" else 0
        )
        assert size > 6 * rate or len(pieces) > 1
    np.testing.assert_allclose(load(path), joined, rtol=0, atol=1e-6 if suffix == "mp3" else 0)


@given(st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]), st.lists(st.integers(0, 3_000), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_resampler_does_not_care_how_it_is_fed(rate, sizes):
    samples = noise(sum(sizes))[:, 0]
    resampler, place, out = Resampler(rate), 0, []
    for size in sizes:
        out.append(resampler.push(samples[place : place + size]))
        place += size
    out.append(resampler.flush())
    np.testing.assert_array_equal(np.concatenate(out), load(samples, rate))
    assert sum(map(len, out)) == -(-len(samples) * 16_000 // rate)


def test_reading_in_blocks_holds_one_block(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(3_000_000, np.int16), 48_000)
    assert max(len(piece) for piece in blocks(path, size=48_000)) < 20_000


def test_nothing_comes_of_nothing():
    assert load(np.zeros(0, np.int16), 44_100).shape == (0,)
    assert load(np.zeros((0, 2)), 16_000).dtype == np.float32


def test_the_place_of_a_bad_sample_is_the_clips():
    clip = np.zeros(9_000, np.float32)
    clip[7_654] = np.nan
    with pytest.raises(AudioNotFinite, match="sample 7654"):
        list(blocks(clip, 16_000, size=1_000))


def test_integers_that_were_not_scaled_are_noticed_before_anything_is_sent():
    with pytest.raises(AudioOutOfRange, match=r"reaches 20000.*divide 16-bit integers by 32768"):
        load(np.full(16_000, 20_000.0), 16_000)


@pytest.mark.parametrize("source", [[0.0, 0.1], None, b"RIFF", 7])
def test_what_is_no_source_says_what_is(source):
    with pytest.raises(InvalidAudio, match=f"a {type(source).__name__}; accepted: a path"):
        load(source)


def test_a_file_opened_as_text_says_so(tmp_path):
    (tmp_path / "clip.wav").write_bytes(b"RIFF")
    with (tmp_path / "clip.wav").open() as file, pytest.raises(InvalidAudio, match="opened as text"):
        load(file)


def test_a_stream_that_cannot_seek_is_read():
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(8_000), 16_000, format="WAV")

    class Pipe(io.RawIOBase):
        def __init__(self, content):
            self._content = io.BytesIO(content)

        def readable(self):
            return True

        def readinto(self, target):
            return self._content.readinto(target)

    assert len(load(Pipe(buffer.getvalue()))) == 8_000


def test_a_truncated_flac_is_unreadable_and_a_truncated_mp3_is_what_is_there(tmp_path, caplog):
    for suffix in ("flac", "mp3"):
        path = tmp_path / f"cut.{suffix}"
        soundfile.write(path, noise(48_000), 16_000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableAudio, match=r"cut\.flac"):
        load(tmp_path / "cut.flac")
    assert 20_000 < len(load(tmp_path / "cut.mp3")) < 28_000
    assert "cut.mp3 is truncated" in caplog.text

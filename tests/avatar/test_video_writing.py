"""Files: their pictures and sound, in step, read back by FFmpeg."""

from pathlib import Path

import av
import numpy as np
import pytest
from drawn import drawing, face, pictures, sound

from emotalk_avatar.video import writing
from emotalk_avatar.video.errors import InvalidVideo, UnwritableVideo
from emotalk_avatar.video.living import shown
from emotalk_avatar.video.marking import Mark
from emotalk_avatar.video.rendering import Sound, write
from emotalk_avatar.video.sounding import Cut, in_one_shape
from emotalk_avatar.video.writing import SOUND_RATE, SYNTHETIC, Movie, check_fps, check_suffix
from emotalk_client.errors import UnknownFormat
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.life import SMALL, Life

pytestmark = pytest.mark.unit

SIZE = (64, 64)
STILL = Life()
FULL = Path("/dev/full")
SUFFIXES = pytest.mark.parametrize("suffix", [".mp4", ".webm"])


def flashes(path, fps, seconds, every_s, channels=1, rate=SOUND_RATE):
    """Write a video that is white for one picture, and clicks, every ``every_s`` seconds."""
    click = np.zeros((round(seconds * rate), channels), np.float32)
    for at in np.arange(1, seconds, every_s):
        start = round(at * rate)
        click[start : start + rate // 100] = 0.8 * np.sin(np.arange(rate // 100) / rate * 2 * np.pi * 1000)[:, None]
    heard = Cut(in_one_shape(iter(np.array_split(click, 7)), rate, channels), channels)
    with Movie(path, SIZE, fps, channels) as movie:
        for index in range(round(seconds * fps)):
            white = index / fps >= 1 and (index / fps - 1) % every_s < 0.5 / fps
            movie.picture(np.full((64, 64, 3), 255 if white else 0, np.uint8))
            movie.sound(heard.until((index + 1) / fps))
        movie.sound(heard.until(None))


def offsets(path):
    """Seconds from each flash to its click."""
    seen = [at for at, picture in pictures(path) if picture.mean() > 128]
    start, rate, samples = sound(path)
    loud = np.nonzero(np.abs(samples) > 0.2)[0] / rate + start
    heard = loud[np.concatenate([[True], np.diff(loud) > 0.1])]
    assert len(seen) == len(heard) > 0
    return np.array(heard) - seen


@SUFFIXES
@pytest.mark.parametrize("fps", [25, 30, 60])
def test_sound_and_picture_are_in_step(tmp_path, suffix, fps):
    path = tmp_path / f"a{suffix}"
    flashes(path, fps, 6, 1)
    assert np.abs(offsets(path)).max() < 0.5 / fps


@SUFFIXES
def test_they_are_after_five_minutes(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    flashes(path, 30, 300, 7, rate=16_000)
    found = offsets(path)
    assert np.abs(found).max() < 1 / 60
    assert np.ptp(found) < 0.005  # nor do they drift


@SUFFIXES
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16_000, 1), (44_100, 2), (48_000, 2)])
def test_any_sound(tmp_path, suffix, rate, channels):
    path = tmp_path / f"a{suffix}"
    flashes(path, 30, 3, 1, channels=channels, rate=rate)
    assert np.abs(offsets(path)).max() < 1 / 60
    with av.open(str(path)) as file:
        assert file.streams.audio[0].codec_context.layout.nb_channels == channels


def test_surround_is_mixed():
    six = np.ones((1000, 6), np.float32) * np.arange(6)[None, :] / 10
    (piece,) = in_one_shape(iter([six]), SOUND_RATE, 1)
    assert np.allclose(piece, 0.25)
    assert piece.shape == (1000, 1)


@SUFFIXES
def test_a_file_says_that_it_is_synthetic(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    flashes(path, 30, 1.5, 1)
    with av.open(str(path)) as file:
        assert SYNTHETIC in file.metadata.values()
        assert {stream.type for stream in file.streams} == {"video", "audio"}


@SUFFIXES
def test_colours_come_back(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    colours = [(200, 40, 40), (40, 180, 60), (50, 60, 200), (230, 180, 150)]
    with Movie(path, SIZE, 30, 0) as movie:
        for colour in colours:
            movie.picture(np.full((64, 64, 3), colour, np.uint8))
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    assert frames[0].colorspace == 1  # BT.709, which players go by
    for frame, colour in zip(frames, colours, strict=True):
        # FFmpeg's own conversion does not go by the tag unless it is told.
        back = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
        assert np.abs(back[32, 32].astype(int) - colour).max() <= 8


@SUFFIXES
def test_an_odd_side_loses_a_row(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with Movie(path, (65, 63), 30, 0) as movie:
        movie.picture(np.full((63, 65, 3), 128, np.uint8))
    ((_, picture),) = pictures(path)
    assert picture.shape == (62, 64, 3)


def test_a_video_without_libx264_has_free_codecs(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "has_codec", lambda name: name != "libx264")
    path = tmp_path / "a.mp4"
    flashes(path, 30, 2, 0.5)
    with av.open(str(path)) as file:
        assert [stream.codec_context.name for stream in file.streams] == ["vp9", "opus"]
    assert np.abs(offsets(path)).max() < 1 / 60


@pytest.mark.parametrize("suffix", [".avi", "", ".npy"])
def test_other_files_are_refused(suffix):
    with pytest.raises(UnknownFormat, match=r"accepted: \.mp4, \.webm"):
        check_suffix(suffix)


@pytest.mark.parametrize("fps", [0, -1, 61, float("nan"), "30", None, True])
def test_other_rates_are_refused(fps):
    with pytest.raises(InvalidVideo, match=r"accepted: 1\.\.60"):
        check_fps(fps)


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(UnwritableVideo, match="cannot be written"):
        Movie(tmp_path / "none" / "a.mp4", SIZE, 30, 0)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is full")
def test_a_full_disk_is_said():
    with drawing(size=SIZE) as drawn, pytest.raises(UnwritableVideo, match="No space left"):
        render(animation(60), None, drawn, FULL, fps=30, suffix=".webm")


def animation(frames, **weights):
    return Animation(np.repeat(face(**weights)[None], frames, axis=0), np.arange(frames) / 30)


def render(face, sound, drawn, path, *, fps, life=SMALL, **named):
    write(shown(face, fps, life), sound, drawn, path, fps=fps, **named)


def test_a_face_is_drawn_at_its_time(tmp_path):
    weights = np.zeros((60, 52), np.float32)
    weights[20:30] = face(jawOpen=0.8)
    with drawing(size=(128, 128)) as drawn:
        render(Animation(weights, np.arange(60) / 30), None, drawn, tmp_path / "a.mp4", fps=30, life=STILL)
    found = pictures(tmp_path / "a.mp4")
    mouth = [picture[80:110, 50:80].mean() for _, picture in found]
    opened = np.nonzero(np.array(mouth) < (min(mouth) + max(mouth)) / 2)[0]
    assert (opened[0], opened[-1]) == (20, 29)
    assert np.allclose([at for at, _ in found], np.arange(60) / 30, atol=0.001)


@pytest.mark.parametrize(("fps", "count"), [(25, 50), (30, 60), (60, 120), (29.97, 60)])
def test_a_clip_stays_as_long_as_it_was(tmp_path, fps, count):
    with drawing(size=SIZE) as drawn:
        render(animation(60), None, drawn, tmp_path / "a.mp4", fps=fps, life=SMALL)
    found = pictures(tmp_path / "a.mp4")
    assert len(found) == count
    assert found[-1][0] == pytest.approx((count - 1) / fps, abs=0.002)


def test_sound_beyond_the_last_picture_is_heard(tmp_path):
    tone = np.sin(np.arange(SOUND_RATE) * 0.1).astype(np.float32)
    with drawing(size=SIZE) as drawn:
        render(animation(15), Sound(iter([tone]), SOUND_RATE, 1), drawn, tmp_path / "a.webm", fps=30)
    _, rate, samples = sound(tmp_path / "a.webm")
    assert len(samples) / rate == pytest.approx(1.0, abs=0.03)


def test_a_broken_sound_leaves_the_error_as_it_is(tmp_path):
    def broken():
        yield np.zeros(100, np.float32)
        raise ZeroDivisionError

    with drawing(size=SIZE) as drawn, pytest.raises(ZeroDivisionError):
        render(animation(60), Sound(broken(), SOUND_RATE, 1), drawn, tmp_path / "a.mp4", fps=30)


def test_life_is_the_same_at_every_rate():
    still = animation(90, jawOpen=0.2)
    at_30, at_60 = shown(still, 30, SMALL), shown(still, 60, SMALL)
    assert np.array_equal(at_60.weights[::2], at_30.weights)
    assert np.array_equal(at_60.head[::2], at_30.head)
    assert np.abs(at_30.head).max() > 0.005
    assert np.array_equal(shown(still, 30, STILL).weights, still.weights)


def test_a_mark_is_in_its_corner():
    picture = np.full((256, 256, 3), 128, np.uint8)
    Mark((256, 256)).put(picture)
    changed = np.argwhere((picture != 128).any(axis=2))
    assert changed.min(axis=0)[0] > 220
    assert changed.min(axis=0)[1] > 128
    assert picture.max() > 200  # letters
    assert picture[255, 255, 0] < 100  # the plate

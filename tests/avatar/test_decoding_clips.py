"""Videos and animations become even frames, as they are asked for; or are refused in words."""

import importlib.util
import struct

import av
import numpy as np
import pytest
from clips import animation, drawn, film, lying, number_of
from hypothesis import given
from hypothesis import strategies as st

from emotalk_avatar import limits
from emotalk_avatar.decoding.frames import Refusal, evenly, rate_of
from emotalk_avatar.decoding.structure import delays, is_animated, kind_of
from emotalk_avatar.decoding.uploads import decode, decode_clip, is_clip
from emotalk_avatar.errors import PictureTooLarge, UnreadablePicture
from emotalk_client.errors import MissingExtra

pytestmark = pytest.mark.unit


def numbers(data):
    with decode_clip(data) as clip:
        return [number_of(picture.pixels) for picture in clip]


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mp4"), ("libx264", "mov"), ("libvpx-vp9", "webm"), ("libvpx", "webm"), ("mpeg4", "mp4")],
)
def test_a_video_is_read_frame_by_frame(codec, container):
    data = film(codec, container)
    assert is_clip(data)
    with decode_clip(data) as clip:
        assert (clip.fps, clip.width, clip.height) == (30, 64, 48)
        pictures = list(clip)
    assert [number_of(picture.pixels) for picture in pictures] == list(range(10))
    assert np.abs(pictures[0].pixels[4:20, 4:28].astype(int) - drawn(0)[4:20, 4:28]).mean() < 8


def test_of_a_faster_video_frames_are_left_out():
    assert numbers(film(rate=60, frames=20)) == list(range(1, 20, 2))


def test_a_slower_video_keeps_its_rate():
    with decode_clip(film(rate=24, frames=12)) as clip:
        assert clip.fps == 24
        assert [number_of(picture.pixels) for picture in clip] == list(range(12))


def test_a_video_that_lies_is_turned():
    with decode_clip(lying(film())) as clip:
        assert (clip.width, clip.height) == (48, 64)
        first = next(iter(clip)).pixels
    assert np.argmax(first[16, 12]) == 1  # green, which was below
    assert np.argmax(first[16, 36]) == 0  # red
    assert first[48].max() < 40


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_is_read_frame_by_frame(kind):
    data = animation(kind)
    assert is_clip(data)
    with decode_clip(data) as clip:
        assert (clip.fps, clip.width, clip.height) == (10, 64, 48)
        assert [number_of(picture.pixels) for picture in clip] == list(range(5))


def test_a_frame_stands_as_long_as_its_animation_says():
    assert numbers(animation(delays_ms=(100, 300, 50, 50))) == [0] * 2 + [1] * 6 + [2, 3]


def test_an_animation_without_delays_is_drawn_as_browsers_do():
    with decode_clip(animation(delays_ms=(0, 0, 10))) as clip:
        assert clip.fps == 10
        assert len(list(clip)) == 3


def test_a_still_picture_is_a_clip_of_one_frame():
    with decode_clip(animation(delays_ms=(100,))) as clip:
        assert len(list(clip)) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (film(frames=25, rate=1), "lasts 25 s or more; accepted: at most 24 s"),
        (film(frames=1, size=(1922, 16)), "1922 by 16 pixels; accepted: at most 1920 by 1080"),
        (film(frames=1, size=(1920, 1082)), "1920 by 1082 pixels"),
        (animation(delays_ms=(5000,) * 5), "lasts 25 s or more"),
        (animation(delays_ms=(40,) * 2, size=(1930, 4)), "1930 by 4 pixels"),
    ],
    ids=["long", "wide", "large", "long animation", "wide animation"],
)
def test_a_clip_that_is_too_large_is_refused(data, says):
    with pytest.raises(PictureTooLarge, match=says), decode_clip(data) as clip:
        list(clip)


def test_an_animation_of_a_million_frames_is_refused_before_it_is_decoded():
    frame = b"!\xf9\x04\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    data = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 1_000_000 + b";"
    with pytest.raises(PictureTooLarge, match=r"lasts 24\.1 s or more"):
        decode_clip(data)


def test_too_many_bytes_are_refused():
    with pytest.raises(PictureTooLarge, match="50000001 bytes; accepted: at most 50 MB"):
        decode_clip(b"GIF89a" + bytes(limits.MAX_CLIP_BYTES - 5))


def test_sound_without_a_picture_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as made:
        stream = made.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode()]:
            made.mux(packet)
    with pytest.raises(UnreadablePicture, match="no video in it"):
        decode_clip(path.read_bytes())


@pytest.mark.parametrize("codec", [("libx264", "mp4"), ("libvpx-vp9", "webm")])
def test_a_video_cut_short_gives_what_is_there_or_a_refusal(codec):
    data = film(*codec, frames=30)
    try:
        found = numbers(data[: len(data) // 2])
    except UnreadablePicture as error:
        assert "accepted" in str(error) or "damaged" in str(error)  # noqa: PT017  # mp4: its index was at the end
    else:
        assert found == list(range(len(found)))


@pytest.mark.parametrize(
    "data", [b"#EXTM3U\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b"\xff\xd8\xff\xe0", b"OggS"]
)
def test_other_files_are_refused_by_their_beginning(data):
    with pytest.raises(UnreadablePicture, match=r"begins with .*accepted: mp4, mov, webm, GIF"):
        decode_clip(data)


def test_a_video_is_not_a_picture():
    with pytest.raises(UnreadablePicture, match="is a video; accepted: a picture"):
        decode(film(frames=1))


def test_a_video_without_its_decoder_says_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "av" else real(name))
    with pytest.raises(MissingExtra, match=r"emotalk-triton\[video\]"):
        decode_clip(film(frames=1))


def test_a_clip_that_is_left_early_leaves_no_process():
    with decode_clip(film(frames=60, size=(640, 480))) as clip:
        pictures = iter(clip)
        next(pictures)
        assert clip._child.poll() is None
    assert clip._child.poll() is not None


# Structure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [("GIF", "gif"), ("WEBP", "webp")])
def test_delays_are_those_that_were_written(kind, name):
    data = animation(kind, (40, 100, 250))
    assert kind_of(data) == name
    assert list(delays(data, name)) == pytest.approx([0.04, 0.1, 0.25])
    assert is_animated(data, name)


@given(st.binary(max_size=300), st.sampled_from(["gif", "webp"]))
def test_no_structure_is_walked_without_end(data, kind):
    head = b"GIF89a" if kind == "gif" else b"RIFF\0\0\0\0WEBP"
    assert len(list(delays(head + data, kind))) <= len(data)


def test_a_chunk_without_length_is_walked_over():
    chunk = b"ANMF" + struct.pack("<I", 0)
    assert len(list(delays(b"RIFF\0\0\0\0WEBP" + chunk * 100 + bytes(16), "webp"))) <= 100


# Even frames --------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40), st.floats(5, 30))
def test_even_frames_are_as_many_as_the_time_takes_and_in_order(lengths, fps):
    ends = np.cumsum(lengths)
    found = list(evenly(zip(ends.tolist(), range(len(ends)), strict=True), fps))
    assert abs(len(found) - ends[-1] * fps) <= 0.5 + 1e-6
    assert found == sorted(found)
    for i, number in enumerate(found):
        middle = (i + 0.5) / fps
        assert middle < ends[number]
        assert number == 0 or middle >= ends[number - 1]


@pytest.mark.parametrize("end_s", [24.1, float("nan"), float("inf")])
def test_a_frame_that_ends_too_late_is_refused(end_s):
    with pytest.raises(Refusal, match="accepted: at most 24 s"):
        list(evenly([(end_s, 0)], 30))


def test_more_frames_than_are_decoded_are_refused():
    ends = ((i * 1e-4, i) for i in range(10_000))
    with pytest.raises(Refusal, match="more than 2400 frames"):
        list(evenly(ends, 30))


@pytest.mark.parametrize(
    ("given_fps", "expected"), [(25, 25), (120, 30), (1, 5), (0, 30), (-3, 30), (float("nan"), 30), (float("inf"), 30)]
)
def test_the_rate_lies_in_its_limits(given_fps, expected):
    assert rate_of(given_fps) == expected

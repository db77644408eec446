"""Uploads become pictures: as their formats say, or refused in words."""

import errno
import io
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from emotalk_avatar import limits
from emotalk_avatar.decoding import uploads
from emotalk_avatar.decoding.uploads import decode, is_clip
from emotalk_avatar.errors import PictureRefused, PictureTooLarge, UnreadablePicture
from emotalk_client.errors import UnwritableFile

pytestmark = pytest.mark.unit

RED, GREEN, BLUE, GREY = (224, 32, 32), (32, 192, 64), (32, 64, 208), (128, 128, 128)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


def quarters(size=(64, 48), mode="RGB"):
    """Red, green, blue, grey: top left, top right, bottom left, bottom right."""
    image = Image.new("RGB", size)
    draw = ImageDraw.Draw(image)
    width, height = size
    for colour, x, y in ((RED, 0, 0), (GREEN, 1, 0), (BLUE, 0, 1), (GREY, 1, 1)):
        draw.rectangle((x * width // 2, y * height // 2, (x + 1) * width // 2, (y + 1) * height // 2), colour)
    return image.convert(mode)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def corners(picture):
    height, width = picture.pixels.shape[:2]
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return [tuple(picture.pixels[y, x].tolist()) for y in rows for x in columns]


def near(colours, expected, tolerance=12):
    return np.abs(np.array(colours) - np.array(expected)).max() <= tolerance


def png(width, height, *chunks, depth=8, kind=0):
    """A PNG of these chunks, whatever its header says."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_read(kind):
    picture = decode(saved(quarters(), kind))
    assert picture.pixels.dtype == np.uint8
    assert (picture.width, picture.height) == (64, 48)
    assert near(corners(picture), [RED, GREEN, BLUE, GREY])


def test_a_lossless_picture_is_exact():
    noise = np.random.default_rng(1).integers(0, 256, (31, 57, 3), np.uint8)
    assert np.array_equal(decode(saved(Image.fromarray(noise), "PNG")).pixels, noise)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"progressive": True}), ("JPEG", {"subsampling": 2}), ("WEBP", {"lossless": True})],
)
def test_other_ways_of_a_format_are_read(kind, options):
    assert near(corners(decode(saved(quarters(), kind, **options))), [RED, GREEN, BLUE, GREY], 24)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "I;16"])
def test_a_png_of_each_mode_is_read(mode):
    image = (
        quarters(mode="L").convert("I;16").point(lambda value: value * 257) if mode == "I;16" else quarters(mode=mode)
    )
    expected = quarters() if mode in ("P", "RGBA") else quarters(mode="1" if mode == "1" else "L").convert("RGB")
    picture = decode(saved(image, "PNG"))
    width, height = expected.size
    places = [(width // 4, height // 4), (3 * width // 4, height // 4), (width // 4, 3 * height // 4)]
    assert near(corners(picture)[:3], [expected.getpixel(place) for place in places], 2 if mode != "P" else 40)


def test_four_colours_of_print_are_read():
    assert near(corners(decode(saved(quarters(mode="CMYK"), "JPEG"))), [RED, GREEN, BLUE, GREY], 24)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_is_white(kind):
    image = quarters(mode="RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    assert near(
        corners(decode(saved(image, kind, **({"exact": True} if kind == "WEBP" else {})))), [(255, 255, 255)] * 4
    )


def test_a_transparent_colour_of_a_palette_is_white():
    image = quarters().quantize(8)
    image.info["transparency"] = image.getpixel((2, 2))
    assert near(corners(decode(saved(image, "GIF")))[:2], [(255, 255, 255), GREEN])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_as_exif_says(kind, orientation):
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quarters()
    if orientation in stored:
        image = image.transpose(stored[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(saved(image, kind, exif=exif.tobytes()))
    assert (picture.width, picture.height) == (64, 48)
    assert near(corners(picture), [RED, GREEN, BLUE, GREY], 24)


def test_broken_exif_is_left_out():
    assert decode(saved(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).width == 64


def test_a_profile_is_followed():
    """A profile without a curve: its middle grey is a light one."""
    linear = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    picture = decode(saved(quarters(), "PNG", icc_profile=bytes(linear)))
    assert near(corners(picture), [RED, GREEN, BLUE, GREY], 2)
    swapped = bytes(linear).replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    turned = corners(decode(saved(quarters(), "PNG", icc_profile=swapped)))
    assert near(turned[0], RED[::-1], 40)


@pytest.mark.parametrize("profile", [b"", b"no profile", bytes(200)])
def test_a_profile_that_is_none_is_left_out(profile):
    assert near(corners(decode(saved(quarters(), "PNG", icc_profile=profile))), [RED, GREEN, BLUE, GREY], 2)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_cut_short_is_refused(kind):
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8))
    data = saved(noise, kind)
    for share in (0.02, 0.5, 0.9):
        with pytest.raises(UnreadablePicture, match="accepted"):
            decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"II*\0\x08\0\0\0",
        b"BM" + bytes(60),
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"PK\x03\x04" + bytes(60),
        b"8BPS\0\x01",
        b"\0\0\x01\0" + bytes(60),
        b"#EXTM3U\n/etc/passwd\n",
        bytes(100),
    ],
)
def test_what_is_not_a_picture_is_refused_by_its_beginning(data):
    with pytest.raises(UnreadablePicture, match=r"begins with .*accepted: JPEG, PNG"):
        decode(data)


def test_nothing_is_refused():
    with pytest.raises(UnreadablePicture, match="empty"):
        decode(b"")


@pytest.mark.parametrize("magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\xff\0\0\0WEBPVP8 "])
def test_a_beginning_alone_is_refused(magic):
    with pytest.raises(UnreadablePicture, match="accepted"):
        decode(magic + bytes(100))


@pytest.mark.parametrize("kind", FORMATS)
def test_what_follows_a_picture_is_left_out(kind):
    behind = io.BytesIO()
    with zipfile.ZipFile(behind, "w") as packed:
        packed.writestr("evil.sh", "#!/bin/sh\n")
    data = saved(quarters(), kind)
    assert np.array_equal(decode(data + behind.getvalue() + b"<script>").pixels, decode(data).pixels)


def test_a_bomb_is_refused_by_its_header():
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(20_001)) for _ in range(20_000)) + packer.flush()
    data = png(20_000, 20_000, (b"IDAT", rows))
    assert len(data) < 500_000
    with pytest.raises(PictureTooLarge, match=r"20000 by 20000 pixels, 400\.0 million; accepted: at most 8192 a side"):
        decode(data)


def test_a_picture_of_one_long_row_is_refused():
    with pytest.raises(PictureTooLarge, match="8192 a side"):
        decode(png(limits.MAX_PICTURE_SIDE + 1, 1))


def test_a_frame_larger_than_its_screen_is_refused():
    screen = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
    with pytest.raises(PictureTooLarge, match="65535 by 65535"):
        decode(screen + b",\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;")


def test_text_that_swells_is_refused():
    swelling = zlib.compress(bytes(200_000_000), 9)
    with pytest.raises(UnreadablePicture, match="accepted"):
        decode(png(8, 8, (b"zTXt", b"k\0\0" + swelling)))


def test_too_many_bytes_are_refused():
    with pytest.raises(PictureTooLarge, match="20000001 bytes; accepted: at most 20 MB"):
        decode(bytes(limits.MAX_PICTURE_BYTES + 1))


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P")]
)
def test_the_largest_picture_becomes_a_smaller_one(kind, mode):
    data = saved(quarters((8000, 5000), mode), kind)
    picture = decode(data)
    assert (picture.width, picture.height) == (2048, 1280)
    assert near(corners(picture), [RED, GREEN, BLUE, GREY], 24)


def test_the_largest_webp_becomes_a_smaller_one():
    assert decode(saved(quarters((4000, 3000)), "WEBP")).width == 2048
    with pytest.raises(PictureTooLarge, match="12 million in a WEBP"):
        decode(saved(quarters((4000, 3001)), "WEBP"))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2049, 2), (4097, 3)])
def test_odd_sizes_are_read(size):
    picture = decode(saved(Image.new("RGB", size, RED), "PNG"))
    assert max(picture.width, picture.height) <= limits.KEPT_SIDE
    assert near(picture.pixels[0, 0], RED)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_is_taken(kind):
    first, second = quarters(), Image.new("RGB", (64, 48), GREY)
    data = saved(first, kind, save_all=True, append_images=[second], duration=100)
    assert near(corners(decode(data)), [RED, GREEN, BLUE, GREY])
    assert is_clip(data) == (kind != "PNG")


def test_a_picture_beside_the_picture_is_left_out():
    file = io.BytesIO()
    quarters().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48), GREY)])
    assert near(corners(decode(file.getvalue())), [RED, GREEN, BLUE, GREY])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_still_picture_is_not_a_clip(kind):
    assert not is_clip(saved(quarters(), kind))


def test_damage_is_read_or_refused():
    """`emotalk-perf hostile --uploads` tries thousands."""
    generator = random.Random(4)
    for kind in FORMATS:
        whole = saved(quarters(), kind)
        for _ in range(6):
            data = bytearray(whole)
            for _ in range(generator.randrange(1, 9)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            try:
                assert decode(bytes(data)).pixels.shape[2] == 3
            except PictureRefused as error:
                assert "accepted" in str(error)  # noqa: PT017  # either is right


def child(monkeypatch, tmp_path, code):
    script = tmp_path / "decoder.py"
    script.write_text(code)
    monkeypatch.setattr(uploads, "_PROCESS", script)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("import os; os.abort()", UnreadablePicture, "what decodes it failed"),
        ("raise MemoryError", PictureTooLarge, "too much memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", PictureTooLarge, "too long"),
        ("print('{')", UnreadablePicture, "failed"),
        ("print('[1]')", UnreadablePicture, "failed"),
        ('print(\'{"fps": 0, "width": 99999, "height": 1}\')', UnreadablePicture, "failed"),
        ('print(\'R{"error": "SystemExit", "message": ""}\')', UnreadablePicture, "failed"),
        ("print('R' + '[' * 9000)", UnreadablePicture, "failed"),
        ("print('{\"fps\": 0, \"width\": 1, \"height\": 1}'); print('F', end='')", UnreadablePicture, "failed"),
    ],
)
def test_a_decoder_that_fails_is_a_refusal(monkeypatch, tmp_path, code, kind, says):
    child(monkeypatch, tmp_path, code)
    with pytest.raises(kind, match=says):
        decode(saved(quarters(), "PNG"))


def test_a_decoder_that_says_nothing_is_ended(monkeypatch, tmp_path):
    child(monkeypatch, tmp_path, "import signal; signal.pause()")
    monkeypatch.setattr(limits, "DECODING_S", 0.2)
    with pytest.raises(PictureTooLarge, match=r"more than 0\.2 s"):
        decode(saved(quarters(), "PNG"))


def test_where_there_is_no_room_it_is_said(monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads.tempfile, "TemporaryFile", full)
    with pytest.raises(UnwritableFile, match="cannot be decoded: No space left on device"):
        decode(saved(quarters(), "PNG"))

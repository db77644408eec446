"""A lip-sync server's package becomes an avatar, or is refused in words."""

import io
import json
import zipfile

import numpy as np
import pytest
from lipsync_packages import FEATURES, SIDE, package
from typer.testing import CliRunner

from emotalk_avatar.errors import DamagedAvatar, InvalidPackage, UnreadablePicture
from emotalk_avatar.package import CLIP, PREVIEW
from emotalk_avatar.renderers.sitting import CROPS, packed, sitting_of
from emotalk_avatar.seed_package import INFO, RECTANGLES, SOUND, VIDEO, imported
from emotalk_avatar.store import AvatarStore
from emotalk_cli.app import app

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path):
    return package(tmp_path / "package")


def stored(tmp_path, draft):
    store = AvatarStore(tmp_path / "store")
    avatar = store.add(draft)
    return avatar, sitting_of(avatar.metadata, avatar.read)


def test_a_package_becomes_an_avatar_with_its_sound(folder, tmp_path):
    avatar, sitting = stored(tmp_path, imported(folder))
    about = avatar.metadata
    assert (about.name, about.kind, about.frames, about.fps) == ("Sanders", "video", 6, 25.0)
    assert (about.width, about.height) == (SIDE, SIDE)
    assert sorted(about.files) == sorted([PREVIEW, CLIP, CROPS])
    assert sitting.boxes["unet328"].tolist() == [[30 + 2 * k, 40, 110 + 2 * k, 120] for k in range(6)]
    assert np.array_equal(sitting.features, np.load(folder / SOUND))
    assert len(sitting.features) == FEATURES
    means = [sitting.frame(k).mean() for k in range(6)]
    assert np.allclose(np.diff(means), 10, atol=1.5)
    assert sitting.sitter().number(7 / 25) == 3  # to and fro


def test_a_package_without_sound(tmp_path):
    _, sitting = stored(tmp_path, imported(package(tmp_path / "package", features=0), name="Ada", owner="me"))
    assert sitting.features is None


def test_the_command_takes_a_folder(folder, tmp_path):
    done = CliRunner().invoke(app, ["avatar", "import", str(folder), "--store", str(tmp_path / "store")])
    assert done.exit_code == 0, done.output
    assert AvatarStore(tmp_path / "store").get(done.stdout.split()[-1]).metadata.name == "Sanders"


def unlink(name):
    return lambda folder: (folder / name).unlink()


def written(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def saved(array):
    return lambda folder: np.save(folder / SOUND, array)


def huge(folder):
    """A header that says 10^12 rows, and no numbers behind it."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 512)})
    (folder / SOUND).write_bytes(out.getvalue())


@pytest.mark.parametrize(
    ("harm", "error", "said"),
    [
        (unlink(INFO), InvalidPackage, INFO),
        (unlink(VIDEO), InvalidPackage, VIDEO),
        (unlink(RECTANGLES), InvalidPackage, "crop_rectangles.json"),
        (written(INFO, b"{"), InvalidPackage, "is not JSON"),
        (written(INFO, b"[" * 100_000), InvalidPackage, "is not JSON"),
        (written(INFO, b"[]"), InvalidPackage, "is not an object"),
        (written(VIDEO, b"no video"), UnreadablePicture, "not a clip of a known format"),
        (written(RECTANGLES, b"{}"), InvalidPackage, "has no frame 0"),
        (written(RECTANGLES, b'{"0": {"rect": [1, 2, 3]}}'), InvalidPackage, "the rect of frame 0 is [1, 2, 3]"),
        (written(RECTANGLES, b'{"0": {"rect": [0, 0, 1e9, 5]}}'), InvalidPackage, "the rect of frame 0"),
        (written(RECTANGLES, b'{"0": {"rect": [9, 0, 5, 5]}}'), InvalidPackage, "the rect of frame 0"),
        (written(RECTANGLES, b'{"0": {"rect": [0, 0, 5, 5]}}'), InvalidPackage, "rectangles of 1 frames"),
        (written(SOUND, b"no array"), InvalidPackage, "accepted: [n, 512] of floats"),
        (saved(np.zeros((4, 1024), np.float32)), InvalidPackage, "[4, 1024]"),
        (saved(np.full((4, 512), np.nan)), InvalidPackage, "not finite"),
        (saved(np.array([{}], object)), InvalidPackage, "aud_ave.npy"),
        (huge, InvalidPackage, "aud_ave.npy"),
    ],
)
def test_a_bad_package_is_refused_in_words(folder, harm, error, said):
    harm(folder)
    with pytest.raises(error) as raised:
        imported(folder)
    assert said in str(raised.value)


def bomb():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("unet328.npy", bytes(70_000_000))
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        bomb(),
        packed({"unet328": np.zeros((3, 5), np.int32)}, None),
        packed({"unet328": np.zeros((0, 4))}, None),
    ],
    ids=["empty", "cut", "bomb", "another shape", "no frames"],
)
def test_crops_that_are_not_what_they_must_be_are_damage(folder, tmp_path, content):
    avatar, _ = stored(tmp_path, imported(folder))
    files = {name: content if name == CROPS else avatar.read(name) for name in avatar.metadata.files}
    with pytest.raises(DamagedAvatar):
        sitting_of(avatar.metadata, files.__getitem__)


def test_a_rectangle_for_each_frame_is_enough(folder):
    rectangles = json.loads((folder / RECTANGLES).read_text())
    rectangles |= {"6": {"rect": [0, 0, 10, 10]}, "meta": {"version": 1}}
    (folder / RECTANGLES).write_text(json.dumps(rectangles))
    assert imported(folder).facts.frames == 6

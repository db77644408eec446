"""``emotalk avatar strip``: eight poses in a row."""

import numpy as np
import pytest
from avatar_faces import face, picture
from drawn import drawing
from PIL import Image
from typer.testing import CliRunner

from emotalk_avatar.fitting import fit
from emotalk_avatar.jpeg import encoded
from emotalk_avatar.package import GLB, PICTURE, POINTS, PREVIEW, Draft, Facts
from emotalk_avatar.store import AvatarStore
from emotalk_cli.app import app

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _drawable():
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        pass


def run(*arguments):
    return CliRunner().invoke(app, ["avatar", "strip", *map(str, arguments)])


def poses(path, side):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape == (side, 8 * side, 3)
    return np.split(pixels, 8, axis=1)


def test_an_avatar_is_seen_in_all_poses(tmp_path):
    seen, store = picture(), AvatarStore(tmp_path / "store")
    jpeg = encoded(seen.pixels)
    facts = Facts("Ada", "everybody", "2026-11-27T22:00:00Z", "image", seen.width, seen.height, "0" * 64)
    files = {GLB: fit(seen, face()).glb(), PREVIEW: jpeg, PICTURE: jpeg, POINTS: face().landmarks.tobytes()}
    avatar = store.add(Draft(facts, files))
    result = run(avatar.id, "--store", tmp_path / "store", "-o", tmp_path / "new" / "strip.png", "--side", 128)
    assert result.exit_code == 0, result.output
    rest, *others = poses(tmp_path / "new" / "strip.png", 128)
    assert all((np.abs(rest - other).max(axis=2) > 6).mean() > 0.001 for other in others)


def test_without_an_avatar_it_is_the_bundled_head(tmp_path):
    result = run("-o", tmp_path / "strip.png", "--side", 64)
    assert result.exit_code == 0, result.output
    assert len(poses(tmp_path / "strip.png", 64)) == 8


def test_other_files_are_refused(tmp_path):
    result = run("-o", tmp_path / "strip.jpg")
    assert result.exit_code == 2
    assert "accepted: .png" in result.output
    result = run("nobody", "--store", tmp_path, "-o", tmp_path / "strip.png")
    assert result.exit_code != 0

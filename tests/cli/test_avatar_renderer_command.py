"""`emotalk avatar render --renderer`: a package is imported, and its mouth drawn by a seeded network."""

import av
import numpy as np
import pytest
import soundfile
from lipsync_packages import SIDE, package
from typer.testing import CliRunner

from emotalk_cli.app import app

pytestmark = pytest.mark.server


def run(*arguments):
    return CliRunner().invoke(app, ["avatar", *map(str, arguments)])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one avatar, and its id."""
    folder = tmp_path_factory.mktemp("avatars")
    done = run("import", package(folder / "package"), "--store", folder / "store")
    assert done.exit_code == 0, done.output
    return folder / "store", done.stdout.split()[-1]


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 8_000), 16_000)
    return path


def test_the_mouth_is_drawn_by_the_renderer(renderer_server, store, voice, tmp_path):
    folder, avatar = store
    out = tmp_path / "out.mp4"
    options = ("--avatar", avatar, "--store", folder, "--renderer", "unet328", "--fps", 25)
    done = run("render", voice, "-o", out, *options, "--url", renderer_server.grpc_url)
    assert done.exit_code == 0, done.output
    with av.open(str(out)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(pictures) == 13
    assert pictures[0].shape == (SIDE, SIDE, 3)
    inside, outside = pictures[0][60:100, 50:90].astype(int), pictures[0][130:, :20].astype(int)
    grey = np.random.default_rng(0).integers(0, 60, (SIDE // 8, SIDE // 8, 3)).repeat(8, 0).repeat(8, 1)
    assert np.abs(outside - grey[130:, :20]).mean() < 8
    assert np.abs(inside - grey[60:100, 50:90]).mean() > 20


def test_a_clip_has_no_box_for_wav2lip_where_its_package_has_none(renderer_server, store, voice, tmp_path):
    folder, avatar = store
    options = ("--avatar", avatar, "--store", folder, "--renderer", "wav2lip", "--url", renderer_server.grpc_url)
    done = run("render", voice, "-o", tmp_path / "out.mp4", *options)
    assert done.exit_code == 1
    assert "no crops for wav2lip; accepted: unet328" in str(done.exception)


def test_a_server_without_renderers_is_told_of(bundled_server, store, voice, tmp_path):
    folder, avatar = store
    options = ("--avatar", avatar, "--store", folder, "--renderer", "unet328", "--url", bundled_server.grpc_url)
    done = run("render", voice, "-o", tmp_path / "out.mp4", *options)
    assert done.exit_code == 1
    assert "emotalk-server --renderers" in str(done.exception)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--renderer", "unet328"), "--avatar"),
        (("--renderer", "gan", "--avatar", "x"), "wav2lip"),
        (("--renderer", "unet328", "--avatar", "x", "--level", "1"), "--level"),
        (("--renderer", "unet328", "--avatar", "x", "--life", "gaze=1"), "--life"),
    ],
)
def test_options_are_obeyed_or_refused(voice, tmp_path, options, said):
    done = run("render", voice, "-o", tmp_path / "out.mp4", "--store", tmp_path, *options)
    assert done.exit_code == 2
    assert said in done.output

"""Photographs registered for real: a Triton that sees faces, the decoder, the fit, the store, and the doors to them."""

import asyncio
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import av
import numpy as np
import pygltflib
import pytest
from asking import Gateway
from matplotlib import cbook
from PIL import Image
from skimage import data

from emotalk_avatar.errors import NoFace, PictureRefused
from emotalk_avatar.package import GLB
from emotalk_avatar.registering import register
from emotalk_avatar.store import AvatarStore
from emotalk_avatar.video.writing import Movie
from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.server

DEADLINE_S = 120


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def astronaut():
    return png(data.astronaut())


def hopper():
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return file.read()


@pytest.mark.parametrize("portrait", [astronaut, hopper])
async def test_a_portrait_becomes_an_avatar(face_models, tmp_path, portrait):
    upload = portrait()
    store = AvatarStore(tmp_path)
    made = await register(upload, "Ada", "everybody", face_models, store, consent=True)
    avatar = store.get(made.id)
    file = pygltflib.GLTF2.load_from_bytes(store.read(avatar, GLB))
    assert sorted(file.meshes[0].extras["targetNames"]) == sorted(BLENDSHAPES)
    facts = avatar.metadata
    there = Image.open(io.BytesIO(avatar.read("source.jpg")))
    assert there.size == (facts.width, facts.height) == Image.open(io.BytesIO(upload)).size
    assert not there.getexif()
    points = avatar.landmarks()[0, :, :2]
    assert (points > 0).all()
    assert (points < [facts.width, facts.height]).all()
    left, top, right, bottom = facts.box
    assert 0 < right - left < facts.width
    assert 0 < bottom - top < facts.height
    assert facts.quality == dict(made.quality.measures)


@pytest.mark.parametrize("picture", [data.cat, data.coffee], ids=["cat", "coffee"])
async def test_what_has_no_face_is_refused(face_models, tmp_path, picture):
    store = AvatarStore(tmp_path)
    with pytest.raises(NoFace):
        await register(png(picture()), "Ada", "everybody", face_models, store)
    assert store.list().avatars == ()


async def test_a_picture_from_another_place_is_the_same(face_models, tmp_path):
    """Whatever its format, the same pixels give the same face."""
    store = AvatarStore(tmp_path)
    webp = io.BytesIO()
    Image.fromarray(data.astronaut()).save(webp, "WEBP", lossless=True)
    made = [await register(upload, "A", "me", face_models, store) for upload in (astronaut(), webp.getvalue())]
    first, second = (store.read(one.avatar, GLB) for one in made)
    assert first == second


def moving(kind, jumps=False):
    """The astronaut, who is carried to and fro, or jumps."""
    whole = data.astronaut()
    shifts = (12, 0, 0, 12, 0, 12) if jumps else (0, 2, 4, 6, 8, 9, 10, 9, 8, 6, 4, 2)
    steps = [whole[10:490, 20 + shift : 500 + shift] for shift in shifts]
    out = io.BytesIO()
    if kind == "GIF":
        first, *others = (Image.fromarray(step) for step in steps)
        first.save(out, "GIF", save_all=True, append_images=others, duration=80)
        return out.getvalue()
    with av.open(out, "w", format=kind) as file:
        stream = file.add_stream("libvpx-vp9" if kind == "webm" else "libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 480, 480, "yuv420p"
        for step in steps:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(step))))
        file.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "mp4", "webm"])
async def test_a_clip_becomes_an_avatar(face_models, tmp_path, kind):
    store = AvatarStore(tmp_path)
    made = await register(moving(kind), "Ada", "me", face_models, store)
    facts = made.avatar.metadata
    assert (facts.kind, facts.frames) == ("video", 12)
    assert facts.fps == pytest.approx(12.5 if kind == "GIF" else 25, rel=0.01)
    with av.open(io.BytesIO(made.avatar.read("source.mp4"))) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(pictures) == 12
    assert pictures[0].shape[1::-1] == (facts.width, facts.height)
    points = made.avatar.landmarks()
    assert points.shape == (12, 478, 3)
    assert (points[..., 0] < facts.width).all()
    eyes = points[:, [33, 263], 0].mean(axis=1)
    assert eyes[6] - eyes[0] == pytest.approx(-10 * facts.width / 480, abs=6), "the face is not followed"
    differences = np.frombuffer(made.avatar.read("fit.f16"), "<f2").reshape(12, -1, 4)
    assert np.isfinite(differences).all()
    assert not differences[0].any()


async def test_what_is_drawn_over_a_clip_is_the_clip(face_models, tmp_path, monkeypatch):
    """The photograph in avatar.glb is the stored clip's first picture, however the face jumps; nothing has a name."""
    (tmp_path / "named").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "named"))
    append, named = Movie.picture, []

    def looked(movie, pixels):
        named.extend((tmp_path / "named").iterdir())
        append(movie, pixels)

    monkeypatch.setattr(Movie, "picture", looked)
    store = AvatarStore(tmp_path / "s")
    made = await register(moving("GIF", jumps=True), "Ada", "me", face_models, store)
    facts = made.avatar.metadata
    with av.open(io.BytesIO(made.avatar.read("source.mp4"))) as file:
        first = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(float)
    assert first.shape[1::-1] == (facts.width, facts.height)
    gltf = pygltflib.GLTF2.load_from_bytes(made.avatar.read(GLB))
    view = gltf.bufferViews[gltf.images[0].bufferView]
    photograph = gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    drawn = np.asarray(Image.open(io.BytesIO(photograph)).convert("RGB"), np.float64)
    assert drawn.shape == first.shape
    edges = np.s_[: drawn.shape[0] // 4]  # away from the mouth, which may be filled
    assert np.abs(drawn[edges] - first[edges]).mean() < 6
    assert named == []


async def test_a_clip_whose_face_is_lost_is_refused(face_models, tmp_path):
    out = io.BytesIO()
    first, *others = (Image.fromarray(picture) for picture in (data.astronaut(), data.coffee()[:, :512]))
    first.save(out, "GIF", save_all=True, append_images=[one.resize(first.size) for one in others], duration=80)
    store = AvatarStore(tmp_path / "s")
    with pytest.raises(PictureRefused):
        await register(out.getvalue(), "Ada", "me", face_models, store)
    assert not store.folder.exists()


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "emotalk_cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, **environment},
    )


def test_the_command(seeing_server, tmp_path):
    photo = tmp_path / "me.png"
    photo.write_bytes(astronaut())
    said = command("avatar", "register", photo, "--store", tmp_path / "s", "--url", seeing_server.grpc_url)
    assert said.returncode == 0, said.stderr
    avatar = said.stdout.splitlines()[-1]
    assert (tmp_path / "s" / avatar / GLB).stat().st_size > 100_000
    photo.write_bytes(png(data.cat()))
    said = command("avatar", "register", photo, "--store", tmp_path / "s", "--url", seeing_server.grpc_url)
    assert said.returncode == 1
    assert said.stderr.startswith("emotalk: NoFace: ")
    assert "Traceback" not in said.stderr


class Process:
    """A gateway of its own process, to be killed."""

    def __init__(self, url, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "emotalk_cli", "gateway", "--url", url, "--port", "0", "--avatars", str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        self.gateway = Gateway(int(line.split("http://127.0.0.1:")[1].split(",")[0]), None, None, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_a_gateway_that_is_killed_leaves_no_half_avatar(seeing_server, tmp_path):
    """Killed at eight moments of a registration: each avatar is whole, or not there."""
    folder, chance = tmp_path / "s", random.Random(1)
    upload = astronaut()
    store = AvatarStore(folder)
    for _ in range(8):
        with Process(seeing_server.grpc_url, folder) as running:
            asking = Thread(target=_ask, args=(running.gateway, upload))
            asking.start()
            time.sleep(chance.uniform(0, 1.2))  # any moment will do
            os.kill(running.process.pid, signal.SIGKILL)
            asking.join(DEADLINE_S)
        listing = store.list()
        assert listing.damaged == ()
        for avatar in listing.avatars:
            for name in avatar.metadata.files:
                avatar.read(name)
    with Process(seeing_server.grpc_url, folder) as running:
        answer = running.gateway.post("/avatar/register", upload, avatar_name="Ada")
        assert answer.status == 201
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock"]
    assert hidden == []


def _ask(gateway, upload):
    try:
        gateway.post("/avatar/register", upload, avatar_name="Ada")
    except OSError:  # it was killed
        return


def test_others_are_answered_while_faces_are_made(seeing_server, tmp_path):
    """The event loop goes on: of many askers of something else, none waits for a registration."""
    upload = astronaut()
    with Process(seeing_server.grpc_url, tmp_path / "s") as running:
        running.gateway.get("/health/live")
        with ThreadPoolExecutor(4) as pool:
            making = [
                pool.submit(running.gateway.post, "/avatar/register", upload, avatar_name="Ada") for _ in range(4)
            ]
            waits = []
            while not all(one.done() for one in making):
                began = time.perf_counter()
                assert running.gateway.get("/health/live").status == 200
                waits.append(time.perf_counter() - began)
            assert {one.result().status for one in making} == {201}
    assert len(waits) >= 4
    assert np.median(waits) < 1, waits  # a busy machine is slow; a blocked loop would be as slow as a registration


async def test_many_refusals_leave_nothing(face_models, tmp_path):
    store = AvatarStore(tmp_path / "s")
    uploads = [b"", b"x" * 1000, png(data.coffee())[:5000], png(np.zeros((4, 4, 3), np.uint8)), b"GIF89a" + bytes(100)]
    fates = await asyncio.gather(
        *(register(upload, "Ada", "me", face_models, store) for upload in uploads), return_exceptions=True
    )
    assert all(isinstance(fate, PictureRefused) for fate in fates), json.dumps([repr(fate) for fate in fates])
    assert not store.folder.exists()

"""Clips registered for real: a portrait that is carried across the picture, as mp4 and as GIF."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from portraits import portrait

from emotalk_avatar.errors import NoFace
from emotalk_avatar.package import CLIP, FIT, GLB, POINTS
from emotalk_avatar.registering import register
from emotalk_avatar.store import AvatarStore
from emotalk_avatar.video.avatars import drawn
from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.scene import read_scene
from emotalk_avatar.video.writing import Movie
from emotalk_contract.arkit import INDEX

pytestmark = pytest.mark.server

FRAMES, FPS = 6, 20
STEP = (4, 2)
"""Pixels from frame to frame."""
SHUT = np.zeros(52, np.float32)
OPEN = np.where(np.arange(52) == INDEX["jawOpen"], 0.6, SHUT).astype(np.float32)


def carried(faces=FRAMES):
    """Frames [480, 448, 3] of the portrait, going to the right and down; grey from the frame ``faces`` on."""
    pixels = portrait("hopper").pixels
    wide = np.pad(pixels, [(40, 40), (40, 40), (0, 0)], mode="edge")
    for number in range(FRAMES):
        x, y = 64 - STEP[0] * number, 80 - STEP[1] * number
        yield (
            np.ascontiguousarray(wide[y : y + 480, x : x + 448])
            if number < faces
            else np.full((480, 448, 3), 128, np.uint8)
        )


def film(**options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with Movie(path, (448, 480), FPS, 0) as movie:
            for pixels in carried(**options):
                movie.picture(pixels)
        return path.read_bytes()


def animation():
    first, *others = (Image.fromarray(pixels) for pixels in carried())
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=others, duration=1000 // FPS, loop=0)
    return out.getvalue()


@pytest.mark.parametrize("clip", [film, animation])
async def test_a_clip_becomes_an_avatar_that_moves(face_models, tmp_path, clip):
    store = AvatarStore(tmp_path)
    made = await register(clip(), "Ada", "everybody", face_models, store)
    facts = store.get(made.id).metadata
    assert (facts.kind, facts.frames) == ("video", FRAMES)
    assert facts.fps == pytest.approx(FPS, rel=0.05)
    scene = read_scene(store.read(made.avatar, GLB))
    count = sum(len(surface.points) for surface in scene.surfaces)
    differences = np.frombuffer(store.read(made.avatar, FIT), "<f2").reshape(FRAMES, count, 4).astype(np.float32)
    points = np.frombuffer(store.read(made.avatar, POINTS), "<f4").reshape(FRAMES, 478, 3)
    step = np.diff(points[:, :, :2].mean(axis=1), axis=0)[1:-1]
    assert step == pytest.approx(np.broadcast_to(STEP, step.shape), abs=0.8)
    left, _, right, _ = scene.frame
    nose = next(i for i, surface in enumerate(scene.surfaces) if surface.name == "avatar-face")
    rows = slice(sum(len(s.points) for s in scene.surfaces[:nose]), None)
    moved = np.median(differences[:, rows, 0], axis=1) / (right - left) * facts.width
    assert moved[3] == pytest.approx(3 * STEP[0], abs=3)
    assert store.read(made.avatar, CLIP)[4:8] == b"ftyp"
    files = drawn(made.avatar, store.read)
    drawing = Drawing(files.glb, clip=files.clip_of)
    try:
        for number, pixels in ((0, 0), (4, 4), (8, 2)):  # to and fro: the ninth frame is the third
            shown = drawing.draw(np.zeros(52, np.float32), seconds=number / facts.fps).astype(float)
            x, y, width, height = facts.fit["crop"]
            wanted = list(carried())[pixels][y : y + height, x : x + width]
            assert 10 * np.log10(255**2 / ((shown - wanted) ** 2).mean()) > (29 if clip is film else 25)
        still, spoken = (drawing.draw(pose, seconds=0.2).copy().astype(int) for pose in (SHUT, OPEN))
    finally:
        drawing.close()
    assert (np.abs(still - spoken).max(axis=2) > 24).mean() > 0.003


async def test_a_face_that_leaves_is_told_by_its_frame(face_models, tmp_path):
    with pytest.raises(NoFace, match="frame 4: "):
        await register(film(faces=4), "Ada", "everybody", face_models, AvatarStore(tmp_path))
    assert list(AvatarStore(tmp_path).list().avatars) == []

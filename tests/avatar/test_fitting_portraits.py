"""Two portraits and the bundled head as avatars: rest is the photograph, lips close, a jaw that opens shows a mouth."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from portraits import portrait

from emotalk_avatar.detection import find_face
from emotalk_avatar.face import Picture
from emotalk_avatar.fitting import fit, mesh478
from emotalk_avatar.fitting.base import base
from emotalk_avatar.fitting.plane import inside_by
from emotalk_avatar.video.drawing import Drawing
from emotalk_client import EmoTalkClient
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
PORTRAITS = ["hopper", "astronaut", "head", "dark head"]
UPPER, LOWER = [81, 82, 13, 312, 311], [178, 87, 14, 317, 402]
"""Landmarks in the middle of the lips' inner borders."""


@pytest.fixture(scope="module")
def heads():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import head_picture
    finally:
        sys.path.pop(0)
    return {
        "head": Picture(head_picture.drawn()[0]),
        "dark head": Picture(head_picture.drawn((0.36, 0.30, 0.28))[0]),
    }


@pytest.fixture(scope="module")
def speech(seeing_server):
    """[T, 52] of the sample voice."""
    with EmoTalkClient(seeing_server.grpc_url) as client:
        return client.animate(ROOT / "docs/demo/voice.flac").weights


@pytest.fixture(params=PORTRAITS)
async def fitted(request, face_models, heads):
    picture = heads.get(request.param) or portrait(request.param)
    return fit(picture, await find_face(picture, face_models))


def drawn(fitted, *poses, size=None):
    drawing = Drawing(fitted.glb(), size or (fitted.picture.width, fitted.picture.height))
    try:
        return [drawing.draw(pose).copy() for pose in poses]
    finally:
        drawing.close()


def pose(**values):
    weights = np.zeros(BLENDSHAPE_COUNT, np.float32)
    for name, value in values.items():
        weights[INDEX[name]] = value
    return weights


def around(fitted, numbers, wider):
    """[height, width]: within ``wider`` pixels of the polygon of landmarks ``numbers``."""
    height, width = fitted.picture.pixels.shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    polygon = fitted.face.landmarks[list(numbers), :2].astype(np.float64)
    low, high = polygon.min(axis=0) - wider, polygon.max(axis=0) + wider
    near = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
    found = np.zeros((height, width), bool)
    found[near] = inside_by(np.stack([x[near], y[near]], axis=1), polygon) > -wider
    return found


def test_rest_is_the_photograph(fitted):
    (rest,) = drawn(fitted, pose())
    left = np.ones(rest.shape[:2], bool)
    wide = 0.12 * fitted.surface.eyes
    for eye in ("Left", "Right"):
        left &= ~around(fitted, mesh478.EYE_UPPER[eye] + mesh478.EYE_LOWER[eye][::-1], wide)
    left &= ~around(fitted, mesh478.OUTER_LIPS, wide)
    if fitted.surface.open:
        # A smile is closed: cheeks and chin are the head's then, and what lies around them is not.
        left &= ~around(fitted, mesh478.OVAL, 0.35 * fitted.surface.outline.tall)
    apart = (rest.astype(float) - fitted.picture.pixels)[left]
    assert 10 * np.log10(255**2 / (apart**2).mean()) >= 38


def test_a_blink_leaves_all_but_the_eyes_alone(fitted):
    rest, closed = drawn(fitted, pose(), pose(eyeBlinkLeft=1, eyeBlinkRight=1))
    changed = np.abs(rest.astype(int) - closed).max(axis=2) > 12
    for eye in ("Left", "Right"):
        numbers = mesh478.EYE_UPPER[eye] + mesh478.EYE_LOWER[eye][::-1]
        opening = around(fitted, numbers, 0)
        assert changed[opening].mean() > 0.7
        changed &= ~around(fitted, numbers, 0.09 * fitted.surface.eyes)
    assert changed.mean() < 1e-4


def test_lips_close_and_open_with_the_heads(fitted, speech):
    """Mouth hole, of the squared distance of the eyes: what is seen of cavity, teeth and tongue, painted magenta."""
    layers = []
    for layer in fitted.layers:
        colours = np.ones_like(layer.colours)
        inside = layer.colours[:, 0] < 0.2 if layer.name == "face" else np.full(len(colours), layer.name != "lids")
        if layer.name in ("face", "teeth", "tongue"):
            colours[inside, :3] = (1, 0, 1)
        layers.append(dataclasses.replace(layer, colours=colours))
    white = Picture(np.full_like(fitted.picture.pixels, 255))
    pictures = drawn(dataclasses.replace(fitted, layers=tuple(layers), picture=white), *speech)
    seen = np.array([((p[..., 1] < 100) & (p[..., 0] > 120)).sum() for p in pictures])
    hole = seen / fitted.surface.eyes**2
    head = base()
    lips = head.at_landmarks(head.skin.points)
    moved = lips + np.tensordot(speech, np.stack([head.at_landmarks(move) for move in head.skin.moves]), 1)
    gap = (moved[:, LOWER] - moved[:, UPPER])[..., 1].mean(axis=1)
    resting = (lips[LOWER] - lips[UPPER])[:, 1].mean()
    closed, opened = gap <= resting + 0.0003, gap > resting + 0.003
    assert closed.sum() > 40
    assert opened.sum() > 100
    assert (hole[closed] <= 0.005).mean() >= 0.95
    assert np.median(hole[opened]) > 0.015


def test_a_jaw_that_opens_shows_teeth_below_and_above(fitted):
    rest, opened = drawn(fitted, pose(), pose(jawOpen=0.6))
    changed = np.abs(rest.astype(int) - opened).max(axis=2) > 24
    assert changed.sum() > 0.03 * fitted.surface.eyes**2
    assert len(fitted.glb()) <= 1.2e6

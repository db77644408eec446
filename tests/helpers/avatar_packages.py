"""Packages of avatars that nobody registered: of the right shape, and small."""

import io

import numpy as np
from PIL import Image

from emotalk_avatar.package import GLB, PICTURE, POINTS, PREVIEW, Draft, Facts
from emotalk_client.faces.head.container import Container


def jpeg(width=32, height=32, colour=(200, 150, 120)):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


def glb(size=64):
    container = Container({"asset": {"version": "2.0"}})
    container.add_array(np.zeros((size, 3), np.float32), "VEC3")
    return container.packed()


def draft(name="Ada", owner="everybody", size=64, **changed):
    facts = {
        "created": "2026-11-27T21:52:00Z",
        "kind": "image",
        "width": 32,
        "height": 32,
        "source_sha256": "0" * 64,
        "quality": {"sharpness": 120.0},
        "warnings": ("closed mouth, please",),
        "neutral": tuple(np.zeros(52).tolist()),
    }
    files = {
        GLB: glb(size),
        PREVIEW: jpeg(256, 256),
        PICTURE: jpeg(),
        POINTS: np.zeros((1, 478, 3), np.float32).tobytes(),
    }
    return Draft(Facts(name=name, owner=owner, **(facts | changed)), files)

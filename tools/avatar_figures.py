"""The figures of docs/avatars.md: ``PYTHONPATH=tools:tests/helpers python tools/avatar_figures.py docs/avatars.md``.

Tries pictures of the packages that the tests bring (two portraits in the public domain, a cat, coffee) and what can be
made of them, against a server of its own, and renews three blocks of the page: ``pictures``, what is said of each;
``decoding``, what the largest and the worst uploads take; and ``face-models``, how near the models are to Google's
interpreter and what they take.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from portraits import portrait

from emotalk_avatar.decoding.uploads import decode
from emotalk_avatar.detection import find_face
from emotalk_avatar.errors import PictureRefused
from emotalk_avatar.fitting.base import base
from emotalk_avatar.models import FaceModels
from emotalk_avatar.quality import judge
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_contract import avatar
from emotalk_perf.report import renew, table
from emotalk_server import EmbeddedServer
from face_models.inputs import inputs

PROJECT = Path(__file__).resolve().parents[1]
FACES = PROJECT / "tests" / "data" / "faces"
TIMES = 20
"""That each model is asked."""


def pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield what is tried."""
    calm, smiling = portrait("hopper").pixels, portrait("astronaut").pixels
    yield "Hopper: calm, from the front", calm
    yield "astronaut: small, smiles with teeth", smiling
    with Image.open(PROJECT / "docs" / "viewer.png") as screen:
        head = screen.convert("RGB").crop((25, 57, 915, 660))
    yield "this project's head, mouth open", np.asarray(head)
    for degrees in (30, 90, 180):
        leaning = Image.fromarray(calm).rotate(degrees, Image.Resampling.BICUBIC)
        yield f"Hopper, turned by {degrees}°", np.asarray(leaning)
    for share in (0.5, 0.3):
        yield f"Hopper, {share:g} of the size", np.asarray(_resized(calm, share))
    for sigma in (1.5, 3.0):
        yield (
            f"Hopper, blurred by {sigma:g} pixels",
            np.asarray(Image.fromarray(calm).filter(ImageFilter.GaussianBlur(sigma))),
        )
    for light in (0.5, 0.25, 0.05, 1.6, 2.5):
        yield f"Hopper, {light:g} of the light", np.clip(calm * light, 0, 255).astype(np.uint8)
    yield "Hopper, half of the face", calm[:, : calm.shape[1] * 11 // 20]
    yield "Hopper and his mirror image", np.hstack([calm, calm[:, ::-1]])
    beside = calm.copy()
    beside[8:81, -81:-8] = np.asarray(_resized(smiling[45:225, 135:315], 73 / 180))
    yield "Hopper, and a face of 8 % of the width", beside
    for name in ("cameraman", "cat", "coffee"):
        yield {"cameraman": "cameraman: a small profile"}.get(name, name), portrait(name).pixels


def _resized(pixels: NDArray[np.uint8], share: float) -> Image.Image:
    size = round(pixels.shape[1] * share), round(pixels.shape[0] * share)
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True)
class Tried:
    """A picture, and how it went."""

    name: str
    said: str
    cpu_ms: float


async def tried(models: FaceModels) -> list[Tried]:
    """Decode, find and judge all."""
    rows = []
    for name, pixels in pictures():
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
        before = _cpu_s()
        try:
            picture = decode(file.getvalue())
            warnings = judge(picture, await find_face(picture, models)).warnings
        except PictureRefused as error:
            said = f"{type(error).__name__}: {error}"
        else:
            said = "; ".join(warnings) or "taken"
            said = f"taken; {said}" if warnings else said
        rows.append(Tried(name, said, 1000 * (_cpu_s() - before)))
    return rows


def _cpu_s() -> float:
    """Return the processor time of this process, of its children, and of those that have ended."""
    here = psutil.Process()
    mine = os.times()
    total = mine.user + mine.system + mine.children_user + mine.children_system
    for child in here.children(recursive=True):
        try:
            spent = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return total


def largest() -> Iterator[tuple[str, bytes]]:
    """Yield uploads at the limits and beyond."""
    smooth = Image.fromarray(portrait("astronaut").pixels).resize((7300, 5475))
    for name, image, kind, options in (
        ("JPEG, 40 million pixels", smooth, "JPEG", {}),
        ("JPEG, progressive", smooth, "JPEG", {"progressive": True}),
        ("JPEG, four colours", smooth.convert("CMYK"), "JPEG", {}),
        ("PNG, 40 million, transparent", smooth.convert("RGBA").quantize(64).convert("RGBA"), "PNG", {}),
        ("WEBP, 12 million, lossless", smooth.resize((4000, 3000)), "WEBP", {"lossless": True, "method": 0}),
        ("GIF, 40 million", smooth.quantize(64), "GIF", {}),
    ):
        yield name, _encoded(image, kind, **options)
    yield "PNG, 400 million", _bomb(20_000)
    frame = b"!\xf9\x04\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    yield "GIF, 800 000 pictures", b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 800_000 + b";"
    yield "JPEG with a zip behind it", _encoded(smooth.resize((512, 384)), "JPEG") + b"PK\3\4" + bytes(1000)
    yield "a web page", b"<!doctype html><script>alert(1)</script>"


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _bomb(side: int) -> bytes:
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


MEASURE = """
import json, resource, sys
from emotalk_avatar.decoding.uploads import decode, decode_clip, is_clip
from emotalk_avatar.errors import PictureRefused
data = sys.stdin.buffer.read()
try:
    if is_clip(data):
        with decode_clip(data) as clip:
            said = f"{len(list(clip))} pictures"
    else:
        picture = decode(data)
        said = f"read as {picture.width} by {picture.height}"
except PictureRefused as error:
    said = f"{type(error).__name__}: {error}"
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([said, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
"""
"""Decodes one upload, and tells of the child that did: in a process for each, for a process knows its largest only."""


def decoding() -> str:
    """Return the table of what :func:`largest` take."""
    rows = []
    for name, data in largest():
        command = [sys.executable, "-c", MEASURE]
        answer = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
        said, cpu_s, megabytes = json.loads(answer)
        rows.append([name, f"{len(data) / 1e6:.1f}", said, f"{1000 * cpu_s:.0f}", f"{megabytes:.0f}"])
    return table(["upload", "MB", "said", "CPU, ms", "memory, MB"], rows)


async def agreement(client: AsyncEmoTalkClient) -> str:
    """Return the table of what Triton's answers differ by, and of how long they take."""
    given = inputs(FACES / "head.png")
    rows = []
    with np.load(FACES / "litert.npz") as goldens:
        for model in avatar.MODELS:
            (tensor,) = model.inputs
            items = given[model.name]
            answer = await client.infer(model, {tensor.name: items})
            before, began = _cpu_s(), time.perf_counter()
            for _ in range(TIMES):
                await client.infer(model, {tensor.name: items[:1]})
            wall_ms = 1000 * (time.perf_counter() - began) / TIMES
            cpu_ms = 1000 * (_cpu_s() - before) / TIMES
            for output in model.outputs:
                expected = goldens[f"{model.name}/{output.name}"]
                off = np.abs(answer[output.name] - expected).max() / np.ptp(expected)
                rows.append([f"`{model.name}`", f"`{output.name}`", f"{off:.0e}", f"{cpu_ms:.0f}", f"{wall_ms:.0f}"])
    return table(["model", "output", "off, of its range", "CPU, ms", "wall, ms"], rows)


async def measured(url: str) -> tuple[list[Tried], str]:
    """Return both tables' contents."""
    async with AsyncEmoTalkClient(url) as client:
        models = FaceModels(client)
        base()  # read once a process
        await find_face(portrait("hopper"), models)  # warm
        return await tried(models), await agreement(client)


def main(page: Path) -> None:
    """Renew the page's blocks."""
    with EmbeddedServer(groups=("core", "avatar")) as server:
        rows, near = asyncio.run(measured(server.grpc_url))
    cpu = sorted(row.cpu_ms for row in rows)
    text = table(["picture", "said"], [[row.name, row.said] for row in rows])
    text += (
        f"\n\nProcessor time of decoding, finding and judging, of all processes together: {cpu[len(cpu) // 2]:.0f} ms "
        f"in the middle, {cpu[-1]:.0f} ms at most."
    )
    renew(page, "pictures", text)
    renew(page, "decoding", decoding())
    renew(page, "face-models", near)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Figures of registrations: ``PYTHONPATH=tools:tests/helpers python tools/registering_figures.py docs/avatars.md``.

Registers portraits of the packages that the tests bring, and a clip made of one, with a server of its own, and asks a
gateway for something else meanwhile. It renews the page's block ``registering``.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from portraits import portrait

from avatar_figures import _cpu_s as cpu_s
from emotalk_avatar.models import FaceModels
from emotalk_avatar.registering import register
from emotalk_avatar.store import AvatarStore, Quota
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_perf.report import renew, table
from emotalk_server import EmbeddedServer

TIMES = 7
"""That each is registered."""
CALLERS = 8
"""That register at once while others are timed."""
FRAMES = 50
"""Of the clip: two seconds at 25 frames."""


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """Return a JPEG."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


def clip() -> bytes:
    """Return a GIF of a portrait that is carried to and fro."""
    whole = portrait("astronaut").pixels
    steps = [whole[10:490, 20 + shift : 500 + shift] for shift in (5 + 5 * np.sin(np.arange(FRAMES) / 4)).astype(int)]
    first, *others = (Image.fromarray(step) for step in steps)
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=others, duration=40)
    return out.getvalue()


async def costs(url: str) -> str:
    """Return the table of what registrations take."""
    rows = []
    uploads = {
        "Hopper, 512 x 600": encoded(portrait("hopper").pixels),
        "astronaut, 512 x 512": encoded(portrait("astronaut").pixels),
        "astronaut, 2048 x 2048": encoded(
            np.asarray(Image.fromarray(portrait("astronaut").pixels).resize((2048, 2048), Image.Resampling.LANCZOS))
        ),
        f"a GIF of {FRAMES} frames, 480 x 480": clip(),
    }
    with tempfile.TemporaryDirectory() as folder:
        store = AvatarStore(Path(folder), Quota(avatars=1000))
        async with AsyncEmoTalkClient(url) as client:
            models = FaceModels(client)
            await register(uploads["Hopper, 512 x 600"], "warm", "me", models, store)
            for name, upload in uploads.items():
                spent, walls, size = [], [], 0
                for _ in range(TIMES if "GIF" not in name else 2):
                    before, began = cpu_s(), time.perf_counter()
                    made = await register(upload, name, "me", models, store)
                    walls.append(time.perf_counter() - began)
                    spent.append(cpu_s() - before)
                    size = made.avatar.metadata.size
                cpu, wall = statistics.median(spent), statistics.median(walls)
                rows.append([name, f"{cpu:.2f} s", f"{wall:.2f} s", f"{size / 1e6:.2f} MB"])
    return table(["upload", "CPU, all processes", "wall", "stored"], rows)


def ask(port: int, method: str, path: str, body: bytes | None = None, kind: str = "") -> int:
    """Return the status of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def waits(url: str) -> str:
    """Return how long others wait while faces are made, in words."""
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="avatar_name"\r\n\r\nA\r\n--{edge}\r\n'
    head += 'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body = head.encode() + encoded(portrait("hopper").pixels) + f"\r\n--{edge}--\r\n".encode()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", url, "--port", "0", "--avatars", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
            try:
                assert gateway.stdout is not None  # noqa: S101  # it is a pipe
                port = int(gateway.stdout.readline().split("http://127.0.0.1:")[1].split(",")[0])
                kind = f"multipart/form-data; boundary={edge}"
                ask(port, "POST", "/avatar/register", body, kind)
                seconds: list[float] = []
                with ThreadPoolExecutor(CALLERS) as pool:
                    began = time.perf_counter()
                    making = [pool.submit(ask, port, "POST", "/avatar/register", body, kind) for _ in range(CALLERS)]
                    while not all(one.done() for one in making):
                        asked = time.perf_counter()
                        ask(port, "GET", "/health/live")
                        seconds.append(time.perf_counter() - asked)
                        time.sleep(0.01)
                    took = time.perf_counter() - began
                statuses = {one.result() for one in making}
            finally:
                gateway.terminate()
    assert statuses == {201}, statuses  # noqa: S101  # else the figures mean nothing
    ms = sorted(1000 * one for one in seconds)
    middle, late, last = (ms[min(len(ms) - 1, int(len(ms) * share))] for share in (0.5, 0.99, 1.0))
    return (
        f"{CALLERS} registrations at once at a gateway took {took:.1f} s, one after the other. Who asked it for "
        f"`/health/live` meanwhile, {len(ms)} times, waited {middle:.0f} ms in the middle, {late:.0f} ms in 99 of 100, "
        f"{last:.0f} ms at most."
    )


def main(page: Path) -> None:
    """Renew the page's block."""
    with EmbeddedServer(groups=("core", "avatar")) as server:
        text = asyncio.run(costs(server.grpc_url))
        text += "\n\n" + waits(server.grpc_url)
    renew(page, "registering", text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""From a track to the file of its face.

Rule that this module guards: **the chunks of a track, put together, are its whole face.** A track is computed whole,
whatever range is asked for, and each export is cut out of that; so a clip that is exported piece by piece is computed
once. Faces are kept within a bound of memory, by the file as it is (its inode, size and time) and by the emotions.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import orjson
from numpy.typing import NDArray

from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats.audio2face import document
from emotalk_client.faces.resampling import check_rate, excerpt
from emotalk_client.settings import AnimateOptions
from emotalk_client.threads import in_thread
from emotalk_contract.timing import FPS, SAMPLE_RATE
from emotalk_gateway.omniverse.folders import Folders, check_name, write
from emotalk_gateway.omniverse.player import Asked, frames_of
from emotalk_gateway.service.callers import ANYONE, Caller
from emotalk_gateway.service.durations import check_duration
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.request import FaceRequest
from emotalk_gateway.service.service import Service

ROUTE = "/A2F/Exporter/ExportBlendshapes"
SUFFIX = "_bsweight.json"
MOST_KEPT_BYTES = 64 * 2**20
"""Of faces; three hours of them."""
ROWS = 500
"""Of a face that become JSON at once: a few milliseconds, in which nobody else is served."""

Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The whole face of a track."""

    weights: NDArray[np.float32]
    """[F, 52] at 30 fps."""
    duration_s: float
    """Of the sound; F / 30 is up to a frame more."""


class Faces:
    """Those that were computed last, up to ``most`` bytes of them, the newest in any case."""

    def __init__(self, most: int = MOST_KEPT_BYTES) -> None:
        self._most = most
        self._held: OrderedDict[Key, Kept] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(one.weights.nbytes for one in self._held.values())

    def get(self, key: Key) -> Kept | None:
        """Return what is kept under ``key``."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: Key, kept: Kept) -> None:
        """Keep ``kept``; what was not asked for the longest makes room."""
        self._held[key] = kept
        while self.size > self._most and len(self._held) > 1:
            self._held.popitem(last=False)


class Exporter:
    """Writes the faces of tracks, for all callers of one port."""

    def __init__(self, service: Service, folders: Folders) -> None:
        self._service = service
        self._folders = folders
        self._faces = Faces()
        self._computing: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._writing = asyncio.Semaphore(1)

    async def export(self, asked: Asked, directory: str, name: str, fps: float, caller: Caller = ANYONE) -> int:
        """Write ``<name>_bsweight.json`` of ``asked`` into ``directory``; return how many frames it has.

        Raises:
            PathNotAllowed, TrackNotFound: a file may not be read or written, or is not there.
            LimitReached: ``caller`` may not have it.
            InvalidRate, AudioError, ServerError, UnwritableFile: it cannot be computed or written.
        """
        check_rate(fps)
        file_name = check_name(name) + SUFFIX
        await in_thread(self._check_folder, directory)
        kept = await self._face(asked, caller)
        start_s, end_s = asked.span(kept.duration_s)
        frames = frames_of(start_s, end_s, fps)
        async with self._writing:
            await in_thread(self._write, kept, asked, start_s, frames, fps, directory, file_name)
        return frames

    async def _face(self, asked: Asked, caller: Caller) -> Kept:
        with self._service.uploads.admit(), await in_thread(self._folders.open_sound, asked.root, asked.track) as file:
            seen = os.fstat(file.fileno())
            emotions = tuple(sorted(asked.emotions.items()))
            key = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, emotions)
            # Of several who ask for one face, one computes it; where that one leaves, the next.
            async with self._computing.setdefault(key, asyncio.Lock()):
                kept = self._faces.get(key)
                if kept is None:
                    kept = await self._computed(file, asked, caller)
                    self._faces.put(key, kept)
                return kept

    async def _computed(self, file: BinaryIO, asked: Asked, caller: Caller) -> Kept:
        async with self._service.reading:
            samples = await in_thread(check_duration, file, self._service.settings.max_audio_s)
        self._service.access.clip(caller, samples / SAMPLE_RATE)
        request = FaceRequest(ROUTE, file, AnimateOptions(emotions=dict(asked.emotions)))
        async with aclosing(faces(self._service, request)) as computed:
            weights = np.concatenate([face.weights async for face in computed])
        return Kept(weights, samples / SAMPLE_RATE)

    def _check_folder(self, directory: str) -> None:
        with self._folders.written_folder(directory):
            pass

    def _write(
        self, kept: Kept, asked: Asked, start_s: float, frames: int, fps: float, directory: str, file_name: str
    ) -> None:
        weights = excerpt(kept.weights, FPS, fps, start_s, frames)
        track = os.path.join(asked.root, asked.track)  # noqa: PTH118  # as the caller wrote it
        with self._folders.written_folder(directory) as folder:
            write(folder, file_name, json_pieces(weights, fps, track))


def json_pieces(weights: NDArray[np.float32], fps: float, track: str) -> Iterator[bytes]:
    """Yield the export of ``weights`` [F, 52] as JSON, some rows at a time."""
    content: dict[str, Any] = document(Animation(weights, np.arange(len(weights)) / fps, fps))
    rows = content.pop("weightMat")
    content |= {"exportFps": int(fps) if float(fps).is_integer() else fps, "trackPath": track}
    yield orjson.dumps(content)[:-1] + b',"weightMat":['
    for first in range(0, len(rows), ROWS):
        block = np.ascontiguousarray(rows[first : first + ROWS])  # orjson takes no other
        yield (b"," if first else b"") + orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    yield b"]}"

"""Pictures of a lip-sync server: a mouth for a frame number, or for sound that comes with it.

What such a server calls a model is an avatar of this gateway, by its id or its name; a UNet-328 of the user's own draws
its mouth (:mod:`emotalk_avatar.renderers`). The doors (:mod:`emotalk_gateway.grpc.lipsync`,
:mod:`emotalk_gateway.lipsync`) only translate.

Rule that this module guards: **nothing that a caller names is a path.** Names are looked up among the avatars that the
caller may see, and what is kept of them in memory is bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.errors import NotDrawable, UnknownAvatar
from emotalk_avatar.jpeg import encoded
from emotalk_avatar.naming import is_id
from emotalk_avatar.package import Avatar
from emotalk_avatar.renderers.crops import cut, pictures, unet_input
from emotalk_avatar.renderers.hearing import around
from emotalk_avatar.renderers.mel import mel, windows
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_avatar.renderers.sitting import Sitting, sitting_of
from emotalk_client.threads import in_thread
from emotalk_contract import renderers as facts
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.errors import InvalidMessage, UnknownPicture
from emotalk_gateway.service.service import Service

MOST_PICTURES = 250
"""Of one request: ten seconds."""
MOST_AT_ONCE, COMPUTED = 64, 4
"""Requests that are admitted, and that are computed; the others wait."""
KEPT_BYTES = 256 * 2**20
"""Of avatars in memory, at most, beside the one that was asked for last."""
JPEG_QUALITY = 90
CHUNK_SAMPLES = SAMPLE_RATE // facts.NETWORK_FPS
"""Of a chunk of sound: 40 ms."""
CHUNKS_AROUND = facts.FEATURE_WINDOW - 1
"""Chunks that come beside those of the pictures: eight before the first, seven after the last."""
CHUNK_TYPES: dict[int, np.dtype[Any]] = {2 * CHUNK_SAMPLES: np.dtype("<i2"), 4 * CHUNK_SAMPLES: np.dtype("<f4")}
"""Numbers that a chunk of so many bytes has: int16 of full scale, or float32 of -1..1; 16 kHz, mono."""

FrameKind: TypeAlias = Literal["full_body", "face_regions", "masked_regions"]
FRAME_KINDS: tuple[FrameKind, ...] = get_args(FrameKind)
DEVICE = "triton"
"""As callers are told where it is computed."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture of a mouth."""

    frame_id: int
    jpeg: bytes
    shape: tuple[int, int, int]
    """Height, width, channels."""
    bounds: tuple[float, float, float, float]
    """Left, top, right, bottom of the crop that it belongs into, in pixels of the avatar's frame."""
    prepare_ms: float
    inference_ms: float
    composite_ms: float

    @property
    def total_ms(self) -> float:
        """Of all three."""
        return self.prepare_ms + self.inference_ms + self.composite_ms


@dataclass(slots=True)
class Statistics:
    """Of one avatar's pictures."""

    pictures: int = 0
    total_ms: float = 0.0
    least_ms: float = 0.0
    most_ms: float = 0.0

    def add(self, ms: float) -> None:
        """Count one that took ``ms``."""
        self.least_ms = ms if not self.pictures else min(self.least_ms, ms)
        self.most_ms = max(self.most_ms, ms)
        self.pictures += 1
        self.total_ms += ms

    @property
    def mean_ms(self) -> float:
        """0 where there was none."""
        return self.total_ms / self.pictures if self.pictures else 0.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An avatar in memory."""

    avatar: Avatar
    sitting: Sitting
    statistics: Statistics

    @property
    def id(self) -> str:
        """Of the avatar."""
        return self.avatar.id

    @property
    def frame_count(self) -> int:
        """Pictures that its own sound has, or frames of a clip without one."""
        features = self.sitting.features
        return len(self.sitting.kept) if features is None else len(features)

    def bounds(self, number: int) -> tuple[float, float, float, float]:
        """Return where the crop of the frame ``number`` lies."""
        left, top, right, bottom = map(float, self.sitting.boxes["unet328"][number])
        return left, top, right, bottom


class LipSync:
    """The pictures of one gateway, for all its doors.

    Args:
        service: with avatars.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._models = RendererModels(service.client)
        self._room = Capacity("lip-sync requests", MOST_AT_ONCE, COMPUTED)
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._loading = asyncio.Lock()
        self._began = time.monotonic()

    @property
    def uptime_s(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began

    def loaded(self, caller: Caller) -> list[Loaded]:
        """Return the avatars in memory that ``caller`` may see."""
        avatars = self._service.avatars
        return [one for one in self._loaded.values() if avatars.may_see(caller, one.avatar)]

    async def load(self, caller: Caller, name: str) -> Loaded:
        """Return the avatar that is called ``name``, or has it as its id; read where it is not in memory.

        Raises:
            AvatarsOff: this gateway has none.
            UnknownAvatar: no avatar that ``caller`` may see is called so, or several are.
            NotDrawable: it has no crops for a UNet.
            DamagedAvatar, PictureRefused: it cannot be read.
        """
        avatar = await self._named(caller, name)
        if (found := self._kept(avatar)) is not None:
            return found
        async with self._loading:
            found = self._kept(avatar)  # somebody else may have read it meanwhile
            if found is None:
                store = self._service.avatars.store
                sitting = await in_thread(sitting_of, avatar.metadata, lambda file: store.read(avatar, file))
                if "unet328" not in sitting.boxes:
                    raise NotDrawable(
                        f"avatar {avatar.id} has no crops for a UNet-328; accepted: one that was registered from a "
                        "picture, or has them in its package"
                    )
                found = Loaded(avatar, sitting, Statistics())
                self._loaded[avatar.id] = found
                self._loaded.move_to_end(avatar.id)
                while len(self._loaded) > 1 and sum(one.sitting.size for one in self._loaded.values()) > KEPT_BYTES:
                    self._loaded.popitem(last=False)
        return found

    def _kept(self, avatar: Avatar) -> Loaded | None:
        """Return ``avatar`` as it is in memory; None: it is not, or was another then."""
        found = self._loaded.get(avatar.id)
        if found is None or found.avatar.metadata != avatar.metadata:
            return None
        self._loaded.move_to_end(avatar.id)
        return found

    async def picture(self, caller: Caller, name: str, frame_id: int) -> Drawn:
        """Return the mouth at ``frame_id`` of the sound that came with the avatar ``name``.

        Raises:
            UnknownPicture: there is no such frame, or no sound came with it.
            GatewayFull: too many ask at once.
            Others as :meth:`load`, and the server's.
        """
        with self._room.admit():
            async with self._room.run():
                began = time.perf_counter()
                loaded = await self.load(caller, name)
                features = loaded.sitting.features
                if features is None:
                    raise UnknownPicture(
                        f"no sound came with avatar {loaded.id}; accepted: GenerateBatchWithAudio, or one that was "
                        "imported from a package with features"
                    )
                if not 0 <= frame_id < len(features):
                    raise UnknownPicture(f"the frame is {frame_id}; accepted: 0..{len(features) - 1}")
                return await self._drawn(loaded, frame_id, around(features, np.array([frame_id])), began)

    async def spoken(self, caller: Caller, name: str, start: int, count: int, chunks: Sequence[bytes]) -> list[Drawn]:
        """Return the mouths of ``count`` frames from ``start`` on, for ``chunks`` of sound of 40 ms each.

        There are eight chunks before the first frame's, and seven after the last one's.

        Raises:
            InvalidMessage: there are more or fewer chunks, or one of another length.
            UnknownPicture: there is no such frame.
            GatewayFull: too many ask at once.
            Others as :meth:`load`, and the server's.
        """
        samples = heard(start, count, chunks)
        with self._room.admit():
            async with self._room.run():
                began = time.perf_counter()
                loaded = await self.load(caller, name)
                spectrogram = await in_thread(mel, samples)
                features = await self._models.features(windows(spectrogram, len(chunks)))
                drawn = []
                for i in range(count):
                    window = features[i : i + facts.FEATURE_WINDOW][None]
                    drawn.append(await self._drawn(loaded, start + i, window, began))
                    began = time.perf_counter()
                return drawn

    async def frame(self, caller: Caller, name: str, frame_id: int, kind: str) -> bytes:
        """Return a frame of the avatar ``name`` as JPEG: whole, its crop, or that crop blacked out.

        Raises:
            UnknownPicture: there is no such frame, or kind of it.
            Others as :meth:`load`.
        """
        if kind not in FRAME_KINDS:
            raise UnknownPicture(f"the video type is {quoted(kind)}; accepted: {', '.join(FRAME_KINDS)}")
        if frame_id < 0:
            raise UnknownPicture(f"the frame is {frame_id}; accepted: 0 and more")
        with self._room.admit():
            async with self._room.run():
                loaded = await self.load(caller, name)
                sitting = loaded.sitting
                number = _walked(sitting, frame_id)
                if kind == "full_body":
                    return sitting.kept[number]
                content: bytes = await in_thread(_region, sitting, number, kind == "masked_regions")
                return content

    async def _named(self, caller: Caller, name: str) -> Avatar:
        avatars = self._service.avatars
        if is_id(name):
            return await avatars.get(caller, name)
        found = [one for one in (await avatars.list(caller)).avatars if one.metadata.name == name]
        if not found:
            raise UnknownAvatar(f"no avatar is called {quoted(name)}; accepted: an avatar's id or name")
        if len(found) > 1:
            ids = ", ".join(one.id for one in found[:5])
            raise UnknownAvatar(f"{len(found)} avatars are called {quoted(name)}; accepted: an id, such as {ids}")
        return found[0]

    async def _drawn(self, loaded: Loaded, frame_id: int, features: NDArray[np.float32], began: float) -> Drawn:
        sitting = loaded.sitting
        number = _walked(sitting, frame_id)
        crop = await in_thread(_crop, sitting, number)
        given = unet_input(crop[None])
        prepared = time.perf_counter()
        image = await self._models.unet328(given, features)
        inferred = time.perf_counter()
        pixels = pictures(image)[0]
        jpeg = await in_thread(encoded, pixels, JPEG_QUALITY)
        ended = time.perf_counter()
        loaded.statistics.add(1e3 * (ended - began))
        shape = pixels.shape
        return Drawn(
            frame_id,
            jpeg,
            (shape[0], shape[1], shape[2]),
            loaded.bounds(number),
            1e3 * (prepared - began),
            1e3 * (inferred - prepared),
            1e3 * (ended - inferred),
        )


def heard(start: int, count: int, chunks: Sequence[bytes]) -> NDArray[np.float32]:
    """Return the samples of ``chunks``, -1..1; raise as :meth:`LipSync.spoken`."""
    if not 1 <= count <= MOST_PICTURES:
        raise InvalidMessage(f"frame_count is {count}; accepted: 1..{MOST_PICTURES}")
    if start < 0:
        raise UnknownPicture(f"start_frame_id is {start}; accepted: 0 and more")
    if len(chunks) != count + CHUNKS_AROUND:
        raise InvalidMessage(
            f"{len(chunks)} chunks of sound came for {count} frames; accepted: {count + CHUNKS_AROUND}: "
            f"{facts.FEATURES_BEFORE} before the first, {CHUNKS_AROUND - facts.FEATURES_BEFORE} after the last"
        )
    sizes = {len(chunk) for chunk in chunks}
    if len(sizes) != 1 or (kind := CHUNK_TYPES.get(sizes.pop())) is None:
        lengths = sorted({len(chunk) for chunk in chunks})[:5]
        accepted = " or ".join(f"{size} ({kind.name})" for size, kind in CHUNK_TYPES.items())
        raise InvalidMessage(f"chunks of sound have {lengths} bytes; accepted: {accepted}, 40 ms at 16 kHz each")
    samples = np.frombuffer(b"".join(chunks), kind)
    if kind.kind == "i":
        return np.asarray(samples.astype(np.float32) / np.float32(2**15), np.float32)
    if not np.isfinite(samples).all():
        raise InvalidMessage("the sound has samples that are not numbers; accepted: -1..1")
    return np.asarray(np.clip(samples, -1, 1), np.float32)


def _walked(sitting: Sitting, frame_id: int) -> int:
    """Return the number of the avatar's own frame at ``frame_id``: 25 a second, walked to and fro."""
    return sitting.sitter().number(frame_id / facts.NETWORK_FPS)


def _crop(sitting: Sitting, number: int) -> NDArray[np.uint8]:
    return cut(sitting.frame(number), sitting.boxes["unet328"][number], facts.UNET_CROP_SIDE)


def _region(sitting: Sitting, number: int, masked: bool) -> bytes:  # called in a thread
    crop = _crop(sitting, number)
    if masked:
        rim = facts.UNET_RIM
        left, top, right, bottom = (edge + rim for edge in facts.UNET_MASK)
        crop = crop.copy()
        crop[top : bottom + 1, left : right + 1] = 0
    return encoded(crop, JPEG_QUALITY)

"""From an upload to a stored avatar.

Rule that this module guards: **nothing of an upload is written, and nothing is left of a registration that did not come
to its end.** What is stored is encoded anew from pixels; a caller who leaves while the package is being stored leaves
none behind.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import numpy as np

from emotalk_avatar.decoding.uploads import decode
from emotalk_avatar.detection import find_face
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import fit
from emotalk_avatar.jpeg import PREVIEW_MARGIN, PREVIEW_SIDE, encoded, square
from emotalk_avatar.models import FaceModels
from emotalk_avatar.naming import checked_name
from emotalk_avatar.package import GLB, PICTURE, POINTS, PREVIEW, Avatar, Draft, Facts
from emotalk_avatar.quality import Quality, judge
from emotalk_avatar.registering_clips import drafted_clip, is_moving
from emotalk_avatar.store import AvatarStore
from emotalk_client.faces import head
from emotalk_client.threads import in_thread
from emotalk_contract.recipe import MANIFEST_NAME


@dataclass(frozen=True, slots=True)
class Registered:
    """An avatar that is stored now."""

    avatar: Avatar
    quality: Quality

    @property
    def id(self) -> str:
        """Its id."""
        return self.avatar.id

    @property
    def warnings(self) -> tuple[str, ...]:
        """Notes on what may be better, in words; it speaks nevertheless."""
        return self.quality.warnings


async def register(
    data: bytes,
    name: str,
    owner: str,
    models: FaceModels,
    store: AvatarStore,
    *,
    consent: bool = False,
    glasses: bool = False,
) -> Registered:
    """Make an avatar of the picture or the clip in ``data`` and store it.

    Args:
        data: the upload: JPEG, PNG, WEBP or GIF; mp4, mov or webm.
        name: for people.
        owner: whose it is.
        models: what sees the face.
        store: where it is stored.
        consent: True where the person has agreed.
        glasses: True where glasses are worn, which then stay where they are.

    Raises:
        InvalidAvatarName: ``name`` or ``owner`` is not a line of text.
        AvatarQuotaExceeded, AvatarStoreFull: there are as many as are taken.
        PictureRefused: its subclass says why no avatar can be made of it.
        ServerError: its subclass says how the server of ``models`` failed.
        UnwritableFile: it cannot be stored.
        MissingExtra: a library is not installed.
    """
    name, owner = checked_name(name), checked_name(owner, "owner")
    await in_thread(store.check_room, owner)
    facts = Facts(
        name=name,
        owner=owner,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        kind="image",
        width=0,
        height=0,
        source_sha256=hashlib.sha256(data).hexdigest(),
        head_sha256=_head_sha256(),
        models=_models(),
        consent=consent,
    )
    if await in_thread(is_moving, data):
        draft, quality = await drafted_clip(data, facts, models, glasses=glasses)
        return Registered(await _stored(store, draft), quality)
    picture = await in_thread(decode, data)
    face = await find_face(picture, models)
    quality = await in_thread(judge, picture, face)
    facts = dataclasses.replace(
        facts,
        width=picture.width,
        height=picture.height,
        quality=dict(quality.measures),
        warnings=quality.warnings,
        box=face.box,
    )
    draft = await in_thread(_drafted, facts, picture, face, glasses)
    return Registered(await _stored(store, draft), quality)


def _drafted(facts: Facts, picture: Picture, face: Face, glasses: bool) -> Draft:
    """Fit the head to ``face``, and encode all that is stored."""
    fitted = fit(picture, face, glasses=glasses)
    files = {
        GLB: fitted.glb(),
        PREVIEW: encoded(square(picture.pixels, face.box, PREVIEW_SIDE, PREVIEW_MARGIN)),
        PICTURE: encoded(picture.pixels),
        POINTS: face.landmarks.astype("<f4")[None].tobytes(),
    }
    neutral = tuple(np.asarray(fitted.neutral, np.float64).tolist())
    return Draft(dataclasses.replace(facts, neutral=neutral, fit=fitted.facts), files)


async def _stored(store: AvatarStore, draft: Draft) -> Avatar:
    """Store ``draft``; a caller that is cancelled meanwhile leaves nothing behind."""
    storing = asyncio.get_running_loop().run_in_executor(None, store.add, draft)
    try:
        return await asyncio.shield(storing)
    except asyncio.CancelledError:
        await asyncio.wait({storing})
        if storing.exception() is None:
            await in_thread(store.delete, storing.result().id)
        raise


@cache
def _models() -> dict[str, str]:
    """SHA-256 of the face models of this release, by name: what a server of the same release serves."""
    manifest = json.loads((Path(__file__).parent / "repository" / MANIFEST_NAME).read_text("utf-8"))
    return {name: files["model.onnx"]["sha256"] for name, files in manifest["provenance"]["graphs"].items()}


@cache
def _head_sha256() -> str:
    """Of the head that is fitted."""
    return hashlib.sha256(head.path().read_bytes()).hexdigest()

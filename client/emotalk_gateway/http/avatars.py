"""Avatars over HTTP: registered from a form, listed, shown, deleted.

Names of routes, fields and keys are those of the avatar service that this replaces, so that its callers find them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emotalk_avatar.errors import PictureRefused, PoorPicture
from emotalk_avatar.package import GLB, PREVIEW, Avatar
from emotalk_gateway.http.uploads import form, form_schema
from emotalk_gateway.listening.access import check_header
from emotalk_gateway.service.avatars import Asked
from emotalk_gateway.service.errors import InvalidUpload
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.spool import Spool

ROOT = "/avatar"
PART = "file"
UNNAMED = "avatar"
"""The name of one whose form has none."""
FIELDS = {
    "avatar_name": "for people: a line of text; default `avatar`",
    "user_id": "a label to list by, where tokens do not name callers",
    "consent": "`true` where the person has agreed",
    "glasses": "`true` where glasses are worn, which are then left alone",
}
PICTURES = "jpg, png, webp; or a clip, gif, mp4, mov, webm: one person's face from the front, mouth closed"
MEDIA_TYPES = {GLB: "model/gltf-binary", PREVIEW: "image/jpeg"}


def add_avatars(app: FastAPI, service: Service) -> None:
    """Add the routes; without a folder for avatars they answer 404, and say so."""
    avatars = service.avatars

    @app.post(
        f"{ROOT}/register",
        tags=["avatars"],
        status_code=HTTPStatus.CREATED,
        response_class=JSONResponse,
        openapi_extra=form_schema(PART, FIELDS, PICTURES),
    )
    async def register(request: Request) -> Response:
        """A photograph becomes an avatar; 422 with the reason where it cannot."""
        caller = check_header(request, service, "avatars")
        avatars.check()  # who would be refused at the end need not send it
        with Spool(service.bodies) as spool:
            given = await form(request, PART, spool)
            asked = _asked(spool, given)
            try:
                made = await avatars.register(caller, asked)
            except PictureRefused as error:
                problem = service.problem(error)
                measures = dict(error.measures) if isinstance(error, PoorPicture) else {}
                return JSONResponse({**problem.http_body(), "quality": measures}, problem.status)
        said = {"id": made.id, "quality": dict(made.quality.measures), "warnings": list(made.warnings)}
        return JSONResponse(said, HTTPStatus.CREATED, {"Location": f"{ROOT}/{made.id}/info"})

    @app.get(f"{ROOT}/list", tags=["avatars"])
    async def list_avatars(request: Request, user_id: str | None = None) -> dict[str, Any]:
        """Avatars that the caller may see, the oldest first; with `user_id`, those of that label."""
        caller = check_header(request, service, "avatars")
        listing = await avatars.list(caller, user_id)
        return {"avatars": [described(one) for one in listing.avatars]}

    @app.get(f"{ROOT}/cache/status", tags=["avatars"])
    async def cache_status(request: Request) -> dict[str, Any]:
        """The memory of files that were read lately."""
        check_header(request, service, "avatars")
        status = avatars.store.cache_status()
        return {
            "entries": status.entries,
            "bytes": status.bytes,
            "max_bytes": status.max_bytes,
            "hits": status.hits,
            "misses": status.misses,
            "evicted": status.evicted,
        }

    @app.get(f"{ROOT}/{{avatar_id}}/info", tags=["avatars"])
    async def info(request: Request, avatar_id: str) -> dict[str, Any]:
        """All that is known of an avatar."""
        caller = check_header(request, service, "avatars")
        avatar = await avatars.get(caller, avatar_id)
        return described(avatar) | {"quality": dict(avatar.metadata.quality), "consent": avatar.metadata.consent}

    @app.get(f"{ROOT}/{{avatar_id}}/{GLB}", tags=["avatars"], response_class=Response)
    async def glb(request: Request, avatar_id: str) -> Response:
        """The face that moves, as glTF with the 52 morph targets."""
        return await _file(request, avatar_id, GLB)

    @app.get(f"{ROOT}/{{avatar_id}}/preview", tags=["avatars"], response_class=Response)
    async def preview(request: Request, avatar_id: str) -> Response:
        """The face, 256 x 256, as JPEG."""
        return await _file(request, avatar_id, PREVIEW)

    @app.delete(f"{ROOT}/{{avatar_id}}", tags=["avatars"])
    async def delete(request: Request, avatar_id: str) -> dict[str, Any]:
        """Remove an avatar and all that was kept of its picture."""
        caller = check_header(request, service, "avatars")
        await avatars.delete(caller, avatar_id)
        return {"id": avatar_id, "deleted": True}

    async def _file(request: Request, avatar_id: str, name: str) -> Response:
        caller = check_header(request, service, "avatars")
        avatar = await avatars.get(caller, avatar_id)
        tag = f'"{avatar.metadata.files[name].sha256}"'
        # Whoever asks again is told whether it is still there, and still theirs; the bytes are sent once.
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Content-Disposition": "inline"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(await avatars.read(avatar, name), media_type=MEDIA_TYPES[name], headers=headers)


def described(avatar: Avatar) -> dict[str, Any]:
    """Return what a list says of ``avatar``."""
    facts = avatar.metadata
    return {
        "id": avatar.id,
        "avatar_name": facts.name,
        "user_id": facts.owner,
        "created": facts.created,
        "kind": facts.kind,
        "width": facts.width,
        "height": facts.height,
        "frames": facts.frames,
        "fps": facts.fps,
        "bytes": facts.size,
        "warnings": list(facts.warnings),
    }


def _asked(spool: Spool, given: dict[str, str]) -> Asked:
    """Return what a form asks for.

    Raises:
        InvalidUpload: consent or glasses is neither true nor false.
    """
    consent, glasses = _said(given, "consent"), _said(given, "glasses")
    return Asked(spool.file, given.get("avatar_name", UNNAMED), given.get("user_id") or None, consent, glasses)


def _said(given: dict[str, str], name: str) -> bool:
    said = given.get(name, "false")
    if said not in ("true", "false"):
        raise InvalidUpload(f"{name} is {said!r}; accepted: true, false")
    return said == "true"

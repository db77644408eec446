"""``POST /avatar/process``: speech in a form, or a text in JSON, becomes a video of the face that speaks it."""

from __future__ import annotations

import io
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import soundfile
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_avatar.video.avatars import Drawn
from emotalk_client.faces.animation import Animation
from emotalk_client.threads import in_thread
from emotalk_contract.renderers import Renderer
from emotalk_contract.timing import FPS, SAMPLE_RATE
from emotalk_gateway.http.attachment import Attachment
from emotalk_gateway.http.saying import object_of
from emotalk_gateway.http.uploads import form_schema, received
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.durations import check_duration
from emotalk_gateway.service.errors import ClipTooLong
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.options import CLIP_OPTIONS, animate_options
from emotalk_gateway.service.request import FaceRequest
from emotalk_gateway.service.saying import SAY_FIELDS, Text, sayings
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.videos import FILE_FIELDS, VideoFile

PATH = "/avatar/process"
PART = "file"
NAME = "face"
MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}


@dataclass(frozen=True, slots=True)
class _Speaking:
    """A face over time, and its sound."""

    face: Animation
    sound: BinaryIO


def add_avatar_video(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post(PATH, tags=["avatars"], response_class=Response, openapi_extra=_schema())
    async def process(request: Request) -> Response:
        """A video, `video/mp4` or `video/webm`: of the speech in the form's `file`, or of a `text` in JSON."""
        service.videos.files.check()  # who would be refused at the end need not send it
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        answer = _of_text if kind == "application/json" else _of_speech
        return await answer(service, request)


async def _of_speech(service: Service, request: Request) -> Response:
    async with received(service, request, PART) as upload:
        given: dict[str, Any] = dict(upload.fields)
        asked = VideoFile.taken(given)
        options = animate_options(given)
        most_s = service.videos.max_s
        await in_thread(check_duration, upload.audio, most_s)
        with service.videos.files.admit():
            if asked.renderer is not None:
                return await _rendered(service, upload.caller, asked, asked.renderer, upload.audio)
            avatar = await service.videos.avatar(upload.caller, asked.look.avatar_id)
            async with aclosing(faces(service, FaceRequest(PATH, upload.audio, options))) as computed:
                rows = [face.weights async for face in computed]
            return await _answer(service, asked, avatar, _Speaking(_animation(rows), upload.audio))


async def _of_text(service: Service, request: Request) -> Response:
    caller, given = await object_of(service, request)
    asked = VideoFile.taken(given)
    text = Text.of(given, service.settings.max_text_characters)
    with service.videos.files.admit(), service.uploads.admit():
        if asked.renderer is not None:
            sound = (await _said(service, text, caller)).sound
            return await _rendered(service, caller, asked, asked.renderer, sound)
        avatar = await service.videos.avatar(caller, asked.look.avatar_id)
        speaking = await _said(service, text, caller)
        return await _answer(service, asked, avatar, speaking)


async def _answer(service: Service, asked: VideoFile, avatar: Drawn | None, speaking: _Speaking) -> Response:
    video = await service.videos.written(asked, avatar, speaking.face, speaking.sound)
    return Attachment(video, f"{NAME}{asked.suffix}", MEDIA_TYPES[asked.suffix])


async def _rendered(
    service: Service, caller: Caller, asked: VideoFile, renderer: Renderer, sound: BinaryIO
) -> Response:
    video = await service.neural_videos.written(caller, asked, renderer, sound)
    return Attachment(video, f"{NAME}{asked.suffix}", MEDIA_TYPES[asked.suffix])


async def _said(service: Service, text: Text, caller: Caller) -> _Speaking:
    rows, sounds, rate, seconds = [], [], SAMPLE_RATE, 0.0
    async with aclosing(sayings(service, PATH, text)) as parts:
        async for part in parts:
            if part.sentence is not None:
                rate, seconds = part.sentence.sample_rate, seconds + part.sentence.duration_s
                if seconds > service.videos.max_s:
                    raise ClipTooLong(
                        f"the text takes more than {seconds:.1f} s to say; accepted: {service.videos.max_s:g} s"
                    )
                service.access.speech(caller, part.sentence.duration_s)
                sounds.append(part.sentence.audio)
            rows += [frame.weights[None] for frame in part.frames]
    return _Speaking(_animation(rows), await in_thread(_wav, np.concatenate(sounds), rate))


def _animation(rows: list[Any]) -> Animation:
    weights = np.concatenate(rows)
    return Animation(weights, np.arange(len(weights)) / FPS)


def _wav(samples: Any, rate: int) -> BinaryIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file


def _schema() -> dict[str, Any]:
    spoken = form_schema(PART, {**FILE_FIELDS, **CLIP_OPTIONS})
    fields = {name: {"description": text} for name, text in {**SAY_FIELDS, **FILE_FIELDS}.items()}
    written = {"application/json": {"schema": {"type": "object", "required": ["text"], "properties": fields}}}
    return {"requestBody": {"required": True, "content": {**spoken["requestBody"]["content"], **written}}}

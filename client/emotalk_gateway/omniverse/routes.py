"""The paths of Omniverse Audio2Face's HTTP interface that its clients use.

They answer ``{"status": "OK", "message", "result"}``. An error has its HTTP status, and a text for a body: of a JSON
object the package ``a2f-client`` would take no notice, and go on with the face of another track.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, FiniteFloat
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from emotalk_client.errors import EmoTalkError, InvalidRequest
from emotalk_client.threads import in_thread
from emotalk_contract.quoting import quoted
from emotalk_gateway.listening.access import check_header
from emotalk_gateway.listening.auditing import Audited
from emotalk_gateway.listening.hosts import HostCheck, KnownHosts
from emotalk_gateway.listening.lifetime import Lifetime
from emotalk_gateway.listening.secure import SecureHeaders
from emotalk_gateway.listening.tracing import Traced
from emotalk_gateway.omniverse.exporting import ROUTE as EXPORT
from emotalk_gateway.omniverse.exporting import Exporter
from emotalk_gateway.omniverse.folders import Folders
from emotalk_gateway.omniverse.player import INSTANCE, PLAYER, SOLVER, TO_THE_END, Scene, check_object
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.errors import InvalidUpload, OriginNotAllowed, Problem
from emotalk_gateway.service.service import Service

MOST_BODY_BYTES = 64 * 1024
"""Of a request; a path has a few thousand at most."""

logger = logging.getLogger(__name__)


class OfPlayer(BaseModel):
    """A request to the player."""

    a2f_player: str


class Root(OfPlayer):
    """A folder of tracks."""

    dir_path: str


class TrackToSet(OfPlayer):
    """A file of it."""

    file_name: str
    time_range: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)] = [0.0, TO_THE_END]


class Range(OfPlayer):
    """Seconds of the track."""

    start: FiniteFloat = 0.0
    end: FiniteFloat = TO_THE_END


class OfInstance(BaseModel):
    """A request to the instance; more is accepted, and has no meaning here."""

    a2f_instance: str


class EmotionsToSet(OfInstance):
    """Amounts by name."""

    emotions: dict[str, FiniteFloat]


class Export(BaseModel):
    """A file to write."""

    solver_node: str
    export_directory: str
    file_name: str
    fps: FiniteFloat = 30.0
    format: str = "json"


def omniverse_app(service: Service, folders: Folders) -> FastAPI:
    """Return the paths, with a state of their own."""

    def guard(request: Request) -> None:
        request.state.caller = check_caller(request, service)

    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
    app.add_middleware(Lifetime, service=service, said=said, max_bytes=MOST_BODY_BYTES)
    app.add_middleware(HostCheck, known=KnownHosts(service.settings.allowed_hosts), told=service.told)
    app.add_middleware(Traced)
    app.add_middleware(SecureHeaders)
    app.add_middleware(Audited, door="omniverse")
    _add_errors(app, service)
    scene = Scene()
    _add_facts(app)
    _add_settings(app, scene, folders)
    _add_export(app, scene, Exporter(service, folders))
    return app


def _add_facts(app: FastAPI) -> None:
    @app.get("/status")
    async def status() -> dict[str, Any]:
        return _ok("the service is running")

    @app.get("/A2F/Player/GetInstances")
    async def players() -> dict[str, Any]:
        return _ok("players", {"regular": [PLAYER], "streaming": []})

    @app.get("/A2F/GetInstances")
    async def instances() -> dict[str, Any]:
        return _ok("instances", {"fullface_instances": [INSTANCE], "fullface_core_instances": [INSTANCE]})

    @app.get("/A2F/Exporter/GetBlendShapeSolvers")
    async def solvers() -> dict[str, Any]:
        return _ok("solvers", [SOLVER])


def _add_settings(app: FastAPI, scene: Scene, folders: Folders) -> None:
    @app.post("/A2F/USD/Load")
    async def load() -> dict[str, Any]:
        return _ok("the face is there already; no file was loaded")

    @app.post("/A2F/Player/SetRootPath")
    async def set_root(asked: Root) -> dict[str, Any]:
        check_object(asked.a2f_player, PLAYER)
        await in_thread(folders.check_root, asked.dir_path)
        scene.set_root(asked.dir_path)
        return _ok("the root path is set")

    @app.post("/A2F/Player/SetTrack")
    async def set_track(asked: TrackToSet) -> dict[str, Any]:
        check_object(asked.a2f_player, PLAYER)
        root = scene.root
        (await in_thread(folders.open_sound, root, asked.file_name)).close()
        scene.set_root(root)  # another caller may have set one meanwhile
        scene.set_track(asked.file_name, *asked.time_range)
        return _ok("the track is set")

    @app.post("/A2F/Player/GetTracks")
    async def tracks(asked: OfPlayer) -> dict[str, Any]:
        check_object(asked.a2f_player, PLAYER)
        track, found = scene.track, await in_thread(folders.tracks, scene.root) if scene.root else []
        return _ok("tracks", found if not track or track in found else [track, *found])

    @app.post("/A2F/Player/SetRange")
    async def set_range(asked: Range) -> dict[str, Any]:
        check_object(asked.a2f_player, PLAYER)
        scene.set_range(asked.start, asked.end)
        return _ok("the range is set")

    @app.post("/A2F/Player/Play")
    async def play(asked: OfPlayer) -> dict[str, Any]:
        check_object(asked.a2f_player, PLAYER)
        return _ok("there is nobody to hear it")

    @app.post("/A2F/A2E/SetEmotionByName")
    async def set_emotions(asked: EmotionsToSet) -> dict[str, Any]:
        check_object(asked.a2f_instance, INSTANCE)
        scene.set_emotions(asked.emotions)
        return _ok("the emotions are set")

    @app.post("/A2F/A2E/GenerateKeys")
    async def generate_keys(asked: OfInstance) -> dict[str, Any]:
        check_object(asked.a2f_instance, INSTANCE)
        return _ok("no keys are needed: the network hears the emotion itself")


def _add_export(app: FastAPI, scene: Scene, exporter: Exporter) -> None:
    @app.post(EXPORT)
    async def export(asked: Export, request: Request) -> dict[str, Any]:
        check_object(asked.solver_node, SOLVER)
        if asked.format != "json":
            raise InvalidUpload(f"the format is {quoted(asked.format)}; accepted: 'json'")
        frames = await exporter.export(
            scene.asked(), asked.export_directory, asked.file_name, asked.fps, request.state.caller
        )
        return _ok(f"{frames} frames were written")


def check_caller(request: Request, service: Service) -> Caller:
    """Return who asks.

    Raises:
        OriginNotAllowed: a page in a browser, which could make the person in front of it ask for files.
        NotAuthorised, NotPermitted, TooManyRequests: whoever asks may not.
    """
    if (origin := request.headers.get("origin")) is not None:
        raise OriginNotAllowed(f"pages of {quoted(origin)} may not ask; accepted: callers that are not web pages")
    return check_header(request, service, "animate")


def said(problem: Problem, retry_after_s: int) -> Response:  # noqa: ARG001  # these clients do not come again
    """Return ``problem`` as these clients hear it."""
    return PlainTextResponse(f"{problem.error}: {problem.message}", problem.status)


def _add_errors(app: FastAPI, service: Service) -> None:
    async def ours(_: Request, error: Exception) -> Response:
        return said(service.problem(error), service.settings.retry_after_s)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # what it is registered for
        service.metrics.rejected(InvalidUpload.__name__)
        # FastAPI's form, without the values: some of them are not JSON.
        detail = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
        return JSONResponse({"detail": detail}, 422)

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
        if isinstance(error.__cause__, EmoTalkError):  # a body that could not be taken in
            return await ours(request, error.__cause__)
        return await http_exception_handler(request, error)

    app.add_exception_handler(HTTPException, framework)
    for kind in (EmoTalkError, InvalidRequest):  # the rest is said by Lifetime
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(RequestValidationError, invalid)


def _ok(message: str, result: Any = None) -> dict[str, Any]:
    return {"status": "OK", "message": message, **({} if result is None else {"result": result})}

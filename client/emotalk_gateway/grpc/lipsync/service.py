"""The methods of ``OptimizedLipSyncService``.

Rule that this module guards: **what goes wrong is said in the answer**: ``success`` is false, and ``error`` says why;
callers of this service look at nothing else. Only a caller that may not ask at all gets a gRPC status.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from emotalk_client.errors import EmoTalkError
from emotalk_contract.errors import InvalidRequest
from emotalk_gateway.grpc.calls import Call
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service.errors import GatewayStopping, InvalidMessage, RequestTooSlow, StreamIdle
from emotalk_gateway.service.health import Health
from emotalk_gateway.service.lipsync import DEVICE, FRAME_KINDS, MOST_PICTURES, Drawn, LipSync, Loaded
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import within

PACKAGE = "optimized_lipsyncsrv"
NAME = f"{PACKAGE}.OptimizedLipSyncService"
MOST_MS = 2**31 - 1
T = TypeVar("T")


class LipSyncService:
    """Answers the callers of one door."""

    def __init__(self, service: Service, lipsync: LipSync) -> None:
        self._service = service
        self._lipsync = lipsync
        self._health = Health(service)

    async def inference(self, request: Any, call: Call) -> Any:
        """Return the picture of one frame of the avatar's own sound."""
        return await self._one(request.model_name, request.frame_id, call)

    async def batch(self, request: Any, call: Call) -> Any:
        """Return the pictures of several, each with its own error."""
        name, frame_ids = request.model_name, request.frame_ids
        began = time.perf_counter()
        if len(frame_ids) > MOST_PICTURES:
            error = InvalidMessage(f"{len(frame_ids)} frames are asked for; accepted: at most {MOST_PICTURES}")
            return _batch([self._failed(name, frame_ids[0], error)], began)
        return _batch([await self._one(name, frame_id, call) for frame_id in frame_ids], began)

    async def with_audio(self, request: Any, call: Call) -> Any:
        """Return the pictures for the sound that came along; one error for all of them."""
        name, start = request.model_name, request.start_frame_id
        began = time.perf_counter()
        try:
            drawn = await self._in_time(
                self._lipsync.spoken(call.caller, name, start, request.frame_count, request.audio_chunks)
            )
        except (EmoTalkError, InvalidRequest) as error:
            return _batch([self._failed(name, start, error)], began)
        return _batch([_drawn(name, one) for one in drawn], began)

    async def stream(self, call: Call) -> None:
        """Answer each request with one picture, in order, until the caller has sent all."""
        idle_s = self._service.settings.stream_idle_s
        while True:
            try:
                request = await call.first(idle_s)
            except asyncio.TimeoutError as error:
                raise StreamIdle(f"nothing came for {idle_s:g} s; accepted: at most {idle_s:g} s") from error
            if request is None:
                return
            answer = await self._one(request.model_name, request.frame_id, call)
            most_s = self._service.settings.send_timeout_s
            try:
                await within(call.write(answer), most_s)
            except asyncio.TimeoutError as error:
                raise RequestTooSlow(f"the caller took no answer for {most_s:g} s") from error

    async def load(self, request: Any, call: Call) -> Any:
        """Read an avatar into memory: the one whose id ends ``package_dir``, or that is called ``package_name``."""
        answer = message(f"{PACKAGE}.LoadPackageResponse")
        began = time.perf_counter()
        asked = request.package_dir.rstrip("/").rpartition("/")[2] or request.package_name
        try:
            loaded = await self._in_time(self._lipsync.load(call.caller, asked))
        except (EmoTalkError, InvalidRequest) as error:
            why = self._said(error)
            return answer(success=False, package_name=request.package_name, message=why, error=why)
        features = loaded.sitting.features
        return answer(
            success=True,
            package_name=request.package_name or loaded.id,
            message=f"avatar {loaded.id} is in memory",
            initialization_time_ms=_ms(began),
            frame_count=loaded.frame_count,
            device=DEVICE,
            videos_loaded=FRAME_KINDS,
            audio_features_shape=[] if features is None else features.shape,
        )

    async def stats(self, request: Any, call: Call) -> Any:
        """Return the times of an avatar's pictures; all 0 of one that is not in memory."""
        answer = message(f"{PACKAGE}.StatsResponse")
        for loaded in self._lipsync.loaded(call.caller):
            if request.model_name in (loaded.id, loaded.avatar.metadata.name):
                of = loaded.statistics
                return answer(
                    model_name=request.model_name,
                    total_requests=of.pictures,
                    avg_inference_time_ms=of.mean_ms,
                    min_inference_time_ms=of.least_ms,
                    max_inference_time_ms=of.most_ms,
                    frame_count=loaded.frame_count,
                    device=DEVICE,
                )
        return answer(model_name=request.model_name, device=DEVICE)

    async def models(self, _request: Any, call: Call) -> Any:
        """Return the ids of the avatars in memory."""
        ids = [loaded.id for loaded in self._lipsync.loaded(call.caller)]
        return message(f"{PACKAGE}.ListModelsResponse")(loaded_models=ids, count=len(ids))

    async def health(self, _request: Any, call: Call) -> Any:
        """Return whether a picture would be drawn now."""
        status = "SERVING"
        try:
            await self._health.ready()
        except EmoTalkError as error:
            status = self._said(error)
        return message(f"{PACKAGE}.HealthResponse")(
            healthy=status == "SERVING",
            status=status,
            loaded_models=len(self._lipsync.loaded(call.caller)),
            uptime_seconds=int(self._lipsync.uptime_s),
        )

    async def video_frame(self, request: Any, call: Call) -> Any:
        """Return a frame of the avatar itself."""
        answer = message(f"{PACKAGE}.GetVideoFrameResponse")
        said = {"frame_id": request.frame_id, "video_type": request.video_type}
        try:
            asked = self._lipsync.frame(call.caller, request.model_name, request.frame_id, request.video_type)
            return answer(success=True, frame_data=await self._in_time(asked), **said)
        except (EmoTalkError, InvalidRequest) as error:
            return answer(success=False, error=self._said(error), **said)

    async def metadata(self, request: Any, call: Call) -> Any:
        """Return the facts of an avatar."""
        answer = message(f"{PACKAGE}.GetModelMetadataResponse")
        name = request.model_name
        try:
            loaded: Loaded = await self._in_time(self._lipsync.load(call.caller, name))
        except (EmoTalkError, InvalidRequest) as error:
            return answer(success=False, model_name=name, error=self._said(error))
        return answer(
            success=True,
            model_name=name,
            frame_count=loaded.frame_count,
            available_videos=FRAME_KINDS,
            bounds=loaded.bounds(0),
        )

    async def _one(self, name: str, frame_id: int, call: Call) -> Any:
        try:
            return _drawn(name, await self._in_time(self._lipsync.picture(call.caller, name, frame_id)))
        except (EmoTalkError, InvalidRequest) as error:
            return self._failed(name, frame_id, error)

    async def _in_time(self, work: Awaitable[T]) -> T:
        """Return what ``work`` returns; it ends with its time, and with the gateway."""
        most_s = self._service.settings.request_timeout_s
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._service.stopping.wait())
        try:
            await asyncio.wait({task, stopping}, timeout=most_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if stopping.done():
                raise GatewayStopping("the gateway stops; try again later")
            raise RequestTooSlow(f"the request took longer than the {most_s:g} s it may take")
        finally:
            task.cancel()
            stopping.cancel()

    def _failed(self, name: str, frame_id: int, error: BaseException) -> Any:
        said = {"model_name": name, "frame_id": frame_id, "error": self._said(error)}
        return message(f"{PACKAGE}.OptimizedInferenceResponse")(success=False, **said)

    def _said(self, error: BaseException) -> str:
        problem = self._service.problem(error)
        return f"{problem.error}: {problem.message}"


def _drawn(name: str, drawn: Drawn) -> Any:
    return message(f"{PACKAGE}.OptimizedInferenceResponse")(
        success=True,
        prediction_data=drawn.jpeg,
        bounds=drawn.bounds,
        processing_time_ms=round(drawn.total_ms),
        model_name=name,
        frame_id=drawn.frame_id,
        prediction_shape="x".join(map(str, drawn.shape)),
        prepare_time_ms=drawn.prepare_ms,
        inference_time_ms=drawn.inference_ms,
        composite_time_ms=drawn.composite_ms,
    )


def _batch(answers: list[Any], began: float) -> Any:
    total = _ms(began)
    return message(f"{PACKAGE}.BatchInferenceResponse")(
        responses=answers, total_processing_time_ms=total, avg_frame_time_ms=total / max(1, len(answers))
    )


def _ms(began: float) -> int:
    return min(MOST_MS, round(1e3 * (time.perf_counter() - began)))

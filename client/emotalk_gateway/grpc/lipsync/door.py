"""The lip-sync server's service on a port."""

from __future__ import annotations

from emotalk_gateway.grpc.lipsync.service import NAME, LipSyncService
from emotalk_gateway.grpc.serving import MIB, GrpcDoor, Handler, Served
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.service.lipsync import LipSync
from emotalk_gateway.service.service import Service

MOST_MESSAGE_BYTES = 50 * MIB
"""As that server has it."""


def lipsync_door(service: Service, lipsync: LipSync, host: str, port: int, tls: DoorTls | None = None) -> GrpcDoor:
    """Return the door for the lip-sync server's clients."""
    methods = LipSyncService(service, lipsync)
    handlers: dict[str, Handler] = {
        "GenerateInference": methods.inference,
        "GenerateBatchInference": methods.batch,
        "GenerateBatchWithAudio": methods.with_audio,
        "StreamInference": methods.stream,
        "LoadPackage": methods.load,
        "GetStats": methods.stats,
        "ListModels": methods.models,
        "HealthCheck": methods.health,
        "GetVideoFrame": methods.video_frame,
        "GetModelMetadata": methods.metadata,
    }
    served = Served(NAME, handlers, scope="avatars")
    return GrpcDoor(
        service,
        "lip-sync",
        host,
        port,
        [served],
        option="--lipsync-port",
        tls=tls,
        max_message_bytes=MOST_MESSAGE_BYTES,
    )

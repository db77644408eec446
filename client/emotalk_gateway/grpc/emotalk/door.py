"""The EmoTalk service on a port."""

from __future__ import annotations

from emotalk_gateway.grpc.emotalk.service import MOST_MESSAGE_BYTES, NAME, EmoTalkService, is_whole
from emotalk_gateway.grpc.serving import GrpcDoor, Handler, Served
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.service.service import Service

_OVERHEAD = 64 * 1024
"""Bytes of a message beside its sound."""


def emotalk_door(service: Service, host: str, port: int, tls: DoorTls | None = None) -> GrpcDoor:
    """Return the door for the clients of the EmoTalk service."""
    methods = EmoTalkService(service)
    handlers: dict[str, Handler] = {"ProcessAudio": methods.process, "HealthCheck": methods.health}
    served = Served(NAME, handlers, is_whole, reading=frozenset({"ProcessAudio"}))
    most = MOST_MESSAGE_BYTES + _OVERHEAD
    return GrpcDoor(service, "EmoTalk", host, port, [served], option="--emotalk-port", tls=tls, max_message_bytes=most)

"""Audio2Face-3D's service on a port."""

from __future__ import annotations

from emotalk_gateway.grpc.audio2face import configs, controller
from emotalk_gateway.grpc.serving import GrpcDoor, Served
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.service.service import Service


def audio2face_door(service: Service, host: str, port: int, tls: DoorTls | None = None) -> GrpcDoor:
    """Return the door for the clients of Audio2Face-3D."""
    process, told = controller.Controller(service), configs.Configs(service.settings)
    served = (
        Served(controller.SERVICE, {"ProcessAudioStream": process.process}, controller.is_last, scope="live"),
        Served(configs.SERVICE, {"GetConfigs": told.get}, scope="live"),
    )
    return GrpcDoor(service, "Audio2Face-3D", host, port, served, option="--a2f-port", tls=tls)

"""A port of its own for the clients of Omniverse Audio2Face."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from emotalk_contract.quoting import quoted
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.listening.webdoor import WebDoor
from emotalk_gateway.omniverse.folders import Folders
from emotalk_gateway.omniverse.routes import omniverse_app
from emotalk_gateway.service.errors import InvalidSettings
from emotalk_gateway.service.service import Service


class OmniverseDoor(WebDoor):
    """Serves :mod:`~emotalk_gateway.omniverse.routes` on ``port`` (0: any that is free), with a state of its own.

    Args:
        folder: below which faces are written.

    Raises:
        InvalidSettings: it, or a folder of sounds, is not a folder.
    """

    def __init__(self, service: Service, port: int, folder: Path, tls: DoorTls | None = None) -> None:
        settings = service.settings
        sounds = [_folder(Path(one), "EMOTALK_GATEWAY_OMNIVERSE_SOUNDS") for one in settings.omniverse_sounds]
        anywhere = not sounds and _is_loopback(settings.omniverse_host)
        self._folders = Folders(_folder(folder, "--omniverse-folder"), None if anywhere else sounds)
        app = omniverse_app(service, self._folders)
        super().__init__(service, "omniverse", app, settings.omniverse_host, port, "--omniverse-port", tls, ws="none")


def _folder(path: Path, option: str) -> Path:
    if not path.is_dir():
        raise InvalidSettings(f"{option} is {quoted(str(path))}; accepted: a folder that is there")
    return path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

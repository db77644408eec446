"""``emotalk-server``: serve a model repository until told to stop."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import get_args

from emotalk_contract.configs import Profile
from emotalk_contract.recipe import Manifest, ManifestError
from emotalk_contract.repository import bundled
from emotalk_server.embedded import EmbeddedServer
from emotalk_server.errors import ServerStartError
from emotalk_server.ports import GRPC_PORT, HTTP_PORT, LOOPBACK, METRICS_PORT, Ports
from emotalk_server.supervisor import ServerDied, supervise

MOST_CACHE_MIB = 1024 * 1024
"""A tebibyte: more is a slip of the keyboard."""

logger = logging.getLogger("emotalk_server")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="emotalk-server", description="Serve EmoTalk with NVIDIA Triton until SIGTERM or Ctrl-C."
    )
    parser.add_argument("--repository", type=Path, help="model repository (default: the bundled one)")
    parser.add_argument("--http-port", type=int, default=HTTP_PORT, help="default: %(default)s")
    parser.add_argument("--grpc-port", type=int, default=GRPC_PORT, help="default: %(default)s")
    parser.add_argument("--metrics-port", type=int, default=METRICS_PORT, help="default: %(default)s")
    parser.add_argument("--address", default=LOOPBACK, help="where to listen (default: %(default)s)")
    parser.add_argument("--profile", choices=get_args(Profile), default="cpu", help="default: %(default)s")
    parser.add_argument(
        "--cache",
        type=_mebibytes,
        default=0,
        metavar="MIB",
        help="memory for what the encoders gave, so that the same speech in another style is quick (default: none)",
    )
    parser.add_argument("--verbose", action="store_true", help="show Triton's own log")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the server; 0 after a requested stop, 1 if it could not start or died."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO, format="%(message)s", stream=sys.stderr
    )
    stopped = _stop_on_signals()
    server = EmbeddedServer(
        arguments.repository,
        ports=Ports(arguments.http_port, arguments.grpc_port, arguments.metrics_port),
        address=arguments.address,
        profile=arguments.profile,
        cache_bytes=arguments.cache * 2**20,
    )
    try:
        with server:
            logger.info(
                "emotalk is ready: %s; gRPC %s, HTTP %s, metrics %s",
                _what(arguments.repository),
                server.grpc_url,
                server.http_url,
                server.metrics_url,
            )
            supervise(server, stopped)
    except _Stopped:
        return 0
    except (ServerStartError, ServerDied, FileNotFoundError) as error:
        logger.error("emotalk-server: %s: %s", type(error).__name__, error)  # noqa: TRY400  # for people
        return 1
    return 0


def _mebibytes(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_CACHE_MIB:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: whole numbers in 0..{MOST_CACHE_MIB}")
    return int(text)


class _Stopped(Exception):
    """A signal came before the server was ready."""


def _stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; until somebody waits for it, they raise :class:`_Stopped`."""
    stopped = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of handlers
        if stopped.is_set():
            return
        stopped.set()
        raise _Stopped

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stopped


def _what(repository: Path | None) -> str:
    """The manifest's words for the weights."""
    try:
        return Manifest.load(repository or bundled()).model
    except ManifestError:
        return f"the models in {repository}"


if __name__ == "__main__":
    sys.exit(main())

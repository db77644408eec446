"""``emotalk-server``: serve a model repository until told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import get_args

from emotalk_contract.configs import Profile
from emotalk_contract.recipe import Manifest, ManifestError
from emotalk_contract.renderers import VARIABLE
from emotalk_contract.repository import bundled
from emotalk_server import tracing
from emotalk_server.embedded import EmbeddedServer
from emotalk_server.errors import ServerStartError
from emotalk_server.groups import DEFAULT_GROUPS, Group, groups_of
from emotalk_server.health import HealthListener
from emotalk_server.ports import GRPC_PORT, HEALTH_PORT, HTTP_PORT, LOOPBACK, METRICS_PORT, Ports, is_loopback
from emotalk_server.process import SAFE_VERSION

PLANS_VARIABLE = "EMOTALK_PLANS"
MOST_CACHE_MIB = 1024 * 1024
"""A tebibyte: more is a slip of the keyboard."""

logger = logging.getLogger("emotalk_server")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="emotalk-server", description="Serve EmoTalk with NVIDIA Triton until SIGTERM or Ctrl-C."
    )
    parser.add_argument("--repository", type=Path, help="model repository (default: the bundled one)")
    parser.add_argument("--http-port", type=int, default=HTTP_PORT, help="Triton's HTTP (default: %(default)s)")
    parser.add_argument("--grpc-port", type=int, default=GRPC_PORT, help="Triton's gRPC (default: %(default)s)")
    parser.add_argument("--metrics-port", type=int, default=METRICS_PORT, help="Prometheus (default: %(default)s)")
    parser.add_argument(
        "--health-port",
        type=int,
        default=HEALTH_PORT,
        help="where /health/live, /health/ready and /health answer; 0: nowhere (default: %(default)s)",
    )
    parser.add_argument("--address", default=LOOPBACK, help="where to listen (default: %(default)s)")
    parser.add_argument(
        "--profile", choices=get_args(Profile), default="cpu", help="what the networks run on (default: %(default)s)"
    )
    parser.add_argument(
        "--plans",
        type=Path,
        default=os.environ.get(PLANS_VARIABLE) or None,
        metavar="DIR",
        help="with --profile tensorrt: plans that the repository lacks are built there for this GPU, once "
        f"(default: ${PLANS_VARIABLE}, or none are)",
    )
    parser.add_argument(
        "--cache",
        type=_mebibytes,
        default=0,
        metavar="MIB",
        help="memory for what the encoders gave, so that the same speech in another style is quick (default: none)",
    )
    parser.add_argument(
        "--models",
        type=groups_of,
        default=",".join(DEFAULT_GROUPS),
        metavar="GROUPS",
        help=f"of {', '.join(get_args(Group))}; speech is text in, avatar sees faces (default: %(default)s)",
    )
    parser.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="NAME=ENGINE:WHERE",
        help="a voice for speech, such as amir=piper:/voices/fa_IR-amir-medium.onnx; repeatable",
    )
    parser.add_argument(
        "--renderers",
        type=Path,
        default=os.environ.get(VARIABLE) or None,
        metavar="DIR",
        help=f"neural renderers to serve too, as `emotalk-export renderer` wrote them (default: ${VARIABLE}, or none)",
    )
    parser.add_argument(
        "--trace",
        default=tracing.endpoint(),
        metavar="URL",
        help=f"where Triton sends its spans, in OTLP over HTTP (default: ${tracing.ENDPOINT}/v1/traces, or nowhere)",
    )
    parser.add_argument("--verbose", action="store_true", help="show Triton's own log")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the server; return 0 after a requested stop, 1 if it could not start."""
    arguments = parser().parse_args(argv)
    if arguments.plans is not None and arguments.profile != "tensorrt" and not os.environ.get(PLANS_VARIABLE):
        parser().error(f"argument --plans: the profile is {arguments.profile}; accepted: with --profile tensorrt")
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO, format="%(message)s", stream=sys.stderr
    )
    asked = _stop_on_signals()
    try:
        _serve(arguments, asked)
    except _Stopped:
        return 0
    except (ServerStartError, FileNotFoundError) as error:
        logger.error("emotalk-server: %s: %s", type(error).__name__, error)  # noqa: TRY400  # for people
        return 1
    return 0


def _serve(arguments: argparse.Namespace, asked: int) -> None:
    """Serve until a signal raises :class:`_Stopped` or is read from the file ``asked``."""
    server = EmbeddedServer(
        arguments.repository,
        ports=Ports(arguments.http_port, arguments.grpc_port, arguments.metrics_port),
        address=arguments.address,
        profile=arguments.profile,
        cache_bytes=arguments.cache * 2**20,
        groups=arguments.models,
        voices=";".join(arguments.voice),
        renderers=arguments.renderers,
        trace_url=arguments.trace,
        plans=arguments.plans,
    )
    with _health(server, arguments.address, arguments.health_port) as health, server:
        logger.info(
            "emotalk is ready: %s; gRPC %s, HTTP %s, metrics %s%s",
            _what(arguments.repository),
            server.grpc_url,
            server.http_url,
            server.metrics_url,
            f", health {health.url}" if health else "",
        )
        _warn_of_strangers(server, arguments.address)
        os.read(asked, 1)


def _health(server: EmbeddedServer, address: str, port: int) -> AbstractContextManager[HealthListener | None]:
    return HealthListener(server, address, port) if port else nullcontext()


def _warn_of_strangers(server: EmbeddedServer, address: str) -> None:
    """Say what an old Triton risks where others than this machine reach it."""
    version = server.process.triton_version()
    if not is_loopback(address) and version < SAFE_VERSION:
        logger.warning(
            "Triton %s listens on %s: whoever reaches its ports can end it with one request, and its published holes "
            "are open (closed in the images since 25.08). Let strangers reach `emotalk gateway` only",
            ".".join(map(str, version)),
            address,
        )


def _mebibytes(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_CACHE_MIB:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: whole numbers in 0..{MOST_CACHE_MIB}")
    return int(text)


class _Stopped(BaseException):
    """A signal asked for the end: no ``Exception``, for a log's handler that is writing a line swallows those."""


def _stop_on_signals() -> int:
    """Let the first SIGTERM or SIGINT raise :class:`_Stopped`; return a file in which a byte tells of it.

    Whoever waits reads the file: a signal in the moment before the wait, or one whose exception was swallowed, is
    found there.
    """
    stopped = False
    asked, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of handlers
        nonlocal stopped
        if not stopped:
            stopped = True
            raise _Stopped

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return asked


def _what(repository: Path | None) -> str:
    """Return the manifest's words for the weights."""
    try:
        return Manifest.load(repository or bundled()).model
    except ManifestError:
        return f"the models in {repository}"


if __name__ == "__main__":
    sys.exit(main())

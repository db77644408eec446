"""A gRPC server as a door: :class:`~emotalk_gateway.listening.doors.Door`.

Handlers are coroutines that raise the gateway's errors; the door says them, each with the code that it has in the one
table. gRPC's health service is there beside whatever is served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from emotalk_gateway.grpc import health
from emotalk_gateway.grpc.access import shown_token
from emotalk_gateway.grpc.calls import STOPPING, Call, never
from emotalk_gateway.grpc.messages import service as methods_of
from emotalk_gateway.grpc.tls import credentials
from emotalk_gateway.grpc.tracing import call_span, ended
from emotalk_gateway.listening import listen
from emotalk_gateway.listening.tls import FILES, DoorTls
from emotalk_gateway.service.auditing import REQUEST_ID, begun, entry
from emotalk_gateway.service.callers import Scope
from emotalk_gateway.service.errors import CannotListen, GatewayStopping
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tracing import Span

MIB = 2**20
MOST_CALLS = 1024
"""At once, those included that are being refused."""
MOST_CALLS_OF_ONE = 128
"""At once on one connection; others wait at the caller's."""
GOODBYE_S = 1.0
"""Seconds in which calls end by themselves once the gateway stops."""

Handler = Callable[..., Awaitable[Any]]
"""Of a method with a stream of requests: ``handler(call)``; of one request: ``handler(request, call)``. It returns the
answer, or writes a stream of them (:meth:`Call.write`) and returns None."""


@dataclass(frozen=True, slots=True)
class Served:
    """A service that a door offers."""

    name: str
    """In full, as in the protos."""
    handlers: Mapping[str, Handler]
    """By method; others are UNIMPLEMENTED."""
    over: Callable[[Any], bool] = never
    """See :class:`~emotalk_gateway.grpc.calls.Call`."""
    reading: frozenset[str] = frozenset()
    """Methods of one request that are handled as those of a stream are: they read it when they have room for it."""
    scope: Scope | None = "animate"
    """That callers must have; None: whoever asks is answered, and not counted."""


class GrpcDoor:
    """A gRPC server.

    Args:
        name: what people call the door.
        host, port: to listen on; port 0: any that is free.
        served: its services.
        option: of the command, that gives the port; for messages.
        max_message_bytes: of one message, either way.
    """

    def __init__(
        self,
        service: Service,
        name: str,
        host: str,
        port: int,
        served: Sequence[Served],
        *,
        option: str = "--port",
        tls: DoorTls | None = None,
        max_message_bytes: int = 8 * MIB,
    ) -> None:
        self.port = port
        """It listens on; once it is open, never 0."""
        self._service = service
        self._name = name
        self._host = host
        self._served = served
        self._option = option
        self._tls = tls
        self._max_message_bytes = max_message_bytes
        self._server: Any = None

    async def open(self) -> str:
        """See :class:`~emotalk_gateway.listening.doors.Door`.

        Raises:
            CannotListen: the address cannot be listened on.
            InvalidSettings: a certificate cannot be used.
        """
        files = None if self._tls is None else self._tls.followed()
        listen(self._host, self.port, self._option).close()  # says why it cannot be, which gRPC does not
        settings = self._service.settings
        server = grpc.aio.server(
            maximum_concurrent_rpcs=MOST_CALLS,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._max_message_bytes),
                ("grpc.max_send_message_length", self._max_message_bytes),
                ("grpc.max_concurrent_streams", MOST_CALLS_OF_ONE),
                ("grpc.max_allowed_incoming_connections", settings.max_connections),
                ("grpc.server_handshake_timeout_ms", round(1000 * settings.header_timeout_s)),
                ("grpc.http2.max_ping_strikes", 0),  # callers that ask often whether the connection lives
            ],
        )
        checks = health.DoorHealth(self._service, tuple(one.name for one in self._served))
        own = Served(health.NAME, {"Check": checks.check, "Watch": checks.watch}, scope=None)
        for one in (own, *self._served):
            server.add_generic_rpc_handlers((self._handlers(one),))
        host = f"[{self._host}]" if ":" in self._host else self._host
        address = f"{host}:{self.port}"
        try:
            if self._tls is None or files is None:
                self.port = server.add_insecure_port(address)
            else:
                asks = self._tls.client_authorities is not None
                self.port = server.add_secure_port(address, credentials(files, ask_callers=asks))
                self._service.metrics.follow(f"{FILES} of {self._name}", lambda: files.stale)
        except RuntimeError as error:
            raise CannotListen(
                f"cannot serve {self._name} on {address}; accepted: an address of this machine, and a free port "
                f"({self._option})"
            ) from error
        self._server = server
        await server.start()
        return f"{self._name} {host}:{self.port}"

    async def close(self) -> None:
        """See :class:`~emotalk_gateway.listening.doors.Door`."""
        if self._server is not None:
            await self._server.stop(GOODBYE_S)

    def _handlers(self, served: Served) -> grpc.GenericRpcHandler:
        kinds = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }
        methods = methods_of(served.name)
        handlers = {}
        for name, handler in served.handlers.items():
            request, _, *streams = methods[name]
            reads = streams[0] or name in served.reading
            answered = self._answered(served, handler, f"/{served.name}/{name}", takes_stream=reads)
            handlers[name] = kinds[reads, streams[1]](answered, request.FromString, _to_bytes)
        return grpc.method_handlers_generic_handler(served.name, handlers)

    def _answered(self, served: Served, handler: Handler, route: str, takes_stream: bool) -> Handler:
        service = self._service

        async def answer(request: Any, context: Any) -> Any:
            call = Call(service, context, served.over)
            if served.scope is None:  # machines ask these all the time
                return await handled(request, context, call, Span())
            named = call.metadata.get(REQUEST_ID)
            with (
                begun("grpc", named if isinstance(named, str) else None, call.address) as noted,
                call_span(route, call.metadata) as going,
            ):
                noted.operation = route
                return await handled(request, context, call, going)

        async def handled(request: Any, context: Any, call: Call, going: Span) -> Any:
            began, code = time.monotonic(), grpc.StatusCode.OK
            try:
                if served.scope is not None:
                    self._check(call, served.scope)
                if takes_stream:
                    return await handler(call)
                entry().bytes_in += request.ByteSize()
                return await handler(request, call)
            except grpc.aio.AbortError:
                code = _code(context)
                raise
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:  # noqa: BLE001  # the caller is told
                problem = service.problem(error)
                code = grpc.StatusCode[problem.codes.grpc]
                if takes_stream:
                    await call.drain()
                await call.abort(code, problem.message)
            finally:
                call.close()
                if served.scope is not None:
                    service.metrics.answered(route, code.name, time.monotonic() - began)
                ended(going, code)
                entry().outcome = code.name

        return answer

    def _check(self, call: Call, scope: Scope) -> None:
        """Raise where ``call`` is not to be served; else find out whose it is."""
        if self._service.stopping.is_set():
            raise GatewayStopping(STOPPING)
        call.caller = self._service.access.caller(shown_token(call.metadata), scope)


def _code(context: Any) -> grpc.StatusCode:
    """Return the code that a handler ended its call with."""
    number = context.code()
    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)


def _to_bytes(answer: Any) -> bytes:
    """Return the bytes of ``answer``; a handler that makes many may make them itself."""
    if isinstance(answer, bytes):
        return answer
    made: bytes = answer.SerializeToString()
    return made

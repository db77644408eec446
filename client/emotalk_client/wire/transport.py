"""The wire: the only module that knows tritonclient.

Rule that this module guards: **a request that was sent is not cancelled on a wire that does not bear it.** Triton up to
25.02 may crash, and take everybody's requests with it, when a gRPC call ends while it computes
(triton-inference-server/server issues 7368 and 8034). There, deadlines and cancellation end our waiting, and the answer
that comes later is dropped; see :mod:`emotalk_client.wire.calls` for the bounds.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import (
    DeadlineExceeded,
    EmoTalkError,
    InvalidAddress,
    ModelMissing,
    ModelUnavailable,
    NotAuthenticated,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    TlsFailed,
    UnexpectedResponse,
    WrongEventLoop,
)
from emotalk_client.wire import requests
from emotalk_client.wire.address import Target, proxy_before
from emotalk_client.wire.address import check_address as check_address
from emotalk_client.wire.calls import Calls
from emotalk_client.wire.forks import use_grpc
from emotalk_client.wire.requests import Arrays
from emotalk_client.wire.security import Tls
from emotalk_client.wire.tracing import call_span
from emotalk_contract import tensors
from emotalk_contract.errors import InvalidRequest, from_message
from emotalk_contract.options import Parameter
from emotalk_contract.timing import timecodes

GRACE_S = 10.0
"""Seconds that :meth:`TritonTransport.close` waits for answers that nobody wants any more."""

RECONNECT_S = 0.4
"""Seconds at most between two attempts to connect. gRPC's own two minutes would keep a server that is back waiting."""
CONNECT_S = 5.0
"""Seconds that one attempt to connect may take; gRPC's own are 20."""
BEARS_CANCELLATION = (2, 56)
"""Triton's own version from which on a call may be cancelled on the wire: 2.56 is release 25.03."""
HTTP_PROBE_S = 1.0
"""Seconds in which a server that speaks HTTP says so."""
LONGEST_REASON = 300
"""Characters of gRPC's own words that a message shows."""

READY_S = 2.0
"""Seconds after which a question for readiness is given up, and asked anew: the server may be another by then."""


class Transport(Protocol):
    """Carries requests to a server that serves the ensemble."""

    async def infer(
        self,
        inputs: Arrays,
        parameters: Mapping[str, Parameter],
        timeout_s: float,
        model: tensors.Model = tensors.ENSEMBLE,
    ) -> dict[str, Any]:
        """Return the outputs of ``model`` by name; raise what ``errors`` lists."""

    def answers(self, inputs: Arrays, timeout_s: float, model: tensors.Model) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the outputs of each response of a decoupled ``model``; raise what ``errors`` lists."""

    async def model_parameters(self, timeout_s: float) -> dict[str, str]:
        """Return the ``parameters`` of the ensemble's own config."""

    async def ready(self, timeout_s: float) -> None:
        """Return where the server and the ensemble say that they are ready; raise what ``errors`` lists."""

    async def close(self) -> None:
        """Let go of the connection."""


class TritonTransport:
    """gRPC to a Triton at ``host:port``. Made inside the event loop that uses it.

    Args:
        url: ``host:port``.
        tls: None: none.
        token: goes with every call as ``authorization: Bearer``.

    Raises:
        ClientForked: gRPC was used before this process was forked.
        InvalidTls: a file of ``tls`` cannot be used.
    """

    def __init__(self, url: str, tls: Tls | None = None, token: str | None = None) -> None:
        use_grpc()
        # Imported when needed: gRPC is most of this package's import time.
        import grpc.aio
        from tritonclient.grpc import service_pb2, service_pb2_grpc

        self._url = url
        self._target = Target.parse(url)
        self._credentials = None if tls is None else tls.credentials()
        self._metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        self._loop = asyncio.get_running_loop()
        self._grpc = grpc.aio
        self._messages = service_pb2
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub
        self._error = grpc.aio.AioRpcError
        self._connect()
        self._closing: set[asyncio.Task[None]] = set()
        self._reading: set[asyncio.Task[None]] = set()
        self._calls = Calls(url, self._live, self._reconnect)
        self._speaks_http: str | None = None
        self._readiness: asyncio.Future[bool] | None = None

    async def infer(
        self,
        inputs: Arrays,
        parameters: Mapping[str, Parameter],
        timeout_s: float,
        model: tensors.Model = tensors.ENSEMBLE,
    ) -> dict[str, Any]:
        """See :class:`Transport`."""
        asked = requests.request(self._messages, model, inputs, parameters)
        size = sum(map(len, asked.raw_input_contents))
        with call_span("ModelInfer", model.name, self._target.host, self._target.port) as context:
            answer = await self._answer(self._triton.ModelInfer, asked, timeout_s, size, model, context)
        return requests.outputs(self._url, model, answer)

    async def answers(
        self, inputs: Arrays, timeout_s: float, model: tensors.Model
    ) -> AsyncGenerator[dict[str, Any], None]:
        """See :class:`Transport`. Whoever leaves early leaves the call to end by itself, as :meth:`infer` does."""
        self._check_loop()
        asked = requests.request(self._messages, model, inputs, {})
        arrived: asyncio.Queue[dict[str, Any] | EmoTalkError | InvalidRequest | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(asked, timeout_s, model, arrived))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        try:
            while (answer := await arrived.get()) is not None:
                if isinstance(answer, Exception):
                    raise answer
                yield answer
        finally:
            if self._calls.cancellable:
                reading.cancel()

    async def _read(
        self,
        asked: Any,
        timeout_s: float,
        model: tensors.Model,
        arrived: asyncio.Queue[dict[str, Any] | EmoTalkError | InvalidRequest | None],
    ) -> None:
        """Put what comes on the stream of ``asked`` into ``arrived``, an error at last, or None at its end."""
        end: EmoTalkError | InvalidRequest | None = ServerUnavailable(f"the call to {self._url} was given up")
        try:
            async for answer in self._triton.ModelStreamInfer(
                iter([asked]), timeout=timeout_s, metadata=self._metadata
            ):
                if answer.error_message:
                    end = translated(self._url, _stream_code(answer.error_message), answer.error_message, model)
                    return
                if answer.infer_response.outputs:
                    arrived.put_nowait(requests.outputs(self._url, model, answer.infer_response))
            end = None
        except self._error as error:
            end = translated(self._url, error.code().name, error.details() or "", model)
        except UnexpectedResponse as error:
            end = error
        finally:
            arrived.put_nowait(end)

    async def model_parameters(self, timeout_s: float) -> dict[str, str]:
        """See :class:`Transport`."""
        until = self._loop.time() + timeout_s
        messages = self._messages
        asked = messages.ModelConfigRequest(name=tensors.ENSEMBLE.name)
        answer = await self._answer(self._triton.ModelConfig, asked, timeout_s)
        asked = messages.ServerMetadataRequest()
        try:
            left = max(0.0, until - self._loop.time())
            server = await self._answer(self._triton.ServerMetadata, asked, left)
        except ServerError:  # it need not tell everybody
            self._calls.cancellable = False
        else:
            self._calls.cancellable = bears_cancellation(server.version)
        return {key: value.string_value for key, value in answer.config.parameters.items()}

    async def ready(self, timeout_s: float) -> None:
        """See :class:`Transport`. However often it is asked, one question is on its way."""
        self._check_loop()
        if self._readiness is None or self._readiness.done():
            self._readiness = asyncio.ensure_future(self._ready())
            self._readiness.add_done_callback(_seen)
        asked = self._readiness
        done, _ = await asyncio.wait({asked}, timeout=timeout_s)
        if not done:
            raise DeadlineExceeded(f"{self._url} did not say within {timeout_s:.3g} s whether it is ready")
        if asked.cancelled():  # its connection was dropped
            raise ServerUnavailable(f"no server answers at {self._url}: its connection was dropped")
        if not asked.result():
            raise ModelUnavailable(f"{self._url} is not ready to serve {tensors.ENSEMBLE.name}")

    async def _ready(self) -> bool:
        triton, messages = self._triton, self._messages
        limits: dict[str, Any] = {"timeout": READY_S, "metadata": self._metadata}
        try:
            server, model = await asyncio.gather(
                triton.ServerReady(messages.ServerReadyRequest(), **limits),
                triton.ModelReady(messages.ModelReadyRequest(name=tensors.ENSEMBLE.name), **limits),
            )
        except self._error as error:
            raise translated(self._url, error.code().name, error.details() or "") from error
        return bool(server.ready and model.ready)

    async def close(self) -> None:
        """See :class:`Transport`."""
        if self._loop.is_closed():  # and all that belonged to it is gone
            return
        self._check_loop()
        await self._calls.close(GRACE_S)
        if self._reading:
            await asyncio.wait(self._reading, timeout=GRACE_S)
        await self._channel.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _connect(self) -> None:
        """Take a connection of its own."""
        any_length = -1
        options: list[tuple[str, int | str]] = [
            ("grpc.max_send_message_length", any_length),
            ("grpc.max_receive_message_length", any_length),
            ("grpc.initial_reconnect_backoff_ms", int(RECONNECT_S * 1000) // 4),
            ("grpc.max_reconnect_backoff_ms", int(RECONNECT_S * 1000)),
            ("grpc.min_reconnect_backoff_ms", int(CONNECT_S * 1000)),  # so is an attempt's time limit called
            # A name may have many servers' addresses (a headless service): each gets its share of the calls.
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
            ("grpc.enable_http_proxy", 0 if self._target.is_loopback else 1),
        ]
        if self._credentials is None:
            self._channel = self._grpc.insecure_channel(self._url, options=options)
        else:
            self._channel = self._grpc.secure_channel(self._url, self._credentials, options=options)
        self._triton: Any = self._stub(self._channel)

    async def _live(self) -> None:
        await self._triton.ServerLive(self._messages.ServerLiveRequest(), metadata=self._metadata)

    def _reconnect(self) -> None:
        old = self._channel
        self._connect()
        closing = asyncio.create_task(old.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _answer(
        self,
        method: Callable[..., Awaitable[Any]],
        asked: Any,
        timeout_s: float,
        size: int = 0,
        model: tensors.Model = tensors.ENSEMBLE,
        context: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """Return the answer of ``method`` to ``asked``, of ``size`` bytes; see :meth:`Calls.answer`."""
        self._check_loop()

        async def call() -> Any:  # gRPC's own begins when it is made, and would not wait for room
            return await method(asked, metadata=[*self._metadata, *context])

        try:
            return await self._calls.answer(call(), timeout_s, size)
        except self._error as error:
            code, message = error.code().name, error.details() or ""
            if code == "UNAVAILABLE":
                await self._check_grpc()
            raise translated(self._url, code, message, model) from error

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise WrongEventLoop(
                "this client is used by another event loop; make one client for each, or one EmoTalkClient, which "
                "threads may share"
            )

    async def _check_grpc(self) -> None:
        """Raise :class:`InvalidAddress` where nobody answers because another protocol is spoken."""
        if self._speaks_http is None:
            through_proxy = proxy_before(self._target) is not None
            self._speaks_http = "" if through_proxy else await asyncio.to_thread(http_server, self._target)
        if self._speaks_http:
            raise InvalidAddress(
                f"{self._url} is {self._speaks_http}; accepted: Triton's gRPC endpoint, whose port is 8001 unless it "
                "was started otherwise"
            )


def _stream_code(message: str) -> str:
    """Return the status that a message on a stream, which has none, stands for."""
    return "UNAVAILABLE" if "unavailable" in message.lower() else "INTERNAL"


def _seen(asked: asyncio.Future[bool]) -> None:
    """Take note of what went wrong: whoever asked may be gone."""
    if not asked.cancelled():
        asked.exception()


def bears_cancellation(version: str) -> bool:
    """True for a Triton of ``version``, such as ``2.56.0``, in which a call may be cancelled on the wire."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= BEARS_CANCELLATION


def http_server(target: Target) -> str:
    """Return what answers to HTTP/1.1 at ``target``, in words; empty where nothing does."""
    request = f"GET /v2 HTTP/1.1\r\nHost: {target.host}\r\nConnection: close\r\n\r\n".encode("ascii", "replace")
    answer = b""
    try:
        with socket.create_connection((target.host, target.port), timeout=HTTP_PROBE_S) as connection:
            connection.sendall(request)
            while len(answer) < 4096 and (part := connection.recv(4096)):  # more than any such answer
                answer += part
    except (OSError, UnicodeError):  # what came before counts
        pass
    if not answer.startswith(b"HTTP/1."):
        return ""
    return "Triton's HTTP port" if b'"name":"triton"' in answer.replace(b" ", b"") else "a server of HTTP, not of gRPC"


_HANDSHAKE = re.compile(r"[Hh]andshake|SSL_ERROR|CERTIFICATE|certificate|verification check|WRONG_VERSION")
"""Words of gRPC about TLS that failed."""
_UNKNOWN_HOST = re.compile(r"DNS resolution failed|errors? resolving|hostname lookup error|Domain name not found")
"""The words of gRPC's resolvers for a name that is not known."""


def translated(
    url: str, code: str, message: str, model: tensors.Model = tensors.ENSEMBLE
) -> EmoTalkError | InvalidRequest:
    """Return our error for gRPC's status ``code``, such as UNAVAILABLE, and a server's ``message`` about ``model``."""
    if invalid := from_message(message):
        return invalid
    if code == "INVALID_ARGUMENT":
        return InvalidRequest(message)
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(f"{url} did not answer in time")
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return NotAuthenticated(f"{url} lets nobody in without the right token: {_reason(url, message)}")
    if _HANDSHAKE.search(message):
        return TlsFailed(
            f"no connection in TLS with {url}: {_reason(url, message)}; accepted: a certificate for that name, by one "
            "whom the other side trusts (tls=Tls(ca=…), and its own certificate= where the server asks for one)"
        )
    if "maximum queue size" in message:
        return ServerBusy(f"{url} is busy: {message}")
    # A dead process of a model answers INTERNAL until the server's supervisor replaces it.
    if code == "NOT_FOUND" or "unknown model" in message:
        kind = ModelUnavailable if model is tensors.ENSEMBLE else ModelMissing
        return kind(f"{url} does not serve {model.name}: {message}")
    if "not ready" in message or "is not healthy" in message:
        return ModelUnavailable(f"{url} does not serve {model.name}: {message}")
    if code == "UNIMPLEMENTED":  # a web server, or gRPC of something else
        return InvalidAddress(f"{url} is not Triton's gRPC endpoint: {_reason(url, message)}")
    if code in ("UNAVAILABLE", "CANCELLED"):
        return ServerUnavailable(f"no server answers at {url}: {_reason(url, message)}")
    return ServerError(f"{url}: {code}: {message}")


def _reason(url: str, message: str) -> str:
    """Return gRPC's ``message`` in a line of words, and the proxy that may be behind it."""
    try:
        text = str(json.loads(message)["grpc_message"])
    except (ValueError, KeyError, TypeError):
        text = message
    text = " ".join(text.split())
    if _UNKNOWN_HOST.search(text):
        text = "its host cannot be found"
    try:
        proxy = proxy_before(Target.parse(url))
    except InvalidAddress:  # of a caller that has names of its own
        proxy = None
    if proxy is not None:
        text += (
            f" (asked through the proxy {proxy.address}, which the variable {proxy.variable} names; a host in no_proxy "
            "is asked directly)"
        )
    return text if len(text) <= 2 * LONGEST_REASON else f"{text[:LONGEST_REASON]}..."


def checked(outputs: Mapping[str, Any], frames: int, first_frame: int = 0) -> NDArray[np.float32]:
    """Return the weights [frames, 52] in ``outputs``, of a window that starts at ``first_frame``.

    Raises:
        UnexpectedResponse: they have another shape, are not finite, or belong to other frames.
    """
    weights = outputs[tensors.BLENDSHAPES.name]
    expected = (1, frames, tensors.BLENDSHAPES.axes[-1])
    if weights.shape != expected:
        raise UnexpectedResponse(f"BLENDSHAPES has shape {list(weights.shape)}; expected {list(expected)}")
    if not np.isfinite(weights).all():
        raise UnexpectedResponse("BLENDSHAPES has NaN or infinity in it")
    seconds = outputs[tensors.TIMECODES.name]
    if not np.array_equal(seconds, timecodes(first_frame, frames)[None]):
        raise UnexpectedResponse(
            f"TIMECODES of the window from frame {first_frame} are {_ends(seconds)}; "
            f"expected {_ends(timecodes(first_frame, frames))}"
        )
    result: NDArray[np.float32] = weights[0]
    return result


def _ends(seconds: NDArray[np.float64]) -> str:
    flat = np.ravel(seconds)
    return f"{flat[0]:g}..{flat[-1]:g} s ({len(flat)} of them)" if len(flat) else "none"

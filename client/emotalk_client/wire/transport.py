"""The wire: the only module that knows tritonclient.

Rule that this module guards: **a request that was sent is never cancelled on the wire.** Triton up to 25.02 may crash,
and take everybody's requests with it, when a gRPC call ends while it computes (triton-inference-server/server issues
7368 and 8034). So deadlines and cancellation end our waiting, and the answer that comes later is dropped.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import (
    DeadlineExceeded,
    InvalidAddress,
    ModelUnavailable,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    UnexpectedResponse,
)
from emotalk_contract import tensors
from emotalk_contract.errors import InvalidRequest, from_message
from emotalk_contract.options import Parameter
from emotalk_contract.timing import timecodes

GRACE_S = 10.0
"""Seconds that :meth:`TritonTransport.close` waits for answers that nobody wants any more."""

RECONNECT_S = 0.4
"""Seconds at most between two attempts to connect. gRPC's own two minutes would keep a server that is back waiting."""

READY_S = 2.0
"""Seconds after which a question for readiness is given up, and asked anew: the server may be another by then."""

Arrays = Mapping[str, NDArray[Any]]

_ADDRESS = re.compile(r"[^\s/:]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}")


class Transport(Protocol):
    """Carries requests to a server that serves the ensemble."""

    async def infer(self, inputs: Arrays, parameters: Mapping[str, Parameter], timeout_s: float) -> dict[str, Any]:
        """The ensemble's outputs by name; raises what ``errors`` lists."""

    async def model_parameters(self, timeout_s: float) -> dict[str, str]:
        """The ``parameters`` of the ensemble's own config."""

    async def ready(self, timeout_s: float) -> None:
        """Return where the server and the ensemble say that they are ready; raises what ``errors`` lists."""

    async def close(self) -> None:
        """Let go of the connection."""


class TritonTransport:
    """gRPC to a Triton at ``host:port``. Made inside the event loop that uses it."""

    def __init__(self, url: str) -> None:
        # Imported when needed: gRPC is most of this package's import time.
        import tritonclient.grpc.aio as triton
        from tritonclient.utils import InferenceServerException

        self._url = url
        self._triton = triton
        self._error = InferenceServerException
        any_length = -1
        self._client = triton.InferenceServerClient(
            url,
            channel_args=[
                ("grpc.max_send_message_length", any_length),
                ("grpc.max_receive_message_length", any_length),
                ("grpc.initial_reconnect_backoff_ms", int(RECONNECT_S * 1000) // 4),
                ("grpc.max_reconnect_backoff_ms", int(RECONNECT_S * 1000)),
            ],
        )
        self._flying: set[asyncio.Future[Any]] = set()
        self._readiness: asyncio.Future[bool] | None = None

    async def infer(self, inputs: Arrays, parameters: Mapping[str, Parameter], timeout_s: float) -> dict[str, Any]:
        """See :class:`Transport`."""
        sent = []
        for name, array in inputs.items():
            tensor = self._triton.InferInput(name, list(array.shape), tensors.ENSEMBLE.tensor(name).datatype)
            tensor.set_data_from_numpy(array)
            sent.append(tensor)
        call = self._client.infer(tensors.ENSEMBLE.name, sent, parameters=dict(parameters) or None)
        result = await self._answer(call, timeout_s)
        outputs = {tensor.name: result.as_numpy(tensor.name) for tensor in tensors.ENSEMBLE.outputs}
        if missing := [name for name, array in outputs.items() if array is None]:
            raise UnexpectedResponse(f"{self._url} sent no {', '.join(missing)}")
        return outputs

    async def model_parameters(self, timeout_s: float) -> dict[str, str]:
        """See :class:`Transport`."""
        answer = await self._answer(self._client.get_model_config(tensors.ENSEMBLE.name), timeout_s)
        return {key: value.string_value for key, value in answer.config.parameters.items()}

    async def ready(self, timeout_s: float) -> None:
        """See :class:`Transport`. However often it is asked, one question is on its way."""
        if self._readiness is None or self._readiness.done():
            self._readiness = asyncio.ensure_future(self._ready())
            self._flying.add(self._readiness)
            self._readiness.add_done_callback(self._landed)
        done, _ = await asyncio.wait({self._readiness}, timeout=timeout_s)
        if not done:
            raise DeadlineExceeded(f"{self._url} did not say within {timeout_s:.3g} s whether it is ready")
        if not self._readiness.result():
            raise ModelUnavailable(f"{self._url} is not ready to serve {tensors.ENSEMBLE.name}")

    async def _ready(self) -> bool:
        try:
            return all(
                await asyncio.gather(
                    self._client.is_server_ready(client_timeout=READY_S),
                    self._client.is_model_ready(tensors.ENSEMBLE.name, client_timeout=READY_S),
                )
            )
        except self._error as error:
            raise self._translated(error) from error

    async def close(self) -> None:
        """See :class:`Transport`."""
        if self._flying:
            await asyncio.wait(self._flying, timeout=GRACE_S)
        await self._client.close()

    async def _answer(self, call: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        """What ``call`` returns; it goes on alone if it takes too long, or if the caller is cancelled."""
        flying = asyncio.ensure_future(call)
        self._flying.add(flying)
        flying.add_done_callback(self._landed)
        done, _ = await asyncio.wait({flying}, timeout=timeout_s)
        if not done:
            raise DeadlineExceeded(f"{self._url} did not answer within {timeout_s:.3g} s")
        try:
            return flying.result()
        except self._error as error:
            raise self._translated(error) from error

    def _landed(self, flying: asyncio.Future[Any]) -> None:
        self._flying.discard(flying)
        if not flying.cancelled():
            flying.exception()  # seen, whether or not anybody still waits for it

    def _translated(self, error: Any) -> ServerError | InvalidRequest:
        return translated(self._url, str(error.status() or ""), str(error.message() or ""))


def translated(url: str, status: str, message: str) -> ServerError | InvalidRequest:
    """Our error for gRPC's ``status`` and a server's ``message``."""
    code = status.removeprefix("StatusCode.")
    if invalid := from_message(message):
        return invalid
    if code == "INVALID_ARGUMENT":
        return InvalidRequest(message)
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(f"{url} did not answer in time")
    if "maximum queue size" in message:
        return ServerBusy(f"{url} is busy: {message}")
    # A dead process of a model answers INTERNAL until the server's supervisor replaces it.
    if code == "NOT_FOUND" or "unknown model" in message or "not ready" in message or "is not healthy" in message:
        return ModelUnavailable(f"{url} does not serve {tensors.ENSEMBLE.name}: {message}")
    if code in ("UNAVAILABLE", "CANCELLED"):
        return ServerUnavailable(f"no server answers at {url}: {_brief(message)}")
    return ServerError(f"{url}: {code}: {message}")


def _brief(message: str) -> str:
    try:
        return str(json.loads(message)["grpc_message"])
    except (ValueError, KeyError, TypeError):
        return message


def check_address(url: str) -> str:
    """``url``, if it is one that gRPC can be asked for.

    Raises:
        InvalidAddress: it is no ``host:port``.
    """
    if not (isinstance(url, str) and _ADDRESS.fullmatch(url)):
        raise InvalidAddress(
            f"the URL is {url!r}; accepted: host:port of Triton's gRPC endpoint, such as localhost:8001, without http://"
        )
    return url


def checked(outputs: Mapping[str, Any], frames: int, first_frame: int = 0) -> NDArray[np.float32]:
    """The weights [frames, 52] in ``outputs``, of a window that starts at ``first_frame``.

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

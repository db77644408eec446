"""One endpoint of a running server, gRPC or HTTP: what it serves, and how many requests it has counted."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Literal

from emotalk_client.errors import InvalidAddress, ModelUnavailable, ServerUnavailable, UnexpectedResponse
from emotalk_client.wire.address import Target
from emotalk_client.wire.transport import check_address, translated
from emotalk_contract import tensors

Protocol = Literal["grpc", "http"]
TIMEOUT_S = 10.0
"""Seconds for a question that takes no computing."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Triton's own statistics of the ensemble since it started."""

    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``host:port`` of one protocol.

    Raises:
        InvalidAddress: it is none.
    """

    protocol: Protocol
    address: str

    def __post_init__(self) -> None:
        try:
            check_address(self.address)
        except InvalidAddress:
            raise InvalidAddress(
                f"the URL is {self.address!r}; accepted: host:port of Triton's {self.protocol} endpoint, without http://"
            ) from None

    def parameters(self) -> dict[str, str]:
        """The ``parameters`` of the ensemble's config.

        Raises:
            ServerError: the subclass that says why there is no answer.
        """
        config = self._grpc("get_model_config")["config"] if self.protocol == "grpc" else self._http("config")
        return {key: value.get("string_value", "") for key, value in config.get("parameters", {}).items()}

    def counts(self) -> Counts:
        """Return how many requests of the ensemble have succeeded and failed; whose, Triton does not tell.

        Raises:
            ServerError: the subclass that says why there is no answer.
        """
        answer = self._grpc("get_inference_statistics") if self.protocol == "grpc" else self._http("stats")
        try:
            inference = answer["model_stats"][0]["inference_stats"]
            # Protobuf's JSON leaves out zeros, and has 64-bit numbers as strings.
            return Counts(*(int(inference.get(kind, {}).get("count", 0)) for kind in ("success", "fail")))
        except (KeyError, IndexError) as error:
            raise UnexpectedResponse(f"{self.address} sent statistics without {error}") from error

    def _opener(self) -> urllib.request.OpenerDirector:
        """Return what asks by HTTP: loopback never through a proxy."""
        direct = Target.parse(self.address).is_loopback
        return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if direct else []))

    def _grpc(self, method: str) -> dict[str, Any]:
        from tritonclient.grpc import InferenceServerClient
        from tritonclient.utils import InferenceServerException

        direct = [("grpc.enable_http_proxy", 0)] if Target.parse(self.address).is_loopback else None
        with InferenceServerClient(self.address, channel_args=direct) as client:
            try:
                answer: dict[str, Any] = getattr(client, method)(
                    tensors.ENSEMBLE.name, as_json=True, client_timeout=TIMEOUT_S
                )
            except InferenceServerException as error:
                code = str(error.status() or "").removeprefix("StatusCode.")
                raise translated(self.address, code, str(error.message() or "")) from error
            return answer

    def _http(self, what: str) -> dict[str, Any]:
        url = f"http://{self.address}/v2/models/{tensors.ENSEMBLE.name}/{what}"
        try:
            with self._opener().open(url, timeout=TIMEOUT_S) as answer:
                content: dict[str, Any] = json.loads(answer.read())
                return content
        except urllib.error.HTTPError as error:
            reason = error.read().decode("utf-8", "replace").strip()
            raise ModelUnavailable(f"{url} answered {error.code}: {reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnavailable(f"no server answers at {self.address}: {error}") from error
        except ValueError as error:
            raise UnexpectedResponse(f"{url} sent no JSON") from error

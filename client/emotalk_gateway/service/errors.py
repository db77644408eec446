"""What can go wrong at the gateway, and what a caller is told of it.

::

    EmoTalkError
    └── GatewayError
        ├── NotAuthorised       the bearer token is missing or wrong
        ├── GatewayFull         too many requests at once
        ├── InvalidUpload       no multipart form, or not the parts that are asked for
        ├── UploadTooLarge      more bytes than allowed
        ├── ClipTooLong         more seconds of audio than allowed
        ├── RequestTooSlow      the request took longer than allowed
        ├── GatewayStopping     the gateway is being stopped
        ├── InvalidFrames       frames to convert that are none
        ├── InvalidMessage      a WebSocket message that cannot be understood
        ├── StreamTooLong       more seconds of speech in one session than allowed
        ├── NotRawAudio         a file where a WebSocket wants samples
        ├── StartTooLate        a WebSocket that did not begin in time
        ├── StreamBehind        more speech waits in one session than allowed
        ├── StreamIdle          nothing was said for too long
        ├── OriginNotAllowed    a web page of another origin
        ├── InvalidSettings     a setting that the gateway cannot run with
        └── CannotListen        an address that cannot be listened on
            └── AddressInUse    somebody else listens on the port

Rule that this module guards: **no internals leave.** What a caller got wrong is said in full, for the caller sent it.
What fails behind the gateway is said by its class and in words that are fixed here; the log has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from emotalk_client.errors import (
    AudioError,
    DeadlineExceeded,
    EmoTalkError,
    FormatError,
    MissingExtra,
    ModelUnavailable,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    SessionEnded,
    UnexpectedResponse,
    UnreadableAudio,
    UnwritableFile,
)
from emotalk_contract.errors import InvalidRequest


class GatewayError(EmoTalkError):
    """Base of the gateway's own errors."""


class NotAuthorised(GatewayError):
    """The bearer token is missing or wrong."""


class GatewayFull(GatewayError):
    """Too many requests at once."""


class InvalidUpload(GatewayError):
    """No multipart form, or not the parts that are asked for."""


class UploadTooLarge(GatewayError):
    """More bytes than allowed."""


class ClipTooLong(GatewayError):
    """More seconds of audio than allowed."""


class RequestTooSlow(GatewayError):
    """The request took longer than allowed."""


class GatewayStopping(GatewayError):
    """The gateway is being stopped."""


class InvalidFrames(GatewayError):
    """Frames to convert that are none."""


class InvalidMessage(GatewayError):
    """A WebSocket message that cannot be understood."""


class StreamTooLong(GatewayError):
    """More seconds of speech in one session than allowed."""


class NotRawAudio(GatewayError):
    """A file where a WebSocket wants samples."""


class StartTooLate(GatewayError):
    """A WebSocket that did not begin in time."""


class StreamBehind(GatewayError):
    """More speech waits in one session than allowed."""


class StreamIdle(GatewayError):
    """Nothing was said for too long."""


class OriginNotAllowed(GatewayError):
    """A web page of another origin."""


class InvalidSettings(GatewayError):
    """A setting that the gateway cannot run with."""


class CannotListen(GatewayError):
    """An address that cannot be listened on."""


class AddressInUse(CannotListen):
    """Somebody else listens on the port."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a caller sees it."""

    status: int
    """Of HTTP."""
    error: str
    """The class's name."""
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False
    """Whether it is a mistake in the gateway."""

    def body(self) -> dict[str, str]:
        """What is sent, as JSON."""
        return {"error": self.error, "message": self.message}


STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (NotAuthorised, HTTPStatus.UNAUTHORIZED),
    (OriginNotAllowed, HTTPStatus.FORBIDDEN),
    (GatewayFull, HTTPStatus.SERVICE_UNAVAILABLE),
    (GatewayStopping, HTTPStatus.SERVICE_UNAVAILABLE),
    (UploadTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (ClipTooLong, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (RequestTooSlow, HTTPStatus.REQUEST_TIMEOUT),
    (NotRawAudio, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (StartTooLate, HTTPStatus.REQUEST_TIMEOUT),
    (GatewayError, HTTPStatus.BAD_REQUEST),
    (UnreadableAudio, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (AudioError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (FormatError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (SessionEnded, HTTPStatus.BAD_REQUEST),
)
"""Errors of the caller's, whose messages are made of what the caller sent."""

BEHIND: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (ServerBusy, HTTPStatus.SERVICE_UNAVAILABLE, "the face server is busy; try again later"),
    (ServerUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "the face server cannot be reached; try again later"),
    (ModelUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "the face model is not being served; try again later"),
    (DeadlineExceeded, HTTPStatus.GATEWAY_TIMEOUT, "the face server did not answer in time"),
    (UnexpectedResponse, HTTPStatus.BAD_GATEWAY, "the face server gave an answer that cannot be right"),
    (ServerError, HTTPStatus.BAD_GATEWAY, "the face server failed"),
    (UnwritableFile, HTTPStatus.INSUFFICIENT_STORAGE, "the gateway cannot write files at the moment"),
    (MissingExtra, HTTPStatus.NOT_IMPLEMENTED, "this gateway lacks a library that this needs"),
)
"""Errors of what lies behind the gateway, and all that is said of them."""


def problem_of(error: BaseException, retry_after_s: int) -> Problem:
    """What a caller is told of ``error``; of what is no error of ours, only that there was one."""
    for kind, status, message in BEHIND:
        if isinstance(error, kind):
            return Problem(status, type(error).__name__, message, _headers(status, retry_after_s))
    if type(error) is InvalidRequest:  # Triton's own words, not the contract's
        return Problem(HTTPStatus.BAD_GATEWAY, "InvalidRequest", "the face server refused what the gateway sent")
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return Problem(status, type(error).__name__, str(error), _headers(status, retry_after_s))
    message = "the gateway failed; its log says why"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", message, internal=True)


def http_problem(status: int, detail: Any) -> Problem:
    """What the framework itself refuses: an unknown path, a wrong method, a broken form."""
    names = {HTTPStatus.NOT_FOUND: "NotFound", HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowed"}
    return Problem(status, names.get(HTTPStatus(status), InvalidUpload.__name__), str(detail))


def _headers(status: HTTPStatus, retry_after_s: int) -> dict[str, str]:
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(retry_after_s)}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    return {}

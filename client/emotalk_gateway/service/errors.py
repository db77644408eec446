"""Errors of the gateway, and the words in which a caller is told of them.

::

    EmoTalkError
    └── GatewayError
        ├── NotAuthorised         the bearer token is missing or wrong
        ├── NotPermitted          the token has not the scope that a request needs
        ├── LimitReached          more than the caller's limits allow
        │   ├── TooManyRequests   begun in a minute
        │   ├── TooManyStreams    at once
        │   └── TooMuchSpeech     seconds of it in a minute
        ├── OriginNotAllowed      a web page of another origin
        ├── HostNotAllowed        a name under which this gateway is not known
        ├── GatewayFull           too many requests at once
        ├── GatewayStopping       the gateway is being stopped
        ├── PassesByItself        something that a request needs is not there now, and may be later
        ├── InvalidUpload         not a multipart form, or not the parts that are asked for
        ├── InvalidFrames         frames to convert that are not frames
        ├── InvalidMessage        a message of a stream that cannot be understood
        ├── MalformedRequest      not HTTP
        ├── UrlTooLong            a URL longer than allowed
        ├── HeadersTooLarge       more bytes of headers than allowed
        ├── UnsupportedEncoding   a body that is compressed
        ├── UploadTooLarge        more bytes than allowed
        ├── ClipTooLong           more seconds of audio than allowed
        ├── StreamTooLong         more seconds of speech in one session than allowed
        ├── StreamIdle            nothing was said for too long
        ├── StreamBehind          more speech waits in one session than allowed
        ├── StartTooLate          a WebSocket that did not begin in time
        ├── NotRawAudio           a file where a WebSocket wants samples
        ├── RequestTooSlow        the request, or a part of it, took longer than allowed
        ├── PathNotAllowed        a file or folder outside of those that a door may touch
        ├── TrackNotFound         not an audio file of the folder that was named
        ├── UnknownObject         a player, an instance or a solver that is not here
        ├── AvatarsOff            avatars, of a gateway that has none
        ├── UnknownPicture        a frame of an avatar that is not there, or cannot be drawn
        ├── NoTrack               a face is asked for before a track was set
        ├── InvalidSettings       a setting that the gateway cannot run with
        └── CannotListen          an address that cannot be listened on
            └── AddressInUse      somebody else listens on the port

Rule that this module guards: **no internals leave.** What a caller got wrong is said in full, for the caller sent it
(shortened where it is long). What fails behind the gateway is said by its class and in words that are fixed here; the
log has the rest. No other module says what an error is in HTTP, gRPC, WebSocket and Kafka: :data:`TABLE` does, and
below it stand the few that have no class of ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from emotalk_avatar.errors import (
    AvatarError,
    AvatarExists,
    AvatarQuotaExceeded,
    AvatarStoreFull,
    DamagedAvatar,
    InvalidAvatarName,
    InvalidPackage,
    NotDrawable,
    PictureRefused,
    UnknownAvatar,
)
from emotalk_avatar.video.errors import DrawingFailed, InvalidVideo, NoDisplay, UnwritableVideo
from emotalk_client.errors import (
    AudioError,
    DeadlineExceeded,
    EmoTalkError,
    FormatError,
    InvalidAddress,
    InvalidTls,
    MissingExtra,
    ModelMissing,
    ModelUnavailable,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    SessionEnded,
    UnexpectedResponse,
    UnreadableAudio,
    UnwritableFile,
)
from emotalk_contract.errors import InvalidRequest, TextTooLong, VoiceNotInstalled

LONGEST_MESSAGE = 600
"""Characters of a message; a longer one is cut in its middle, where the value stands."""


class GatewayError(EmoTalkError):
    """Base of the gateway's own errors."""


class NotAuthorised(GatewayError):
    """The bearer token is missing or wrong."""


class NotPermitted(GatewayError):
    """The token has not the scope that a request needs."""


class LimitReached(GatewayError):
    """More than the caller's limits allow.

    Args:
        retry_after_s: seconds after which it may be asked for again; None: nobody knows.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyRequests(LimitReached):
    """Begun in a minute."""


class TooManyStreams(LimitReached):
    """At once."""


class TooMuchSpeech(LimitReached):
    """Seconds of it in a minute."""


class OriginNotAllowed(GatewayError):
    """A web page of another origin."""


class HostNotAllowed(GatewayError):
    """A name under which this gateway is not known."""


class GatewayFull(GatewayError):
    """Too many requests at once."""


class GatewayStopping(GatewayError):
    """The gateway is being stopped."""


class PassesByItself(GatewayError):
    """Something that a request needs is not there now, and may be later."""


class InvalidUpload(GatewayError):
    """Not a multipart form, or not the parts that are asked for."""


class InvalidFrames(GatewayError):
    """Frames to convert that are not frames."""


class InvalidMessage(GatewayError):
    """A message of a stream that cannot be understood."""


class MalformedRequest(GatewayError):
    """Not HTTP."""


class UrlTooLong(GatewayError):
    """A URL longer than allowed."""


class HeadersTooLarge(GatewayError):
    """More bytes of headers than allowed."""


class UnsupportedEncoding(GatewayError):
    """A body that is compressed."""


class UploadTooLarge(GatewayError):
    """More bytes than allowed."""


class ClipTooLong(GatewayError):
    """More seconds of audio than allowed."""


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


class RequestTooSlow(GatewayError):
    """The request, or a part of it, took longer than allowed."""


class PathNotAllowed(GatewayError):
    """A file or folder outside of those that a door may touch."""


class TrackNotFound(GatewayError):
    """Not an audio file of the folder that was named."""


class UnknownObject(GatewayError):
    """A player, an instance or a solver that is not here."""


class AvatarsOff(GatewayError):
    """Avatars, of a gateway that has none."""


class UnknownPicture(GatewayError):
    """A frame of an avatar that is not there, or that cannot be drawn."""


class NoTrack(GatewayError):
    """A face is asked for before a track was set."""


class InvalidSettings(GatewayError):
    """A setting that the gateway cannot run with."""


class CannotListen(GatewayError):
    """An address that cannot be listened on."""


class AddressInUse(CannotListen):
    """Somebody else listens on the port."""


DEAD_LETTER, TRY_AGAIN_LATER, FEW_TRIES = "dead letter", "try again", "a few tries"
"""Of a queue's record: it will never do; it is tried until it passes; it should not be, and is given up soon."""
POLICY, INTERNAL, TRY_AGAIN = 1008, 1011, 1013
"""WebSocket close codes (RFC 6455, and IANA's registry for the last)."""


@dataclass(frozen=True, slots=True)
class Codes:
    """One error in every protocol."""

    http: int
    """Status."""
    grpc: str
    """Name of the status code."""
    websocket: int
    """Close code."""
    kafka: str
    """Fate of the record: :data:`DEAD_LETTER`, :data:`TRY_AGAIN_LATER` or :data:`FEW_TRIES`."""


def _callers(status: HTTPStatus, grpc: str = "INVALID_ARGUMENT") -> Codes:
    return Codes(status, grpc, POLICY, DEAD_LETTER)


def _ours(status: HTTPStatus, grpc: str) -> Codes:
    close_code = TRY_AGAIN if status == HTTPStatus.SERVICE_UNAVAILABLE else INTERNAL
    passes = status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
    return Codes(status, grpc, close_code, TRY_AGAIN_LATER if passes else FEW_TRIES)


@dataclass(frozen=True, slots=True)
class Row:
    """One class of errors, as a caller is told of it."""

    kind: type[Exception]
    codes: Codes
    words: str | None = None
    """None: the error's own, which are made of what the caller sent."""


TABLE: tuple[Row, ...] = (
    Row(NotAuthorised, _callers(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED")),
    Row(NotPermitted, _callers(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED")),
    Row(LimitReached, Codes(HTTPStatus.TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", TRY_AGAIN, TRY_AGAIN_LATER)),
    Row(OriginNotAllowed, _callers(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED")),
    Row(HostNotAllowed, _callers(HTTPStatus.MISDIRECTED_REQUEST, "PERMISSION_DENIED")),
    Row(GatewayFull, _ours(HTTPStatus.SERVICE_UNAVAILABLE, "RESOURCE_EXHAUSTED")),
    Row(GatewayStopping, _ours(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE")),
    Row(PassesByItself, _ours(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE")),
    Row(UrlTooLong, _callers(HTTPStatus.REQUEST_URI_TOO_LONG)),
    Row(HeadersTooLarge, _callers(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)),
    Row(UnsupportedEncoding, _callers(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)),
    Row(UploadTooLarge, _callers(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)),
    Row(ClipTooLong, _callers(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)),
    Row(RequestTooSlow, _callers(HTTPStatus.REQUEST_TIMEOUT, "DEADLINE_EXCEEDED")),
    Row(NotRawAudio, _callers(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)),
    Row(StartTooLate, _callers(HTTPStatus.REQUEST_TIMEOUT, "DEADLINE_EXCEEDED")),
    Row(StreamIdle, _callers(HTTPStatus.BAD_REQUEST, "DEADLINE_EXCEEDED")),
    Row(StreamTooLong, _callers(HTTPStatus.BAD_REQUEST, "RESOURCE_EXHAUSTED")),
    Row(StreamBehind, _callers(HTTPStatus.BAD_REQUEST, "RESOURCE_EXHAUSTED")),
    Row(PathNotAllowed, _callers(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED")),
    Row(TrackNotFound, _callers(HTTPStatus.NOT_FOUND, "NOT_FOUND")),
    Row(UnknownObject, _callers(HTTPStatus.NOT_FOUND, "NOT_FOUND")),
    Row(AvatarsOff, _callers(HTTPStatus.NOT_FOUND, "UNIMPLEMENTED")),
    Row(UnknownPicture, _callers(HTTPStatus.NOT_FOUND, "NOT_FOUND")),
    Row(NoTrack, _callers(HTTPStatus.CONFLICT, "FAILED_PRECONDITION")),
    Row(GatewayError, _callers(HTTPStatus.BAD_REQUEST)),
    Row(SessionEnded, _callers(HTTPStatus.BAD_REQUEST, "FAILED_PRECONDITION")),
    Row(UnreadableAudio, _callers(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)),
    Row(AudioError, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(VoiceNotInstalled, _ours(HTTPStatus.NOT_IMPLEMENTED, "UNIMPLEMENTED")),
    Row(TextTooLong, _callers(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)),
    Row(InvalidRequest, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(PictureRefused, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(InvalidAvatarName, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(InvalidPackage, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(NotDrawable, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(UnknownAvatar, _callers(HTTPStatus.NOT_FOUND, "NOT_FOUND")),
    Row(AvatarExists, _callers(HTTPStatus.CONFLICT, "ALREADY_EXISTS")),
    Row(AvatarQuotaExceeded, _callers(HTTPStatus.CONFLICT, "RESOURCE_EXHAUSTED")),
    Row(
        AvatarStoreFull,
        _ours(HTTPStatus.INSUFFICIENT_STORAGE, "RESOURCE_EXHAUSTED"),
        "this gateway has as many avatars as it takes",
    ),
    Row(
        DamagedAvatar,
        _ours(HTTPStatus.INTERNAL_SERVER_ERROR, "DATA_LOSS"),
        "the avatar is damaged; delete it, and register it again",
    ),
    Row(InvalidVideo, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(NoDisplay, _ours(HTTPStatus.NOT_IMPLEMENTED, "UNIMPLEMENTED"), "this gateway cannot draw; its log says why"),
    Row(
        UnwritableVideo,
        _ours(HTTPStatus.INSUFFICIENT_STORAGE, "RESOURCE_EXHAUSTED"),
        "the gateway cannot write the video",
    ),
    Row(
        DrawingFailed,
        _ours(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        "the process that draws failed; try again later",
    ),
    Row(AvatarError, _ours(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL"), "the avatar cannot be used"),
    Row(UnwritableFile, _ours(HTTPStatus.INSUFFICIENT_STORAGE, "RESOURCE_EXHAUSTED"), "the gateway cannot write files"),
    Row(FormatError, _callers(HTTPStatus.UNPROCESSABLE_ENTITY)),
    Row(
        ServerBusy,
        _ours(HTTPStatus.SERVICE_UNAVAILABLE, "RESOURCE_EXHAUSTED"),
        "the face server is busy; try again later",
    ),
    Row(
        ServerUnavailable,
        _ours(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        "the face server cannot be reached; try again later",
    ),
    Row(
        ModelMissing,
        _ours(HTTPStatus.NOT_IMPLEMENTED, "UNIMPLEMENTED"),
        "the face server lacks a model that this needs; it has all of them when it is started with "
        "--models core,live,speech,avatar, and with --renderers DIR",
    ),
    Row(
        ModelUnavailable,
        _ours(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        "the face model is not being served; try again later",
    ),
    Row(
        DeadlineExceeded,
        _ours(HTTPStatus.GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
        "the face server did not answer in time",
    ),
    Row(
        UnexpectedResponse,
        _ours(HTTPStatus.BAD_GATEWAY, "INTERNAL"),
        "the face server gave an answer that cannot be right",
    ),
    Row(ServerError, _ours(HTTPStatus.BAD_GATEWAY, "INTERNAL"), "the face server failed"),
    Row(InvalidAddress, _ours(HTTPStatus.BAD_GATEWAY, "INTERNAL"), "the face server does not speak Triton's gRPC"),
    Row(InvalidTls, _ours(HTTPStatus.BAD_GATEWAY, "INTERNAL"), "the gateway has no certificate for the face server"),
    Row(
        MissingExtra,
        _ours(HTTPStatus.NOT_IMPLEMENTED, "UNIMPLEMENTED"),
        "this gateway lacks a library that this needs",
    ),
)
"""The first row whose class an error belongs to says it."""

TRITONS_REFUSAL = Row(
    InvalidRequest, _ours(HTTPStatus.BAD_GATEWAY, "INTERNAL"), "the face server refused what the gateway sent"
)
"""An :class:`InvalidRequest` in Triton's own words, not the contract's."""
MISTAKE = Codes(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", INTERNAL, FEW_TRIES)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a caller sees it."""

    codes: Codes
    error: str
    """The class's name."""
    message: str
    internal: bool = False
    """True: a mistake in the gateway."""
    retry_after_s: int | None = None
    """Seconds after which to come again, where the error knows."""

    @property
    def status(self) -> int:
        """Of HTTP."""
        return self.codes.http

    @property
    def close_code(self) -> int:
        """Of WebSocket."""
        return self.codes.websocket

    def body(self) -> dict[str, str]:
        """Return what is sent, as JSON."""
        return {"error": self.error, "message": self.message}

    def http_body(self) -> dict[str, str]:
        """Return what an HTTP answer has: the message under the name that callers of other servers know, too."""
        return {**self.body(), "detail": self.message}


def problem_of(error: BaseException) -> Problem:
    """Return what a caller is told of ``error``; of what is not an error of ours, only that there was one."""
    row = _row(error)
    if row is None:
        return Problem(MISTAKE, "InternalError", "the gateway failed; its log says why", internal=True)
    message = _shortened(str(error)) if row.words is None else row.words
    wait_s = error.retry_after_s if isinstance(error, LimitReached) else None
    retry_after_s = None if wait_s is None else math.ceil(wait_s)
    return Problem(row.codes, type(error).__name__, message, retry_after_s=retry_after_s)


def _row(error: BaseException) -> Row | None:
    if type(error) is InvalidRequest:
        return TRITONS_REFUSAL
    return next((row for row in TABLE if isinstance(error, row.kind)), None)


def _shortened(message: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        return message
    half = LONGEST_MESSAGE // 2
    return f"{message[:half]} … {message[-half:]}"


def framework_problem(status: int, detail: Any) -> Problem:
    """Return the problem of what a web framework itself refuses: an unknown path, a wrong method, a broken form."""
    names = {HTTPStatus.NOT_FOUND: "NotFound", HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowed"}
    codes = {HTTPStatus.NOT_FOUND: "NOT_FOUND", HTTPStatus.METHOD_NOT_ALLOWED: "UNIMPLEMENTED"}
    found = HTTPStatus(status)
    return Problem(
        _callers(found, codes.get(found, "INVALID_ARGUMENT")), names.get(found, InvalidUpload.__name__), str(detail)
    )

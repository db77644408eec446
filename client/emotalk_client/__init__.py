"""EmoTalk's thin client: speech in, 52 ARKit blendshapes at 30 fps out, through any Triton that serves the ensemble.

::

    with EmoTalkClient("localhost:8001") as client:
        client.animate("speech.wav").save("face.csv")
"""

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.client import EmoTalkClient
from emotalk_client.errors import (
    AudioError,
    ClientClosed,
    ClientForked,
    DeadlineExceeded,
    EmoTalkError,
    FormatError,
    InvalidAddress,
    InvalidAudio,
    InvalidMap,
    InvalidRate,
    InvalidRequest,
    InvalidTls,
    MissingDecoder,
    MissingExtra,
    ModelMissing,
    ModelUnavailable,
    NoSoundDevice,
    NotAuthenticated,
    OutputFailed,
    ServerBusy,
    ServerError,
    ServerNotStarted,
    ServerUnavailable,
    SessionEnded,
    TlsFailed,
    TruncatedAudio,
    UnexpectedResponse,
    UnknownFormat,
    UnreadableAnimation,
    UnreadableAudio,
    UnreadableHead,
    UnwritableFile,
    WrongEventLoop,
)
from emotalk_client.faces.animation import Animation, Frame
from emotalk_client.live import AsyncLiveSession, Cancelled, LiveOptions, LiveSession, LiveStatus
from emotalk_client.saying import Speech, SpeechPart
from emotalk_client.settings import AnimateOptions
from emotalk_client.wire.health import Health
from emotalk_client.wire.security import Tls
from emotalk_contract.utterance import Timed, Utterance

__all__ = [
    "AnimateOptions",
    "Animation",
    "AsyncEmoTalkClient",
    "AsyncLiveSession",
    "AudioError",
    "Cancelled",
    "ClientClosed",
    "ClientForked",
    "DeadlineExceeded",
    "EmoTalkClient",
    "EmoTalkError",
    "FormatError",
    "Frame",
    "Health",
    "InvalidAddress",
    "InvalidAudio",
    "InvalidMap",
    "InvalidRate",
    "InvalidRequest",
    "InvalidTls",
    "LiveOptions",
    "LiveSession",
    "LiveStatus",
    "MissingDecoder",
    "MissingExtra",
    "ModelMissing",
    "ModelUnavailable",
    "NoSoundDevice",
    "NotAuthenticated",
    "OutputFailed",
    "ServerBusy",
    "ServerError",
    "ServerNotStarted",
    "ServerUnavailable",
    "SessionEnded",
    "Speech",
    "SpeechPart",
    "Timed",
    "Tls",
    "TlsFailed",
    "TruncatedAudio",
    "UnexpectedResponse",
    "UnknownFormat",
    "UnreadableAnimation",
    "UnreadableAudio",
    "UnreadableHead",
    "UnwritableFile",
    "Utterance",
    "WrongEventLoop",
]

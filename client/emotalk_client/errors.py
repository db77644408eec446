"""The errors between a caller and a face.

::

    InvalidRequest (ValueError)      a request that no server could serve; its subclasses are the contract's
    EmoTalkError (Exception)
    ├── AudioError
    │   ├── UnreadableAudio          not an audio file, or not of a known format
    │   │   ├── TruncatedAudio       a file that ends before its header says
    │   │   └── MissingDecoder       a file that takes a decoder which is not installed (a MissingExtra, too)
    │   └── InvalidAudio             an array or a rate that is not audio
    ├── ServerError                  the server failed
    │   ├── ServerNotStarted         an embedded one was to be started, and did not
    │   ├── ServerUnavailable        nobody answers there             (retried)
    │   ├── ServerBusy               its queue is full                (retried)
    │   ├── ModelUnavailable         it does not serve the ensemble   (retried)
    │   │   └── ModelMissing         it does not have a model beside  (retried, or done without)
    │   ├── DeadlineExceeded         no answer in time
    │   ├── TlsFailed                no connection in TLS: one side does not trust the other
    │   ├── NotAuthenticated         the server wants a token, or another one
    │   └── UnexpectedResponse       an answer that cannot be right
    ├── FormatError
    │   ├── UnknownFormat            a file suffix that is not one of ours
    │   ├── UnreadableAnimation      a file that is not an animation
    │   ├── UnwritableFile           a file that cannot be written
    │   ├── UnreadableHead           a file that is not a head whose face can be moved
    │   ├── InvalidMap               a vocabulary of a rig that is not one
    │   └── InvalidRate              a frame rate that no file can have
    ├── NoSoundDevice                no microphone to listen to, or one that stopped
    ├── InvalidAddress               a URL that is not host:port of a gRPC endpoint
    ├── InvalidTls                   certificates or keys that cannot be used
    ├── OutputFailed                 a live output cannot send
    ├── MissingExtra                 an optional part of this package is not installed
    ├── SessionEnded                 a live session used after its end
    ├── WrongEventLoop               an asyncio client used by two event loops
    └── ClientClosed                 used after close()
        └── ClientForked             used in a fork of the process that made it

Other packages add errors of their own: :mod:`emotalk_gateway.service.errors` and :mod:`emotalk_server.errors`.
"""

from __future__ import annotations

from emotalk_contract.errors import InvalidRequest as InvalidRequest


class EmoTalkError(Exception):
    """The base of what this package raises, but for :class:`InvalidRequest`."""


class AudioError(EmoTalkError):
    """Audio that cannot be used."""


class UnreadableAudio(AudioError):
    """A file that is not audio, or not of a known format."""


class TruncatedAudio(UnreadableAudio):
    """A file that ends before its header says."""


class InvalidAudio(AudioError):
    """An array or a sample rate that is not audio."""


class ServerError(EmoTalkError):
    """The server failed."""


class ServerNotStarted(ServerError):
    """An embedded server was to be started, and did not."""


class ServerUnavailable(ServerError):
    """Nobody answers there."""


class ServerBusy(ServerError):
    """The server's queue is full; it said so at once."""


class ModelUnavailable(ServerError):
    """The server does not serve the ensemble, or a process of it died."""


class ModelMissing(ModelUnavailable):
    """The server does not have a model beside the ensemble, or not yet."""


class DeadlineExceeded(ServerError):
    """There was no answer in time."""


class TlsFailed(ServerError):
    """No connection in TLS: one side does not trust the other, or does not speak it."""


class NotAuthenticated(ServerError):
    """The server wants a token, or another one."""


class UnexpectedResponse(ServerError):
    """An answer that cannot be right: of another shape, or with NaN in it."""


class FormatError(EmoTalkError):
    """Something is wrong with an animation file, or with what was asked of one."""


class UnknownFormat(FormatError):
    """A file suffix that is not one of ours."""


class UnreadableAnimation(FormatError):
    """A file that is not an animation, or of another layout."""


class UnwritableFile(FormatError):
    """A file that cannot be written: no such folder, no permission, no space."""


class UnreadableHead(FormatError):
    """A file that is not a head whose face can be moved."""


class InvalidMap(FormatError):
    """A vocabulary of a rig that is not one."""


class InvalidRate(FormatError):
    """A frame rate that no file can have."""


class NoSoundDevice(EmoTalkError):
    """A microphone that is not there, or that stopped."""


class InvalidAddress(EmoTalkError):
    """A URL that is not ``host:port`` of a gRPC endpoint."""


class InvalidTls(EmoTalkError):
    """Certificates or keys that cannot be used."""


class OutputFailed(EmoTalkError):
    """A live output cannot send from this machine."""


class MissingExtra(EmoTalkError):
    """An optional part of this package is not installed."""


class MissingDecoder(UnreadableAudio, MissingExtra):
    """An audio file takes a decoder that is not installed."""


class SessionEnded(EmoTalkError):
    """A live session used after it was closed, or speech that was cancelled while it waited."""


class ClientClosed(EmoTalkError):
    """The client was closed before."""


class ClientForked(ClientClosed):
    """The client, or gRPC under it, was used before this process was forked.

    gRPC's threads do not survive a fork. Start processes with multiprocessing's "spawn" or "forkserver"; or fork before
    the first client is used, and make the child's client in the child.
    """


class WrongEventLoop(EmoTalkError):
    """An asyncio client was used by a second event loop."""

"""What this package promises: its names, its weight, its import time."""

import re
import subprocess
import sys

import pytest

import emotalk_client
from emotalk_client import errors

pytestmark = pytest.mark.unit

IMPORT_S = 0.6


def test_the_public_names_are_these_and_no_others():
    assert emotalk_client.__all__ == [
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


def test_every_error_is_public_and_in_the_tree():
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert classes <= set(emotalk_client.__all__)
    for name in classes:
        assert re.search(rf"\b{name}\b", errors.__doc__), name
        assert emotalk_client.__dict__[name].__doc__


def test_importing_is_quick():
    """Of five tries the best: what the import costs, not what else the machine does."""
    code = "import time; began = time.process_time(); import emotalk_client; print(time.process_time() - began)"
    tries = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    assert min(tries) < IMPORT_S

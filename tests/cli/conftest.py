"""Commands on a fake server."""

from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from fake import FakeTransport
from typer.testing import CliRunner

from emotalk_cli.app import app
from emotalk_client import EmoTalkClient


@pytest.fixture
def served(monkeypatch):
    """The fake that commands talk to; ``served.sent`` holds every request."""
    transport = FakeTransport()

    @contextmanager
    def connect(url):
        with EmoTalkClient(url or "fake:1", transport=transport) as client:
            yield client

    for command in ("animate", "live", "plot"):
        monkeypatch.setattr(f"emotalk_cli.{command}.connect", connect)
    return transport


@pytest.fixture
def speech(tmp_path):
    """A second of noise."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    return path


@pytest.fixture
def run():
    """``run("animate", …)`` is the result of a command; ``stdin`` its input."""

    def invoke(*arguments, stdin=None):
        return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)

    return invoke

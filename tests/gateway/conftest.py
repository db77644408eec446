"""A real gateway in a thread, over a real Triton that serves the bundled model."""

import io

import numpy as np
import pytest
import soundfile
from asking import RATE, VOICE
from gateways import in_thread
from recording_transport import RecordingTransport

from emotalk_client import AsyncEmoTalkClient, EmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_gateway.service.settings import GatewaySettings


@pytest.fixture(scope="session")
def triton(bundled_server):
    return bundled_server


@pytest.fixture(scope="session")
def gateway_to(triton):
    """``with gateway_to(max_audio_s=5) as gateway``: one with these settings, and the doors of ``doors(service)``."""

    def running(url=triton.grpc_url, retries=1, doors=lambda service: (), **settings):
        wire = RecordingTransport(url)
        timeout_s = GatewaySettings(**settings).request_timeout_s
        client = AsyncEmoTalkClient(url, timeout_s=timeout_s, retries=retries, transport=wire)
        return in_thread(client, wire, doors, **settings)

    return running


@pytest.fixture(scope="session")
def gateway(gateway_to):
    """One with the default settings, for all tests that do not change it."""
    with gateway_to() as running:
        yield running


@pytest.fixture(scope="module")  # its thread must not be there in tests that look for such threads
def thin(triton):
    with EmoTalkClient(triton.grpc_url) as client:
        yield client


@pytest.fixture(scope="session")
def voice():
    """The sample voice, [samples]."""
    return load(VOICE)


@pytest.fixture(scope="session")
def wav():
    """``wav(samples)``: the bytes of a file."""

    def made(samples, kind="WAV", rate=RATE):
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=kind)
        return file.getvalue()

    return made


@pytest.fixture(scope="session")
def long_clip(wav, voice):
    """Two minutes: many windows of a few seconds."""
    return wav(np.resize(voice, 120 * RATE))


@pytest.fixture(scope="session")
def endless_clip(wav, voice):
    """A quarter of an hour: with small windows, more work than any test waits for."""
    return wav(np.resize(voice, 900 * RATE))

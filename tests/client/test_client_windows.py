"""Windows of the client against the whole clip, by the bundled model, whose context is bounded: nothing may differ."""

import numpy as np
import pytest

from emotalk_client import EmoTalkClient
from emotalk_contract.recipe import Manifest
from emotalk_contract.repository import bundled
from emotalk_contract.timing import frame_count
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

RATE = 16_000


@pytest.fixture(scope="module")
def client():
    with EmbeddedServer() as server, EmoTalkClient(server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def long_speech(speech):
    """35 s and a bit: more than one window, and an end off the grid."""
    return np.concatenate([speech, 0.5 * speech[: 9 * RATE + 77]])


@pytest.fixture(scope="module")
def whole(client, long_speech):
    return client.animate(long_speech, sample_rate=RATE, window=60.0).weights


@pytest.mark.parametrize("window", [5.0, 7.3, 25.0])
def test_windows_are_the_whole_smoothed_and_with_its_blinks(client, long_speech, whole, window):
    face = client.animate(long_speech, sample_rate=RATE, window=window)
    assert face.weights.shape == whole.shape == (frame_count(len(long_speech)), 52)
    np.testing.assert_allclose(face.weights, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("window", [7.3, 25.0])
def test_windows_are_the_whole_with_filtered_regions_and_emotions_over_time(client, long_speech, window):
    options = {
        "region": {"upperFaceSmoothing": 0.1, "lowerFaceSmoothing": 0.02, "upperFaceStrength": 1.5},
        "emotion_keys": [{"time": n * 1.7, "emotions": {"joy": n % 2, "fear": n % 3 / 2}} for n in range(20)],
        "emotion_transition": 2.5,
    }
    whole = client.animate(long_speech, sample_rate=RATE, window=60.0, **options)
    face = client.animate(long_speech, sample_rate=RATE, window=window, **options)
    np.testing.assert_allclose(face.weights, whole.weights, rtol=0, atol=1e-4)


def test_without_overlap_they_are_not(client, long_speech, whole):
    """Or the test above could not fail."""
    face = client.animate(long_speech, sample_rate=RATE, window=5.0, overlap=0.0)
    assert np.abs(face.weights - whole).max() > 1e-3


def test_a_server_describes_what_it_serves(client):
    assert client.describe()["model"] == Manifest.load(bundled()).model


def test_batches_of_windows_in_flight_change_nothing(client, long_speech, whole):
    with EmoTalkClient(client.url, concurrency=1) as patient:
        alone = patient.animate(long_speech, sample_rate=RATE, window=5.0)
    np.testing.assert_allclose(alone.weights, whole, rtol=0, atol=1e-4)

"""Kept encoder outputs: the same speech in another style runs the decoder only, and gives what it gives without."""

import numpy as np
import pytest
import tritonclient.grpc

from emotalk_client import EmoTalkClient
from emotalk_contract.configs import CACHED
from emotalk_server import EmbeddedServer
from emotalk_server.cli import parser
from emotalk_server.probing import probe

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def caching():
    with EmbeddedServer(cache_bytes=32 * 2**20) as server:
        yield server


def computed(server) -> list[int]:
    """Return the runs of each of the encoders' steps."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        models = [client.get_inference_statistics(name).model_stats[0] for name in CACHED]
    return [model.execution_count for model in models]


def test_another_style_of_the_same_speech_runs_no_encoder(caching, bundled_server, speech):
    clip = speech[: 16_000 * 4]
    with EmoTalkClient(caching.grpc_url) as client, EmoTalkClient(bundled_server.grpc_url) as plain:
        client.animate(clip, sample_rate=16_000)
        before = computed(caching)
        for level, person in ((0.2, 0), (1.0, 5)):
            found = client.animate(clip, sample_rate=16_000, level=level, person=person, raw=True)
            expected = plain.animate(clip, sample_rate=16_000, level=level, person=person, raw=True)
            assert np.abs(found.weights - expected.weights).max() < 1e-5
        assert computed(caching) == before
        client.animate(clip * 0.5, sample_rate=16_000)
        assert computed(caching) == [count + 1 for count in before]


def test_a_health_check_is_never_answered_by_the_cache(caching):
    with EmoTalkClient(caching.grpc_url) as client:
        for check in (client.health, lambda: probe(f"http://{caching.http_url}", 10)):
            check()
            before = computed(caching)
            check()
            assert computed(caching) == [count + 1 for count in before]


def test_without_a_cache_everything_runs_again(bundled_server, speech):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        client.animate(speech[:16_000], sample_rate=16_000)
        before = computed(bundled_server)
        client.animate(speech[:16_000], sample_rate=16_000)
    assert computed(bundled_server) == [count + 1 for count in before]


@pytest.mark.parametrize("size", ["-1", "much", "1.5", "99999999"])
def test_a_size_that_is_none(size, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args([f"--cache={size}"])
    assert f"{size!r}; accepted: whole numbers in 0..1048576" in capsys.readouterr().err

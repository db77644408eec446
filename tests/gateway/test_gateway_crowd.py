"""Many at once: each gets its own right answer or a clean refusal, and memory returns."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from asking import STREAM, Gateway, face

pytestmark = pytest.mark.server

RATE = 16_000
CROWD = 50
WINDOW_S = 2
"""Most of the clips are cut."""


@pytest.fixture(scope="module")
def clips(voice, wav):
    """All different, in length too."""
    return [wav(np.roll(voice, -n * 3000)[: RATE + 800 * n]) for n in range(CROWD)]


@pytest.fixture(scope="module")
def faces(thin, voice):
    return [
        thin.animate(_as_16_bits(np.roll(voice, -n * 3000)[: RATE + 800 * n]), sample_rate=RATE, window=WINDOW_S)
        for n in range(CROWD)
    ]


def _as_16_bits(samples):
    """As the file has them."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def ask_all(gateway, clips):
    with ThreadPoolExecutor(CROWD) as pool:
        return list(pool.map(lambda clip: gateway.post(STREAM, clip, window=WINDOW_S), clips))


def test_each_of_a_crowd_gets_its_own_face(gateway_to, thin, clips, faces):
    with gateway_to(max_requests=CROWD) as gateway:
        answers = ask_all(gateway, clips)
        gateway.settle()
    assert [answer.status for answer in answers] == [200] * CROWD
    for answer, expected in zip(answers, faces, strict=True):
        weights = face(answer.body)[1]
        assert weights.shape == expected.weights.shape
        np.testing.assert_allclose(weights, expected.weights, rtol=0, atol=1e-4)


def test_whom_it_cannot_serve_it_tells_at_once(gateway_to, clips, faces):
    with gateway_to(max_requests=10, max_computing=2) as gateway:
        answers = ask_all(gateway, clips)
        gateway.settle()
        again = gateway.post(STREAM, clips[0])
    served = [n for n, answer in enumerate(answers) if answer.status == 200]
    turned = [answer for answer in answers if answer.status != 200]
    assert len(served) >= 10
    assert turned
    for answer in turned:
        assert (answer.status, answer.json["error"]) == (503, "GatewayFull")
        assert answer.headers["retry-after"] == "2"
    for n in served:
        weights = face(answers[n].body)[1]
        assert weights.shape == faces[n].weights.shape
        np.testing.assert_allclose(weights, faces[n].weights, rtol=0, atol=1e-4)
    assert again.status == 200


def test_as_many_as_are_allowed_are_computed_at_once(gateway_to, clips):
    with gateway_to(max_computing=1) as gateway:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda clip: gateway.post(STREAM, clip), clips[:8]))  # a window each
        began, ended = sorted(gateway.wire.began), sorted(gateway.wire.ended)
    assert {answer.status for answer in answers} == {200}
    assert len(began) == 8
    assert all(end <= begin for end, begin in zip(ended, began[1:], strict=False))


def test_memory_returns(triton, clips, long_clip):
    """In a process of its own, whose memory is the gateway's alone."""
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", triton.grpc_url, "--port", "0"]
    environment = {**os.environ, "EMOTALK_GATEWAY_MAX_REQUESTS": str(CROWD), "MALLOC_ARENA_MAX": "2"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline().split("http://127.0.0.1:")[1].split(",")[0])
            gateway = Gateway(port, None, None, None)
            sizes = []
            for _ in range(4):
                answers = [*ask_all(gateway, clips), gateway.post(STREAM, long_clip, window=WINDOW_S)]
                assert [(answer.status, answer.body) for answer in answers if answer.status != 200] == []
                gc.collect()
                sizes.append(psutil.Process(process.pid).memory_info().rss / 2**20)
        finally:
            process.terminate()
    assert sizes[3] - sizes[1] < 12, sizes

"""The keys and answers that callers of other servers look for in ours."""

import http.client

import numpy as np
import pytest
from asking import CHUNKS, STREAM
from hypothesis import given
from hypothesis import strategies as st

from emotalk_gateway.http.audio2face import Chunks
from emotalk_gateway.service.request import Face

pytestmark = pytest.mark.server


def test_the_root_says_what_there_is_to_whoever_is_not_a_browser(gateway):
    answer = gateway.get("/", Accept="*/*")
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json["service"], answer.json["status"]) == ("emotalk", "running")
    assert answer.json["message"].endswith("is running.")
    assert answer.json["endpoints"]["process_audio_stream"] == STREAM
    for path in answer.json["endpoints"].values():
        assert gateway.ask("GET", path).status in (200, 405), path
    page = gateway.get("/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["vary"] == "Accept"


def test_health_has_their_keys_beside_ours(gateway):
    said = gateway.get("/health").json
    assert said["status"] == "ok"
    assert (said["grpc_status"], said["streaming_manager"]) == ("healthy", "initialized")
    assert said["service"] == "emotalk"
    assert said["version"][0].isdigit()


def test_a_path_without_its_slash_leads_to_it(gateway):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    try:
        connection.request("POST", CHUNKS.rstrip("/"), b"")
        answer = connection.getresponse()
        assert answer.status == 307
        assert answer.headers["location"].endswith(CHUNKS)
    finally:
        connection.close()


def test_errors_have_a_detail(gateway):
    for answer in (gateway.post(STREAM, b"no audio"), gateway.get("/none"), gateway.ask("POST", STREAM, b"")):
        assert answer.json["detail"] == answer.json["message"]


@given(st.lists(st.integers(1, 200), max_size=8), st.sampled_from([10, 24, 30]))
def test_however_blocks_come_a_chunk_has_two_seconds(sizes, fps):
    chunks, found, start = Chunks(), [], 0
    for size in sizes:
        weights = np.arange(start, start + size, dtype=np.float32)[:, None]
        found += chunks.push(Face(start, weights, fps))
        start += size
    found += chunks.flush()
    assert [number for number, _ in found] == list(range(len(found)))
    assert [face.start for _, face in found] == [2 * fps * number for number in range(len(found))]
    assert [row for _, face in found for row in face.weights[:, 0]] == list(range(start))
    assert all(len(face) == 2 * fps for _, face in found[:-1])

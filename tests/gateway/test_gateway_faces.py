"""Uploads and what comes of them, compared with the thin client's."""

import base64
import json

import numpy as np
import pytest
from asking import CHUNKS, STREAM, VOICE, events, face, form

from emotalk_client import Animation
from emotalk_contract.arkit import APPLE_ORDER, BLENDSHAPES, columns
from emotalk_contract.emotions import EMOTIONS

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def whole(thin):
    return thin.animate(VOICE)


def test_a_stream_has_the_thin_clients_frames(gateway, whole):
    answer = gateway.post(STREAM, VOICE.read_bytes())
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    seconds, weights = face(answer.body)
    np.testing.assert_array_equal(seconds, whole.timecodes)
    np.testing.assert_allclose(weights, whole.weights, rtol=0, atol=1e-6)


def test_options_are_those_of_the_client(gateway, thin):
    options = {"level": 0.4, "person": 3, "seed": 9, "smooth": False, "window": 4.0, "overlap": 1.0}
    answer = gateway.post(
        STREAM, VOICE.read_bytes(), **{**options, "smooth": "false"}, joy="0.8", gains='{"jawOpen": 0.5}'
    )
    expected = thin.animate(VOICE, **options, emotions={"joy": 0.8}, gains={"jawOpen": 0.5})
    np.testing.assert_allclose(face(answer.body)[1], expected.weights, rtol=0, atol=1e-6)  # batches may differ
    assert np.abs(expected.weights - thin.animate(VOICE).weights).max() > 0.1


def test_face_parameters_and_a_key_a_second_of_five_minutes(gateway, thin):
    options = {
        "region": {"upperFaceStrength": 1.5, "lowerFaceSmoothing": 0.03, "eyelidOpenOffset": 0.1},
        "emotion_keys": [
            {"time": second, "emotions": dict.fromkeys(EMOTIONS, (second + 1) % 3 / 6)} for second in range(300)
        ],
    }
    form = {name: json.dumps(value) for name, value in options.items()}
    answer = gateway.post(STREAM, VOICE.read_bytes(), **form, emotion_transition="0.25", emotion_strength="0.9")
    expected = thin.animate(VOICE, **options, emotion_transition=0.25, emotion_strength=0.9)
    np.testing.assert_allclose(face(answer.body)[1], expected.weights, rtol=0, atol=1e-6)  # batches may differ
    assert np.abs(expected.weights - thin.animate(VOICE).weights).max() > 0.1


@pytest.mark.parametrize("fps", [10, 24, 25, 60])
def test_another_rate_is_the_resampled_clip(gateway, thin, fps):
    answer = gateway.post(STREAM, VOICE.read_bytes(), fps=fps, window=3)
    seconds, weights = face(answer.body)
    expected = thin.animate(VOICE, window=3).resampled(fps)
    np.testing.assert_allclose(seconds, expected.timecodes, rtol=0, atol=1e-9)
    np.testing.assert_allclose(weights, expected.weights, rtol=0, atol=2e-5)
    assert events(answer.body)[-1][1]["fps"] == fps


def test_the_first_event_comes_before_the_last_window_is_done(gateway, long_clip):
    before = len(gateway.wire.ended)
    gateway.wire.held = len(gateway.wire.began) + 20
    body, kind = form(long_clip, "file", {"window": 2})
    connection = gateway.connection()
    connection.request("POST", STREAM, body, {"Content-Type": kind})
    answer = connection.getresponse()
    try:
        first = answer.readline()
        done = len(gateway.wire.ended) - before
    finally:
        gateway.wire.held = None
    rest = answer.read()
    connection.close()
    assert len(face(first + rest)[0]) == 3600
    assert done <= 20
    assert len(gateway.wire.ended) - before > 60


def test_chunks_are_audio2face_exports(gateway, thin):
    answer = gateway.post(
        f"{CHUNKS}?fps=30",
        VOICE.read_bytes(),
        part="audio_file",
        emotions=json.dumps({"joy": 0.5, "glee": 3}),
        window=4,
    )
    assert answer.status == 200
    chunks = [json.loads(line) for line in answer.body.splitlines()]
    assert [chunk["chunk_id"] for chunk in chunks] == list(range(len(chunks)))
    frames = [chunk["result"]["numFrames"] for chunk in chunks]
    assert frames[:-1] == [60] * (len(chunks) - 1)  # line n is heard from 2 n seconds on
    assert 0 < frames[-1] <= 60
    for chunk in chunks:
        result = chunk["result"]
        assert result["facsNames"] == list(APPLE_ORDER)
        assert (result["exportFps"], result["numPoses"]) == (30, 52)
        assert result["numFrames"] == len(result["weightMat"])
    weights = np.concatenate([np.array(chunk["result"]["weightMat"], np.float32) for chunk in chunks])
    expected = thin.animate(VOICE, window=4, emotions={"joy": 0.5}).weights[:, columns(APPLE_ORDER)]
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prefix", [b"", b"data:audio/flac;base64,"])
@pytest.mark.parametrize("as_field", [False, True])
def test_audio_may_come_as_base64(gateway, whole, prefix, as_field):
    text = prefix + base64.encodebytes(VOICE.read_bytes()).replace(b"\n", b"\r\n" if as_field else b"\n")
    fields = {"audio_file": text.decode()} if as_field else {}
    answer = gateway.post(f"{CHUNKS}?fps=30", None if as_field else text, part="audio_file", **fields)
    assert answer.status == 200, answer.body
    rows = [row for line in answer.body.splitlines() for row in json.loads(line)["result"]["weightMat"]]
    np.testing.assert_allclose(np.array(rows), whole.weights[:, columns(APPLE_ORDER)], rtol=0, atol=1e-6)


def test_without_a_rate_it_is_what_the_server_holds_and_recovers(gateway_to):
    with gateway_to() as gateway:

        def rates():
            answer = gateway.post(CHUNKS, VOICE.read_bytes(), part="audio_file")
            return {json.loads(line)["result"]["exportFps"] for line in answer.body.splitlines()}

        assert rates() == {30}
        gateway.service.rate.heard(30, 2.0)  # a server that is overrun: 15 frames a second
        slow = rates()
        assert slow < set(range(10, 30))
        for _ in range(8):
            rates()  # which the real server answers in no time
        assert rates() == {30}


def test_one_file_of_every_format(gateway, whole, tmp_path):
    known = gateway.get("/api/v1/capabilities").json
    assert {"csv", "glb", "json", "jsonl", "npy", "usdc"} <= set(known["formats"])
    body = json.dumps({"fps": 30, "blendshapes": whole.weights[:60].tolist()})
    for name in known["formats"]:
        answer = gateway.ask("POST", f"/api/v1/convert?format={name}", body, {"Content-Type": "application/json"})
        assert answer.status == 200, answer.body
        assert answer.headers["content-disposition"] == f'attachment; filename="face.{name}"'
        path = tmp_path / f"face.{name}"
        path.write_bytes(answer.body)
        np.testing.assert_allclose(Animation.load(path).weights, whole.weights[:60], atol=1e-6)


def test_converting_keeps_rate_and_first_timecode(gateway, whole, tmp_path):
    body = json.dumps({"fps": 60, "timecode": 1.5, "blendshapes": whole.weights[:60].tolist()})
    answer = gateway.ask("POST", "/api/v1/convert?format=jsonl", body)
    first, second = (json.loads(line)["timecode"] for line in answer.body.splitlines()[:2])
    assert first == 1.5
    assert second == pytest.approx(1.5 + 1 / 60)


def test_a_page_learns_what_it_needs(gateway):
    known = gateway.get("/api/v1/capabilities").json
    assert known["names"] == list(BLENDSHAPES)
    assert (known["fps"], known["persons"], known["token"]) == (30, 24, False)
    assert len(known["emotions"]) == 10
    assert {"level", "person", "seed", "smooth", "joy", "window"} <= set(known["options"])
    assert known["max_upload_bytes"] == gateway.service.settings.max_upload_bytes


def test_operators_see_how_it_goes(gateway_to, wav, voice):
    with gateway_to() as gateway:
        assert gateway.get("/ready").json["status"] == "ok"
        health = gateway.get("/health")
        assert health.status == 200
        assert health.json["latency_s"] > 0
        assert "bundled" in health.json["model"]
        gateway.post(STREAM, wav(voice[:16_000]))
        gateway.post(STREAM, bytes(100))
        gateway.get("/nowhere/at/all")
        answer = gateway.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        lines = dict(line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#"))
    ours = {name.removeprefix("emotalk_gateway_"): float(value) for name, value in lines.items()}
    assert ours[f'requests_total{{route="{STREAM}",status="200"}}'] == 1
    assert ours[f'requests_total{{route="{STREAM}",status="415"}}'] == 1
    assert ours['requests_total{route="none",status="404"}'] == 1
    assert ours[f'frames_total{{route="{STREAM}"}}'] == 30
    assert ours['rejections_total{error="UnreadableAudio"}'] == 1
    assert ours["uploads"] == ours["uploads_waiting"] == ours["streams"] == 0
    assert ours["held_fps"] == 30
    assert ours["first_frame_seconds_count"] == 1
    assert 'rejections_total{error="CallerLeft"}' not in ours


def test_the_interface_is_described(gateway):
    described = gateway.get("/openapi.json").json
    body = described["paths"][STREAM]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert {"file", "level", "fps", "joy", "window"} <= set(body["schema"]["properties"])
    assert b"swagger" in gateway.get("/docs").body.lower()

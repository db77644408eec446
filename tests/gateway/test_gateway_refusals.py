"""Everything that a caller can get wrong: a clear error, its status, and the next request is served."""

import io
import json
import random
import socket
import threading
import time

import numpy as np
import psutil
import pytest
import soundfile
from asking import CHUNKS, RATE, STREAM, events, face, form
from waiting import HANG_S

from emotalk_gateway.service.errors import TABLE

pytestmark = pytest.mark.server

CONVERT = "/api/v1/convert"
TOKEN = "open sesame"


@pytest.fixture
def second(wav, voice):
    return wav(voice[:RATE])


def said(answer, status, error, *words):
    """The answer is this error, in our form, and says these words."""
    assert (answer.status, answer.json.get("error")) == (status, error), answer.body
    assert set(answer.json) == {"error", "message", "detail"}
    assert answer.json["detail"] == answer.json["message"]
    for word in words:
        assert str(word) in answer.json["message"]
    assert "Traceback" not in answer.json["message"]
    assert "/" + "tmp" not in answer.json["message"]


def serves(gateway, second):
    gateway.settle()
    assert len(face(gateway.post(STREAM, second).body)[0]) == 30


@pytest.mark.parametrize(
    ("fields", "status", "error", "words"),
    [
        ({"level": "2"}, 422, "LevelOutOfRange", ["2.0", "0..1"]),
        ({"level": "nan"}, 422, "LevelOutOfRange", ["nan"]),
        ({"level": "loud"}, 422, "LevelOutOfRange", ["'loud'"]),
        ({"person": "24"}, 422, "PersonOutOfRange", ["24", "0..23"]),
        ({"person": "1.5"}, 422, "PersonOutOfRange", ["1.5"]),
        ({"seed": "-1"}, 422, "InvalidOption", ["-1"]),
        ({"smooth": "maybe"}, 422, "InvalidOption", ["'maybe'", "true or false"]),
        ({"joy": "7"}, 422, "EmotionOutOfRange", ["7"]),
        ({"joy": "much"}, 422, "EmotionOutOfRange", ["'much'"]),
        ({"emotions": "{"}, 422, "InvalidOption", ["JSON"]),
        ({"emotions": '{"glee": 1}'}, 422, "UnknownEmotion", ["'glee'"]),
        ({"gains": '{"nose": 1}'}, 422, "UnknownBlendshape", ["'nose'"]),
        ({"colour": "red"}, 422, "UnknownOption", ["'colour'", "level"]),
        ({"emotion_audio": "/etc/passwd"}, 422, "UnknownOption", ["emotion_audio"]),
        ({"window": "0"}, 422, "InvalidWindow", ["0.0"]),
        ({"window": "wide"}, 422, "InvalidWindow", ["'wide'"]),
        ({"fps": "29.97"}, 422, "InvalidRate", ["29.97"]),
        ({"fps": "0"}, 422, "InvalidRate", ["0"]),
        ({"fps": "soon"}, 422, "InvalidRate", ["'soon'"]),
    ],
)
def test_an_option_that_cannot_be(gateway, second, fields, status, error, words):
    said(gateway.post(STREAM, second, **fields), status, error, *words)
    if error != "UnknownEmotion":  # which that door's callers may name
        said(gateway.post(CHUNKS, second, part="audio_file", **fields), status, error, *words)


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b"", 415, "UnreadableAudio"),
        (random.Random(7).randbytes(200_000), 415, "UnreadableAudio"),
        (b"RIFF" + random.Random(8).randbytes(5_000), 415, "UnreadableAudio"),
        (b"OggS" + random.Random(9).randbytes(5_000), 415, "UnreadableAudio"),
        (b"fLaC" + random.Random(9).randbytes(5_000), 415, "UnreadableAudio"),
        (b"hello, I am a text", 415, "UnreadableAudio"),
        (b"aGVsbG8gd29ybGQ", 400, "InvalidUpload"),  # base64 with its end missing
        (b"aGVsbG8gd29ybGQ=", 415, "UnreadableAudio"),  # base64 of no audio
    ],
)
def test_a_file_that_is_no_audio(gateway, second, content, status, error):
    said(gateway.post(STREAM, content), status, error, "accepted")
    serves(gateway, second)


def test_audio_that_cannot_be_used(gateway, wav, second):
    said(gateway.post(STREAM, wav(np.zeros(100, np.float32))), 422, "AudioTooShort", 720)
    assert gateway.post(STREAM, second[:-9000]).json["error"] == "TruncatedAudio"
    file = io.BytesIO()
    soundfile.write(file, np.full(RATE, np.nan, np.float32), RATE, format="WAV", subtype="FLOAT")
    said(gateway.post(STREAM, file.getvalue()), 422, "AudioNotFinite", "nan")


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"{}", {"Content-Type": "application/json"}, "multipart/form-data"),
        (b"", {}, "multipart/form-data"),
        (b"no form", {"Content-Type": "multipart/form-data"}, "boundary"),
        (b"no form", {"Content-Type": "multipart/form-data; boundary=x"}, ""),
        (
            b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--",
            {"Content-Type": "multipart/form-data; boundary=x"},
            "",
        ),
    ],
)
def test_a_body_that_is_no_form(gateway, body, headers, words):
    said(gateway.ask("POST", STREAM, body, headers), 400, "InvalidUpload", words)


def test_a_form_without_its_file_or_with_too_many_parts(gateway, second):
    said(gateway.post(STREAM, second, part="audio"), 400, "InvalidUpload", "'file'", "audio")
    many = {f"field{n}": "1" for n in range(100)}
    said(gateway.post(STREAM, second, **many), 400, "InvalidUpload")


@pytest.mark.parametrize(
    ("body", "status", "error", "words"),
    [
        (b"{", 400, "InvalidFrames", "JSON"),
        (b"\xff", 400, "InvalidFrames", "JSON"),
        (b"[]", 400, "InvalidFrames", "blendshapes"),
        (b'{"blendshapes": 1}', 400, "InvalidFrames", "list"),
        (b'{"blendshapes": [[1, 2]]}', 400, "InvalidFrames", "row 0 has 2 numbers"),
        (b'{"blendshapes": [[1], [1, 2]]}', 400, "InvalidFrames", "52"),
        (b'{"blendshapes": [["a"]]}', 400, "InvalidFrames", "52"),
        (json.dumps({"blendshapes": [[1e300] * 52]}).encode(), 400, "InvalidFrames", "finite"),
        (b'{"blendshapes": []}', 400, "InvalidFrames", "[0]"),
        (json.dumps({"timecode": "now", "blendshapes": [[0] * 52]}).encode(), 400, "InvalidFrames", "'now'"),
        (json.dumps({"fps": 1000, "blendshapes": [[0] * 52]}).encode(), 422, "InvalidRate", "1000"),
        (json.dumps({"fps": 1, "blendshapes": [[0] * 52] * 901}).encode(), 413, "ClipTooLong", "901"),
    ],
)
def test_frames_that_are_none(gateway, body, status, error, words):
    said(gateway.ask("POST", f"{CONVERT}?format=csv", body), status, error, words)


def test_what_is_not_there(gateway):
    said(gateway.get("/api/v2"), 404, "NotFound")
    said(gateway.get(STREAM), 405, "MethodNotAllowed")
    said(gateway.ask("POST", f"{CONVERT}?format=exe", b"{}"), 422, "UnknownFormat", "'exe'", "csv")
    said(gateway.ask("POST", CONVERT, b"{}"), 422, "UnknownFormat")


def test_too_large_a_body_is_refused_by_what_it_announces(gateway, second):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=HANG_S) as raw:
        raw.sendall(
            f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {2 * 1024**3}\r\n\r\n--x\r\n".encode()
        )
        head = b""
        while b"}" not in head:  # though the rest never comes
            head += raw.recv(4096)
    assert head.startswith(b"HTTP/1.1 413")
    assert b"UploadTooLarge" in head
    assert b"2147483648" in head
    serves(gateway, second)


def test_too_large_a_body_is_refused_where_it_grows_too_large(gateway_to, second):
    """Chunked: nothing announces its length."""
    with gateway_to(max_upload_bytes=100_000) as gateway:
        body, kind = form(bytes(150_000), "file", {})
        pieces = (body[i : i + 10_000] for i in range(0, len(body), 10_000))
        answer = gateway.ask("POST", STREAM, pieces, {"Content-Type": kind})
        said(answer, 413, "UploadTooLarge", 100_000)
        assert answer.headers["connection"] == "close"
        # One that is announced, by a caller that writes all before it reads.
        said(gateway.post(STREAM, bytes(90_000 + 20_000)), 413, "UploadTooLarge", 100_000)
        said(gateway.ask("POST", f"{CONVERT}?format=csv", bytes(110_000)), 413, "UploadTooLarge")
        serves(gateway, second)


def test_too_long_a_clip_is_refused_by_its_header(gateway_to, wav, voice, second):
    with gateway_to(max_audio_s=2) as gateway:
        said(gateway.post(STREAM, wav(voice[: 3 * RATE])), 413, "ClipTooLong", "3.0 s", "2 s")
        assert gateway.wire.began == []
        serves(gateway, second)


@pytest.fixture(scope="module")
def bomb():
    """Three hours of silence in a small ogg: 700 MB at 16 kHz once it is decoded."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="OGG", subtype="VORBIS") as out:
        for _ in range(3 * 3600):
            out.write(np.zeros(8000, np.float32))
    return file.getvalue()


def test_hours_of_silence_in_a_small_ogg(gateway, bomb, second, monkeypatch):
    assert len(bomb) < 3 * 2**20
    before = psutil.Process().memory_info().rss
    with monkeypatch.context() as patched:
        patched.setattr("emotalk_client.windows.clip.blocks", lambda *_, **__: pytest.fail("it was decoded"))
        said(gateway.post(STREAM, bomb), 413, "ClipTooLong", "10800.0 s")
    assert psutil.Process().memory_info().rss - before < 100e6
    serves(gateway, second)


def test_many_channels_need_no_more_memory_than_few(gateway, second):
    file = io.BytesIO()
    soundfile.write(file, np.zeros((3000, 200), np.float32), 8000, format="WAV", subtype="PCM_U8")
    answer = gateway.post(STREAM, file.getvalue())
    assert len(face(answer.body)[0]) == 12


def test_a_full_gateway_says_so_at_once_and_when_to_come_again(gateway_to, second):
    with gateway_to(max_requests=1, retry_after_s=7) as gateway, gateway.service.uploads.admit():
        answer = gateway.post(STREAM, second)
        said(answer, 503, "GatewayFull", "1 uploads", "1 at once")
        assert answer.headers["retry-after"] == "7"
        said(gateway.ask("POST", f"{CONVERT}?format=csv", b"{}"), 503, "GatewayFull")
        said(gateway.get("/ready"), 503, "GatewayFull")
        assert gateway.get("/health").status == 200


def test_a_body_that_never_ends_is_given_up(gateway_to, second):
    with gateway_to(request_timeout_s=4) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=HANG_S) as raw:
            raw.sendall(
                f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                "Content-Length: 100000\r\n\r\n--x\r\n".encode()
            )
            began = time.monotonic()
            raw.setblocking(False)
            head = b""
            while time.monotonic() - began < HANG_S and b"RequestTooSlow" not in head:
                try:
                    raw.send(b"a")
                    head += raw.recv(4096)
                except BlockingIOError:
                    time.sleep(0.1)
        assert head.startswith(b"HTTP/1.1 408"), head
        assert b"RequestTooSlow" in head
        serves(gateway, second)


def test_a_caller_that_does_not_read_is_given_up(gateway_to, wav, voice, second):
    clip = wav(np.resize(voice, 600 * RATE))
    with gateway_to(request_timeout_s=5) as gateway:
        body, kind = form(clip, "file", {"window": 10})
        with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            head += f"Content-Length: {len(body)}\r\n\r\n"
            raw.sendall(head.encode() + body)
            until = time.monotonic() + HANG_S
            while not gateway.service.uploads.admitted and time.monotonic() < until:
                time.sleep(0.01)
            gateway.settle()
            serves(gateway, second)


def test_a_stream_that_takes_too_long_ends_with_an_error_event(gateway_to, long_clip):
    with gateway_to(request_timeout_s=4) as gateway:
        gateway.wire.slow_s = 0.2  # 240 windows take far longer, on any machine
        answer = gateway.post(STREAM, long_clip, window=0.5)
    found = events(answer.body)
    assert answer.status == 200
    assert found[0][0] == "message"
    assert found[-1][0] == "error"
    assert found[-1][1]["error"] == "RequestTooSlow"
    assert "4 s" in found[-1][1]["message"]


@pytest.mark.parametrize("heard", [0, 1])
def test_a_caller_that_leaves_stops_the_work(gateway, endless_clip, second, heard):
    """Before the first frame, or after."""
    gateway.settle()
    before = len(gateway.wire.began)
    body, kind = form(endless_clip, "file", {"window": 0.5})
    connection = gateway.connection()
    connection.request("POST", STREAM, body, {"Content-Type": kind})
    if heard:
        answer = connection.getresponse()
        answer.readline()
        answer.close()
    else:
        until = time.monotonic() + HANG_S
        while len(gateway.wire.began) == before and time.monotonic() < until:
            time.sleep(0.001)
    connection.close()
    gateway.settle()
    sent = len(gateway.wire.began)
    assert sent - before < 1500  # of 3000 and more
    for number in (1, 2, 3):
        serves(gateway, second)
        assert len(gateway.wire.began) == sent + number, "its windows go on beside another's"


def test_a_caller_that_leaves_in_mid_upload_is_forgotten(gateway, second):
    body, kind = form(second, "file", {})
    with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
        head = f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])
        time.sleep(0.1)
    serves(gateway, second)


def test_a_token_is_asked_for_and_never_said(gateway_to, second):
    with gateway_to(token=TOKEN) as gateway:
        for headers in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": "Basic open sesame"},
            {"Authorization": "é"},
        ):
            answer = gateway.post(STREAM, second, headers)
            said(answer, 401, "NotAuthorised")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "sesame" not in answer.body.decode()
        said(gateway.ask("POST", f"{CONVERT}?format=csv", b"{}"), 401, "NotAuthorised")
        assert gateway.post(STREAM, second, {"Authorization": "Bearer open sesame"}).status == 200
        assert gateway.get("/api/v1/capabilities").json["token"] is True
        assert gateway.get("/health").status == gateway.get("/ready").status == 200


def test_pages_of_other_origins_may_ask_only_where_they_are_named(gateway, gateway_to, second):
    asking = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert (
        "access-control-allow-origin" not in gateway.get("/api/v1/capabilities", Origin="https://example.org").headers
    )
    assert "access-control-allow-origin" not in gateway.ask("OPTIONS", STREAM, headers=asking).headers
    with gateway_to(cors_origins=["https://example.org"]) as named:
        asked = named.ask("OPTIONS", STREAM, headers={**asking, "Access-Control-Request-Headers": "authorization"})
        assert asked.status == 200
        assert asked.headers["access-control-allow-origin"] == "https://example.org"
        answer = named.post(STREAM, bytes(10), {"Origin": "https://example.org"})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (415, "https://example.org")
        answer = named.post(STREAM, second, {"Origin": "https://elsewhere.org"})
        assert "access-control-allow-origin" not in answer.headers


def test_a_server_that_is_away_is_said_without_its_address(gateway_to, second):
    with gateway_to("127.0.0.1:1", health_timeout_s=3) as gateway:
        answer = gateway.post(STREAM, second)
        said(answer, 503, "ServerUnavailable", "try again")
        assert "retry-after" in answer.headers
        assert b"127.0.0.1" not in answer.body
        assert gateway.get("/health").status == gateway.get("/ready").status == 503


def test_nothing_that_was_uploaded_lies_on_the_disk_by_name(gateway, long_clip, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = set()
    over = threading.Event()

    def look():
        while not over.is_set():
            seen.update(path.name for path in tmp_path.rglob("*"))

    watcher = threading.Thread(target=look)
    watcher.start()
    assert gateway.post(STREAM, long_clip).status == 200
    over.set()
    watcher.join()
    assert seen == set()


def test_every_error_has_one_status():
    assert len({row.kind for row in TABLE}) == len(TABLE)

"""Tokens at every door of a gateway: who is let in, for what, and how much."""

import json
import re
import threading
from contextlib import suppress

import numpy as np
import pytest
from asking import RATE, STREAM
from doorcallers import CONVERT, Known, a2f, all_doors, configs, omniverse, said_last, shown, socket_code, statuses
from starlette.routing import Route
from waiting import HANG_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from emotalk_gateway.service.callers import SCOPES

pytestmark = pytest.mark.server


@pytest.fixture
def known(tmp_path):
    made = Known(tmp_path)
    for scope in SCOPES:
        made.add(scope, scope)
    made.add("all")
    return made


@pytest.fixture
def second(wav, voice):
    return wav(voice[:RATE])


@pytest.fixture
def doors(tmp_path):
    return all_doors(tmp_path)


ANIMATE = {"stream": 200, "chunks": 200, "convert": 200, "say": 422, "speech": 422, "emotalk": "OK", "omniverse": 200}
LIVE = {"socket": (1000, None), "a2f": "OK", "configs": "OK"}
ADMIN = {"metrics": 200}
REFUSED = {"socket": (1008, "NotPermitted"), **dict.fromkeys(("a2f", "configs", "emotalk"), "PERMISSION_DENIED")}
UNKNOWN = {"socket": (1008, "NotAuthorised"), **dict.fromkeys(("a2f", "configs", "emotalk"), "UNAUTHENTICATED")}


@pytest.mark.parametrize(
    ("name", "opens"),
    [
        ("animate", ANIMATE),
        ("live", LIVE),
        ("admin", ADMIN),
        ("avatars", {}),
        ("all", ANIMATE | LIVE | ADMIN),
        ("nobody", None),
        (None, None),
    ],
)
def test_a_scope_opens_its_doors_and_no_other(gateway_to, known, doors, second, name, opens):
    with gateway_to(tokens=known.file, doors=doors) as gateway:
        found = statuses(gateway, name, second)
        gateway.settle()
    others = dict.fromkeys(found, 403) | REFUSED if opens is not None else dict.fromkeys(found, 401) | UNKNOWN
    assert found == others | (opens or {})


def test_the_one_token_of_before_opens_everything(gateway_to, doors, second):
    with gateway_to(token="all", doors=doors) as gateway:
        found = statuses(gateway, "all", second)
        assert found == dict.fromkeys(found, 401) | UNKNOWN | {"metrics": 200}  # which needs none, as before
    with gateway_to(token="ALL", doors=doors) as gateway:
        assert statuses(gateway, "all", second) == ANIMATE | LIVE | ADMIN


def test_requests_of_a_minute_at_all_doors_together(gateway_to, known, doors, second):
    known.add("few", requests=3)
    with gateway_to(tokens=known.file, doors=doors) as gateway:
        assert gateway.post(STREAM, second, shown("few")).status == 200
        assert configs(gateway, "few") == "OK"
        assert omniverse(gateway, "few") == 200
        answer = gateway.post(STREAM, second, shown("few"))
        assert (answer.status, answer.json["error"]) == (429, "TooManyRequests")
        assert "'few' began 3 requests in a minute; accepted: 3" in answer.json["message"]
        assert 0 < int(answer.headers["retry-after"]) <= 61
        assert configs(gateway, "few") == "RESOURCE_EXHAUSTED"
        assert socket_code(gateway, "few") == (1013, "TooManyRequests")
        assert omniverse(gateway, "few") == 429
        assert gateway.post(STREAM, second, shown("all")).status == 200


def test_streams_at_once_at_all_doors_together(gateway_to, known, doors):
    known.add("two", streams=1)
    with gateway_to(tokens=known.file, doors=doors) as gateway:
        with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream") as socket:
            socket.send(json.dumps({"type": "start", "sample_rate": RATE, "token": "TWO"}))
            assert json.loads(socket.recv(HANG_S))["type"] == "started"
            assert a2f(gateway, "two")[0] == "RESOURCE_EXHAUSTED"
            assert socket_code(gateway, "two") == (1013, "TooManyStreams")
        gateway.settle()
        assert a2f(gateway, "two")[0] == "OK"


def test_seconds_of_speech_of_a_minute(gateway_to, known, doors, wav, voice):
    known.add("brief", speech_s=5)
    with gateway_to(tokens=known.file, doors=doors) as gateway:
        answer = gateway.post(STREAM, wav(np.resize(voice, 6 * RATE)), shown("brief"))
        assert (answer.status, answer.json["error"]) == (413, "ClipTooLong")
        assert gateway.post(STREAM, wav(voice[: 3 * RATE]), shown("brief")).status == 200
        answer = gateway.post(STREAM, wav(voice[: 3 * RATE]), shown("brief"))
        assert (answer.status, answer.json["error"]) == (429, "TooMuchSpeech")
        assert int(answer.headers["retry-after"]) > 0
        code, words = a2f(gateway, "brief", seconds=6)
        assert (code, "'brief' had" in words) == ("RESOURCE_EXHAUSTED", True)
        with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream") as socket:
            socket.send(json.dumps({"type": "start", "sample_rate": RATE, "token": "BRIEF"}))
            with suppress(ConnectionClosed):  # it may be refused, and let go of, before the last second is sent
                for _ in range(6):
                    socket.send(np.zeros(RATE, "<i2").tobytes())
            assert said_last(socket)["error"] == "TooMuchSpeech"
            assert socket.close_code == 1013
        figures = gateway.get("/metrics", **shown("all")).body.decode()
        assert 'emotalk_gateway_caller_speech_seconds_total{caller="brief"}' in figures
        assert 'emotalk_gateway_stale_files{files="tokens"} 0.0' in figures


def test_tokens_are_changed_under_load_and_no_request_fails(gateway_to, known, second):
    """Callers ask without pause while others come and go, and the file is broken now and then."""
    with gateway_to(tokens=known.file) as gateway:
        over, answers = threading.Event(), []

        def ask():
            while not over.is_set():
                answers.append(gateway.ask("POST", CONVERT, body, shown("animate")).status)

        body = json.dumps({"blendshapes": [[0] * 52] * 30}).encode()
        callers = [threading.Thread(target=ask) for _ in range(3)]
        for one in callers:
            one.start()
        for number in range(60):
            known.add(f"new-{number}", "live")
            if number % 3 == 0:
                known.file.write_text('{"tokens": [')
            enough = len(answers) + 3
            while len(answers) < enough:
                threading.Event().wait(0.001)
            if number % 2:
                known.remove(f"new-{number}")
        over.set()
        for one in callers:
            one.join(HANG_S)
        assert len(answers) > 180
        assert set(answers) == {200}
        known.remove("animate")
        assert gateway.ask("POST", CONVERT, body, shown("animate")).status == 401
        known.file.write_text("{")
        assert gateway.ask("POST", CONVERT, body, shown("all")).status == 200
        assert 'stale_files{files="tokens"} 1.0' in gateway.get("/metrics", **shown("all")).body.decode()


OPEN = {
    "/", "/openapi.json", "/head.glb", "/vocabularies.json", "/api/v1/capabilities",
    "/health", "/health/live", "/health/ready", "/ready", "/v1/health/live", "/v1/health/ready",
}  # fmt: skip
"""Paths that need no token, beside pages: what pages are made of, and health."""


def test_no_route_is_open_that_is_not_named_here(gateway_to, known, tmp_path):
    """Whoever adds a route asks for a caller, or says here that it needs none."""
    (tmp_path / "avatars").mkdir()
    with gateway_to(tokens=known.file, avatars=tmp_path / "avatars") as gateway:
        routes = [route for route in gateway.server.config.app.routes if isinstance(route, Route)]
        asked = 0
        for route in routes:
            if route.path in OPEN:
                continue
            for method in (route.methods or set()) - {"HEAD"}:
                path = re.sub(r"\{[^}]*\}", "x", route.path)
                for headers in ({}, shown("nobody")):
                    answer = gateway.ask(method, f"{path}?format=csv", b"" if method == "POST" else None, headers)
                    if answer.headers.get("content-type", "").startswith("text/html"):
                        continue  # a page: it asks the others
                    assert (method, path, answer.status) == (method, path, 401)
                    asked += 1
        assert asked > 20


def test_an_avatar_is_shown_to_who_may_ask_for_avatars(gateway_to, known, second, tmp_path):
    (tmp_path / "avatars").mkdir()
    known.add("painter", "animate", "avatars")
    with gateway_to(tokens=known.file, avatars=tmp_path / "avatars") as gateway:
        for name, status in (("avatars", 200), ("all", 200), ("animate", 403), ("live", 403), ("nobody", 401)):
            assert gateway.get("/avatar/list", **shown(name)).status == status
        for name, error in (("animate", "NotPermitted"), ("painter", "UnknownAvatar"), ("avatars", "NotPermitted")):
            answer = gateway.post("/avatar/process", second, shown(name), avatar_id="0" * 32)
            assert answer.json["error"] == error

"""Avatars over HTTP: each caller's own, within limits, and nothing left behind."""

import hashlib
import io
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from asking import form
from fake import FakeTransport
from gateways import in_thread
from PIL import Image
from registering_parts import Parts, photograph
from waiting import HANG_S, until

from emotalk_avatar.errors import NoFace, PoorPicture
from emotalk_avatar.package import GLB, METADATA, PREVIEW
from emotalk_client import AsyncEmoTalkClient
from emotalk_client.errors import ModelMissing
from emotalk_client.faces import head
from emotalk_gateway.service import avatars
from emotalk_gateway.service.callers import Caller, Limits
from emotalk_gateway.service.tokens import Token, digest, save

pytestmark = pytest.mark.server


@pytest.fixture
def parts(monkeypatch):
    found = Parts(monkeypatch)
    yield found
    found.go_on()


def serving(**settings):
    """A gateway before a Triton that is not there."""
    return in_thread(AsyncEmoTalkClient("fake:1", transport=FakeTransport()), **settings)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "avatars"


@pytest.fixture
def gateway(parts, folder):
    with serving(avatars=folder) as running:
        yield running


def register(gateway, picture=None, headers=None, avatar_name="Ada", **fields):
    picture = photograph() if picture is None else picture
    return gateway.post("/avatar/register", picture, headers, avatar_name=avatar_name, **fields)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def kept(folder):
    """Names in the store, hidden ones too."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []


def test_a_photograph_becomes_an_avatar(gateway, folder, parts):
    parts.warnings = ("closed mouth, please",)
    answer = register(gateway, user_id="u1", consent="true")
    assert answer.status == 201
    made = answer.json
    assert set(made) == {"id", "quality", "warnings"}
    assert made["warnings"] == ["closed mouth, please"]
    assert answer.headers["location"] == f"/avatar/{made['id']}/info"
    assert kept(folder) == [made["id"]]
    (listed,) = gateway.get("/avatar/list").json["avatars"]
    assert listed["id"] == made["id"]
    assert (listed["avatar_name"], listed["user_id"]) == ("Ada", "u1")
    info = gateway.get(f"/avatar/{made['id']}/info").json
    assert info["quality"] == made["quality"]
    assert info["consent"] is True
    assert (info["width"], info["height"]) == (96, 128)


def test_its_face_and_preview(gateway):
    avatar = register(gateway).json["id"]
    answer = gateway.get(f"/avatar/{avatar}/{GLB}")
    assert answer.headers["content-type"] == "model/gltf-binary"
    assert answer.body == head.read()
    preview = gateway.get(f"/avatar/{avatar}/preview")
    assert preview.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(preview.body)).size == (256, 256)
    assert preview.headers["x-content-type-options"] == "nosniff"
    again = gateway.get(f"/avatar/{avatar}/{GLB}", **{"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert "private" in answer.headers["cache-control"]
    status = gateway.get("/avatar/cache/status").json
    assert status["entries"] == 2
    assert status["bytes"] == len(answer.body) + len(preview.body)


def test_a_deleted_one_is_gone(gateway, folder):
    avatar = register(gateway).json["id"]
    etag = gateway.get(f"/avatar/{avatar}/{GLB}").headers["etag"]
    assert gateway.ask("DELETE", f"/avatar/{avatar}").json == {"id": avatar, "deleted": True}
    for path in ("info", GLB, "preview"):
        answer = gateway.get(f"/avatar/{avatar}/{path}", **{"If-None-Match": etag})
        assert (answer.status, answer.json["error"]) == (404, "UnknownAvatar")
    assert gateway.ask("DELETE", f"/avatar/{avatar}").status == 404
    assert kept(folder) == []


def test_nothing_of_the_upload_is_kept(gateway, folder):
    secret = b"GPS 52.5200 N 13.4050 E"
    picture = photograph()
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(out, "JPEG", exif=exif, quality=95)
    upload = out.getvalue() + b"PK\3\4 #!/bin/sh " + secret
    assert secret in upload
    avatar = register(gateway, upload).json["id"]
    for path in (folder / avatar).iterdir():
        assert secret not in path.read_bytes(), path
        assert path.read_bytes() != upload


def test_a_picture_that_will_not_do_is_refused_with_its_measures(gateway, parts, folder):
    parts.refusal = PoorPicture("the face is 31 pixels wide; accepted: at least 40", {"eyes_px": 31.0})
    answer = register(gateway)
    assert answer.status == 422
    assert answer.json == {
        "error": "PoorPicture",
        "message": "the face is 31 pixels wide; accepted: at least 40",
        "detail": "the face is 31 pixels wide; accepted: at least 40",
        "quality": {"eyes_px": 31.0},
    }
    parts.refusal = NoFace("no face is seen; accepted: one from the front")
    assert register(gateway).json["quality"] == {}
    answer = register(gateway, b"not a picture")
    assert (answer.status, answer.json["error"]) == (422, "UnreadablePicture")
    assert kept(folder) == []


def test_a_server_without_the_models_is_said(gateway, parts):
    parts.refusal = ModelMissing("face_detector is not there")
    answer = register(gateway)
    assert answer.status == 501
    assert "--models core,live,speech,avatar" in answer.json["message"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"avatar_name": ""}, 422),
        ({"avatar_name": "x" * 81}, 422),
        ({"avatar_name": "a\nb"}, 422),
        ({"user_id": "../../etc"}, 201),
        ({"user_id": "x" * 81}, 422),
        ({"consent": "perhaps"}, 400),
        ({"avatar_name": "سارا"}, 201),
        ({"avatar_name": "<script>alert(1)</script>"}, 201),
    ],
    ids=str,
)
def test_fields(gateway, folder, fields, status):
    answer = register(gateway, **fields)
    assert answer.status == status, answer.body
    assert len(kept(folder)) == (status == 201)
    assert list(folder.parent.iterdir()) in ([folder], [])


def test_a_form_without_a_name_is_taken_and_one_without_a_file_is_not(gateway):
    body, kind = form(photograph(), "file", {})
    made = gateway.ask("POST", "/avatar/register", body, {"Content-Type": kind}).json
    assert gateway.get(f"/avatar/{made['id']}/info").json["avatar_name"] == "avatar"
    body, kind = form(None, "file", {"avatar_name": "Ada"})
    assert gateway.ask("POST", "/avatar/register", body, {"Content-Type": kind}).status == 400
    assert gateway.ask("POST", "/avatar/register", b"{}", {"Content-Type": "application/json"}).status == 400


def test_a_gateway_without_avatars_says_so(parts):
    with serving() as gateway:
        some = "a" * 26
        for method, path in [
            ("GET", "/avatar/list"),
            ("GET", "/avatar/cache/status"),
            ("GET", f"/avatar/{some}/info"),
            ("GET", f"/avatar/{some}/{GLB}"),
            ("DELETE", f"/avatar/{some}"),
        ]:
            answer = gateway.ask(method, path)
            assert (answer.status, answer.json["error"]) == (404, "AvatarsOff"), path
            assert "--avatars" in answer.json["message"]
        assert register(gateway).json["error"] == "AvatarsOff"
        assert gateway.get("/api/v1/capabilities").json["avatars"] is False


def test_the_registration_page_may_ask_nobody_else(gateway):
    answer = gateway.get("/register", Accept="text/html")
    allowed = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert allowed["default-src"] == "'none'"
    assert "unsafe" not in str(allowed)
    assert "http" not in str(allowed)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("named", ["..", "%2e%2e", "..%2f..%2fetc", "A" * 26, "a" * 25, "x" * 3000])
def test_strange_ids_are_not_found(gateway, named):
    for path in (f"/avatar/{named}/info", f"/avatar/{named}/{GLB}"):
        assert gateway.get(path).status == 404


# --- whose ---


@pytest.fixture
def tokens(tmp_path):
    """A file of tokens: those of Ada, Bob, a viewer without the scope, an operator."""
    path = tmp_path / "tokens.json"
    callers = {
        "ada": Caller("ada", frozenset({"avatars"})),
        "bob": Caller("bob", frozenset({"avatars"})),
        "eve": Caller("eve", frozenset({"animate"})),
        "root": Caller("root", frozenset({"avatars", "admin"})),
        "few": Caller("few", frozenset({"avatars"}), Limits(requests=2)),
    }
    save(path, [Token(caller, digest(name)) for name, caller in callers.items()])
    return path


def test_each_token_has_its_own(parts, folder, tokens):
    with serving(avatars=folder, tokens=tokens) as gateway:
        hers = register(gateway, headers=bearer("ada"), user_id="bob").json["id"]
        his = register(gateway, headers=bearer("bob")).json["id"]
        assert [one["id"] for one in gateway.get("/avatar/list", **bearer("ada")).json["avatars"]] == [hers]
        assert gateway.get(f"/avatar/{hers}/info", **bearer("ada")).json["user_id"] == "ada"
        assert gateway.get("/avatar/list?user_id=bob", **bearer("ada")).json["avatars"] == []
        for path in ("info", GLB, "preview"):
            assert gateway.get(f"/avatar/{his}/{path}", **bearer("ada")).status == 404
        assert gateway.ask("DELETE", f"/avatar/{his}", headers=bearer("ada")).status == 404
        everybodys = gateway.get("/avatar/list", **bearer("root")).json["avatars"]
        assert {one["id"] for one in everybodys} == {hers, his}
        assert gateway.get("/avatar/list", **bearer("eve")).status == 403
        assert gateway.get("/avatar/list").status == 401
        assert register(gateway).status == 401
        assert kept(folder) == sorted([hers, his])
        fates = [gateway.get("/avatar/list", **bearer("few")).status for _ in range(3)]
        assert fates == [200, 200, 429]


def test_without_names_a_label_only_filters(gateway):
    first, second = register(gateway, user_id="a").json["id"], register(gateway, user_id="b").json["id"]
    assert [one["id"] for one in gateway.get("/avatar/list?user_id=a").json["avatars"]] == [first]
    assert gateway.get(f"/avatar/{second}/info").status == 200


def test_quotas_are_said(parts, folder):
    with serving(avatars=folder, avatars_per_owner=1) as gateway:
        register(gateway, user_id="a")
        answer = register(gateway, user_id="a")
        assert (answer.status, answer.json["error"]) == (409, "AvatarQuotaExceeded")
        assert "delete one first" in answer.json["message"]
        assert parts.seen == 1, "a face was looked for that could not be stored"
        assert register(gateway, user_id="b").status == 201
    with serving(avatars=folder, avatar_bytes=1000) as gateway:
        answer = register(gateway, user_id="c")
        assert (answer.status, answer.json["error"]) == (507, "AvatarStoreFull")


# --- many, slow, gone ---


def test_a_hundred_at_once(gateway, parts, folder):
    """Some are served, one after the other; the others are told to come again; nobody waits in vain."""
    picture = photograph()
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: register(gateway, picture), range(100)))
    fates = {answer.status for answer in answers}
    assert fates <= {201, 409, 503}, fates
    assert 201 in fates
    refused = [answer for answer in answers if answer.status == 503]
    assert all(answer.json["error"] == "GatewayFull" and "retry-after" in answer.headers for answer in refused)
    made = [answer.json["id"] for answer in answers if answer.status == 201]
    assert kept(folder) == sorted(made)
    assert parts.most_looking <= 2


def test_photographs_go_past_a_clip(gateway, parts, monkeypatch):
    """One clip is computed at a time, however many wait, and a photograph does not wait for them."""
    clip = photograph(64, 64, kind="PNG")
    monkeypatch.setattr(avatars, "is_clip", lambda data: data == clip)
    parts.slow = 64
    parts.hold()
    with ThreadPoolExecutor(3) as pool:
        clips = [pool.submit(register, gateway, clip) for _ in range(3)]
        until(lambda: gateway.service.avatars.registrations.admitted == 3, "they are not admitted")
        until(lambda: parts.looking == 1, "none is computed")
        for _ in range(3):
            assert register(gateway).status == 201
        assert parts.looking == 1
        parts.go_on()
        assert {one.result().status for one in clips} == {201}


def test_the_others_are_told_at_once_while_one_is_computed(gateway, parts):
    parts.hold()
    most = gateway.service.settings.max_registrations
    with ThreadPoolExecutor(most) as pool:
        waiting = [pool.submit(register, gateway) for _ in range(most)]
        until(lambda: gateway.service.avatars.registrations.admitted == most, "they are not admitted")
        answer = register(gateway)
        assert (answer.status, answer.json["error"]) == (503, "GatewayFull")
        assert gateway.get("/avatar/list").status == 200
        parts.go_on()
        assert {one.result().status for one in waiting} == {201}


def sent(gateway, data):
    raw = socket.create_connection(("127.0.0.1", gateway.port))
    raw.sendall(data)
    return raw


def request_of(picture):
    body, kind = form(picture, "file", {"avatar_name": "Ada"})
    head = f"POST /avatar/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def test_a_caller_that_leaves_ends_its_registration(gateway, parts, folder):
    parts.hold()
    with sent(gateway, request_of(photograph())):
        until(lambda: parts.looking == 1, "it has not begun")
    until(lambda: parts.cancelled == 1, "it goes on")
    until(lambda: gateway.service.avatars.registrations.admitted == 0, "it keeps its place")
    parts.go_on()
    assert register(gateway).status == 201
    assert len(kept(folder)) == 1


def test_a_caller_that_leaves_while_it_is_stored_leaves_nothing(gateway, folder, monkeypatch):
    store = gateway.service.avatars.store
    storing, go_on, add = threading.Event(), threading.Event(), store.add

    def slow(draft):
        made = add(draft)
        storing.set()
        assert go_on.wait(HANG_S)
        return made

    monkeypatch.setattr(store, "add", slow)
    with sent(gateway, request_of(photograph())):
        assert storing.wait(HANG_S)
        assert len(kept(folder)) == 1
    until(lambda: len(gateway.server.open) == 0, "nobody noticed that the caller left")
    assert gateway.get("/health/live").status == 200  # a turn of the loop after that
    go_on.set()
    until(lambda: gateway.service.avatars.registrations.admitted == 0, "it keeps its place")
    until(lambda: kept(folder) == [], "it left an avatar")


def test_who_sends_slowly_takes_no_place_and_is_let_go(parts, folder):
    with serving(avatars=folder, body_timeout_s=0.3, max_registrations=1) as gateway:
        whole = request_of(photograph())
        with sent(gateway, whole[:-500]) as slow:
            assert register(gateway).status == 201
            said = slow.recv(65536)
            assert b" 408 " in said.splitlines()[0]


def test_large_uploads_are_refused(parts, folder):
    with serving(avatars=folder, max_upload_bytes=200_000) as gateway:
        answer = register(gateway, bytes(300_000))
        assert (answer.status, answer.json["error"]) == (413, "UploadTooLarge")
        assert gateway.service.bodies.held == 0


def test_a_damaged_avatar_is_said_and_can_be_deleted_by_no_caller_but_the_folder(gateway, folder, caplog):
    avatar = register(gateway).json["id"]
    path = folder / avatar / PREVIEW
    path.write_bytes(path.read_bytes()[:-1])
    answer = gateway.get(f"/avatar/{avatar}/preview")
    assert (answer.status, answer.json["error"]) == (500, "DamagedAvatar")
    assert str(folder) not in answer.json["message"]
    assert gateway.get(f"/avatar/{avatar}/{GLB}").status == 200
    (folder / avatar / METADATA).write_bytes(b"{}")
    assert gateway.get(f"/avatar/{avatar}/info").status == 500
    assert gateway.get("/avatar/list").json["avatars"] == []
    assert gateway.ask("DELETE", f"/avatar/{avatar}").status == 200


def test_a_full_disk_is_said(gateway, folder, monkeypatch):
    from emotalk_avatar import folders

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "_write", full)
    answer = register(gateway)
    assert (answer.status, answer.json["error"]) == (507, "UnwritableFile")
    assert str(folder) not in json.dumps(answer.json)
    monkeypatch.undo()
    assert kept(folder) == []


def test_what_is_stored_is_what_was_sent(gateway, folder):
    picture = photograph(320, 400, seed=3, kind="PNG")
    avatar = register(gateway, picture).json["id"]
    there = np.asarray(Image.open(folder / avatar / "source.jpg"), np.float64)
    before = np.asarray(Image.open(io.BytesIO(picture)), np.float64)
    assert there.shape == before.shape
    assert json.loads((folder / avatar / METADATA).read_text())["source_sha256"] == hashlib.sha256(picture).hexdigest()

"""The door for Omniverse Audio2Face's clients: what it may touch, what it keeps, and callers that mean it ill."""

import asyncio
import http.client
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import fake
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emotalk_client.errors import ServerUnavailable, UnwritableFile
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_gateway.omniverse.door import OmniverseDoor
from emotalk_gateway.omniverse.exporting import Faces, Kept
from emotalk_gateway.omniverse.folders import Folders, check_name, write
from emotalk_gateway.omniverse.player import INSTANCE, PLAYER, SOLVER, Asked, Scene, frames_of
from emotalk_gateway.service.errors import AddressInUse, InvalidSettings, NoTrack, PathNotAllowed, TrackNotFound
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.settings import GatewaySettings

pytestmark = pytest.mark.unit

SECONDS = 2.0
LIMIT_S = 30
THREADS = ThreadPoolExecutor(64)
"""The callers' own: those of the loop are the door's."""


class Port:
    """Asks a door as anybody would, from a thread."""

    def __init__(self, port, service):
        self.port, self.service = port, service

    async def ask(self, method, path, body=None, **headers):
        return await asyncio.get_running_loop().run_in_executor(THREADS, self._ask, method, path, body, headers)

    def _ask(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
            kind = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body, kind | {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    async def post(self, path, **body):
        return await self.ask("POST", f"/A2F/{path}", body)

    async def track(self, folder, name="a.wav"):
        assert (await self.post("Player/SetRootPath", a2f_player=PLAYER, dir_path=str(folder)))[0] == 200
        return await self.post("Player/SetTrack", a2f_player=PLAYER, file_name=name, time_range=[0, -1])

    async def export(self, folder, name="face", fps=30, **more):
        asked = {"solver_node": SOLVER, "export_directory": str(folder), "file_name": name, "fps": fps, **more}
        return await self.post("Exporter/ExportBlendshapes", **asked)


@asynccontextmanager
async def opened(folder, script=None, **settings):
    client, transport = fake.client(script, retries=0)
    service = Service(GatewaySettings(**settings), client)
    door = OmniverseDoor(service, 0, folder)
    assert await door.open() == f"omniverse http://127.0.0.1:{door.port}"
    try:
        yield Port(door.port, service), transport
    finally:
        service.stopping.set()
        await door.close()
        await client.close()


@pytest.fixture
def folder(tmp_path):
    """A folder that may be written to, with a sound beside it in another."""
    for name in ("faces", "sounds"):
        (tmp_path / name).mkdir()
    soundfile.write(tmp_path / "sounds" / "a.wav", np.zeros(int(SECONDS * SAMPLE_RATE)), SAMPLE_RATE)
    return tmp_path


def exported(folder, name="face"):
    return json.loads((folder / "faces" / f"{name}_bsweight.json").read_text())


async def test_a_track_becomes_a_file_of_its_face(folder):
    async with opened(folder / "faces") as (port, transport):
        assert (await port.track(folder / "sounds"))[0] == 200
        status, said = await port.export(folder / "faces")
        assert (status, json.loads(said)["status"]) == (200, "OK")
        whole = exported(folder)
        assert (whole["numFrames"], len(whole["weightMat"]), whole["exportFps"]) == (60, 60, 30)
        assert whole["rotations"] == [[]] * 60
        assert [path.name for path in (folder / "faces").iterdir()] == ["face_bsweight.json"]  # and nothing else
        for start, end, frames in ((0.5, 1.0, 15), (1.0, -1, 30), (1.9, 7.0, 3), (3.0, 4.0, 0)):
            assert (await port.post("Player/SetRange", a2f_player=PLAYER, start=start, end=end))[0] == 200
            assert (await port.export(folder / "faces"))[0] == 200
            assert exported(folder)["weightMat"] == whole["weightMat"][round(start * 30) :][:frames]
        assert len(transport.sent) == 1, "a clip that is exported in pieces is computed once"


async def test_a_track_that_changed_is_computed_again(folder):
    async with opened(folder / "faces") as (port, transport):
        await port.track(folder / "sounds")
        await port.export(folder / "faces")
        soundfile.write(folder / "sounds" / "a.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
        await port.export(folder / "faces")
        assert exported(folder)["numFrames"] == 30
        assert len(transport.sent) == 2


async def test_emotions_stay_until_they_are_set_again(folder):
    async with opened(folder / "faces") as (port, transport):
        await port.track(folder / "sounds")
        for emotions in ({"joy": 0.5, "nonsense": 2.0}, {"anger": 7.0}, {"joy": 0.0, "anger": 0.0}):
            assert (await port.post("A2E/SetEmotionByName", a2f_instance=INSTANCE, emotions=emotions))[0] == 200
            assert (await port.export(folder / "faces"))[0] == 200
        sent = [json.loads(parameters.get("emotions", "{}")) for _, parameters in transport.sent]
        assert sent == [{"joy": 0.5}, {"anger": 1.0, "joy": 0.5}, {}]


async def test_two_exports_at_once_compute_a_face_once(folder):
    begin = asyncio.Event()
    async with opened(folder / "faces", {0: begin}) as (port, transport):
        await port.track(folder / "sounds")
        exports = [asyncio.create_task(port.export(folder / "faces", f"face{i}")) for i in range(4)]
        while not transport.flying:
            await asyncio.sleep(0.01)
        begin.set()
        assert [status for status, _ in await asyncio.gather(*exports)] == [200] * 4
        assert len(transport.sent) == 1
        assert all(exported(folder, f"face{i}")["numFrames"] == 60 for i in range(4))


async def test_an_export_keeps_what_it_began_with(folder):
    """Though another caller sets another track meanwhile."""
    soundfile.write(folder / "sounds" / "b.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    begin = asyncio.Event()
    async with opened(folder / "faces", {0: begin}) as (port, transport):
        await port.track(folder / "sounds")
        export = asyncio.create_task(port.export(folder / "faces"))
        while not transport.flying:
            await asyncio.sleep(0.01)
        assert (await port.track(folder / "sounds", "b.wav"))[0] == 200
        begin.set()
        await export
        assert exported(folder)["numFrames"] == 60


async def test_who_leaves_takes_no_face_from_another(folder):
    begin = asyncio.Event()
    async with opened(folder / "faces", {0: begin}) as (port, transport):
        await port.track(folder / "sounds")
        _, writer = await asyncio.open_connection("127.0.0.1", port.port)
        body = json.dumps(
            {"solver_node": SOLVER, "export_directory": str(folder / "faces"), "file_name": "x", "fps": 30}
        )
        writer.write(
            f"POST /A2F/Exporter/ExportBlendshapes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        while not transport.flying:
            await asyncio.sleep(0.01)
        other = asyncio.create_task(port.export(folder / "faces"))
        writer.close()
        assert (await other)[0] == 200
        assert len(transport.sent) == 2
        begin.set()
        assert not (folder / "faces" / "x_bsweight.json").exists()
        while port.service.uploads.admitted:
            await asyncio.sleep(0.01)


async def test_the_face_server_is_away_and_comes_back(folder):
    async with opened(folder / "faces", lambda number: ServerUnavailable("gone") if number < 1 else None) as (port, _):
        await port.track(folder / "sounds")
        status, said = await port.export(folder / "faces")
        assert status == 503, said
        assert said.startswith("ServerUnavailable: ")
        assert (await port.export(folder / "faces"))[0] == 200


async def test_files_are_written_below_the_folder_only(folder):
    (folder / "faces" / "out").symlink_to(folder / "sounds")
    (folder / "faces" / "in").symlink_to(folder / "faces" / "real")
    (folder / "faces" / "real").mkdir()
    (folder / "sibling").mkdir()
    async with opened(folder / "faces") as (port, _):
        await port.track(folder / "sounds")
        for directory in ("sounds", "sibling", "faces/../sounds", "faces/out", "facesish", "", "faces/out/.."):
            status, said = await port.export(folder / directory)
            assert (status, said.partition(":")[0]) == (403, "PathNotAllowed"), directory
        for name in ("../x", "a/b", "..", ".", "", "\0", "x" * 300, "/etc/x"):
            assert (await port.export(folder / "faces", name))[0] == 403, name
        assert (await port.export("faces"))[0] == 403  # of what would it be relative?
        assert (await port.export(folder / "faces" / "not-there"))[0] == 507
        assert (await port.export(folder / "faces" / "in", "linked"))[0] == 200
        assert (folder / "faces" / "real" / "linked_bsweight.json").exists()
    assert [path.name for path in (folder / "sounds").iterdir()] == ["a.wav"]
    assert not list((folder / "sibling").iterdir())


async def test_a_link_in_the_way_is_replaced_and_not_followed(folder):
    target = folder / "precious"
    target.write_text("mine")
    (folder / "faces" / "face_bsweight.json").symlink_to(target)
    async with opened(folder / "faces") as (port, _):
        await port.track(folder / "sounds")
        assert (await port.export(folder / "faces"))[0] == 200
    assert target.read_text() == "mine"
    assert not (folder / "faces" / "face_bsweight.json").is_symlink()


async def test_only_sounds_are_read(folder):
    (folder / "sounds" / "secret.txt").write_text("words")
    (folder / "sounds" / "words.wav").write_text("words")
    (folder / "sounds" / "folder.wav").mkdir()
    os.mkfifo(folder / "sounds" / "pipe.wav")
    async with opened(folder / "faces") as (port, _):
        for name in ("secret.txt", "/etc/passwd", "../sounds/a.wav", "none.wav", "folder.wav", "pipe.wav", "\0.wav"):
            status, said = await port.track(folder / "sounds", name)
            assert (status, said.partition(":")[0]) == (404, "TrackNotFound"), name
        assert (await port.track(folder / "sounds", "words.wav"))[0] == 200
        status, said = await port.export(folder / "faces")
        assert (status, "words'" in said) == (415, False), said
        _, said = await port.post("Player/GetTracks", a2f_player=PLAYER)
        assert json.loads(said)["result"] == ["a.wav", "folder.wav", "pipe.wav", "words.wav"]


async def test_sound_is_read_where_the_operator_says(folder):
    (folder / "faces" / "link.wav").symlink_to("/etc/hostname")
    soundfile.write(folder / "faces" / "b.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    (folder / "else").mkdir()
    async with opened(folder / "faces", omniverse_sounds=(str(folder / "sounds"),)) as (port, _):
        for root in ("/", "/etc", str(folder), str(folder / "else"), "sounds", ""):
            status, said = await port.post("Player/SetRootPath", a2f_player=PLAYER, dir_path=root)
            assert (status, said.partition(":")[0]) == (403, "PathNotAllowed"), root
        assert (await port.track(folder / "faces", "link.wav"))[0] == 403
        assert (await port.track(folder / "faces", "b.wav"))[0] == 200
        assert (await port.track(folder / "sounds"))[0] == 200


async def test_beyond_the_loopback_no_sound_is_read_but_what_was_named(folder):
    client, _ = fake.client()
    door = OmniverseDoor(Service(GatewaySettings(omniverse_host="0.0.0.0"), client), 0, folder / "faces")
    with pytest.raises(PathNotAllowed):
        door._folders.check_root(str(folder / "sounds"))
    door._folders.check_root(str(folder / "faces"))


async def test_pages_and_strange_names_are_kept_out(folder):
    async with opened(folder / "faces") as (port, _):
        asked = {"a2f_player": PLAYER, "dir_path": str(folder / "sounds")}
        path = "/A2F/Player/SetRootPath"
        assert (await port.ask("POST", path, asked, Origin="http://evil.example"))[0] == 403
        assert (await port.ask("POST", path, asked, Host="evil.example"))[0] == 421
        assert (await port.ask("POST", path, asked))[0] == 200


async def test_the_gateways_token_is_asked_for(folder):
    async with opened(folder / "faces", token="secret") as (port, _):
        assert (await port.ask("GET", "/A2F/GetInstances"))[0] == 401
        assert (await port.ask("GET", "/A2F/GetInstances", Authorization="Bearer secret"))[0] == 200


async def test_what_is_not_a_request_is_told_so(folder):
    async with opened(folder / "faces", body_timeout_s=0.3) as (port, _):
        export, root = "/A2F/Exporter/ExportBlendshapes", "/A2F/Player/SetRootPath"
        assert (await port.post("Exporter/ExportBlendshapes"))[0] == 422
        assert (await port.export(folder / "faces"))[0] == 409  # no track
        await port.track(folder / "sounds")
        for body in (b"", b"{", b"[" * 60_000, b"null", b'{"a2f_player": 3}', b'{"a2f_player": "\xff"}'):
            assert (await port.ask("POST", root, body))[0] in (400, 422), body[:20]
        assert (await port.ask("POST", root, b" " * 70_000))[0] == 413
        for fps in (0, -1, 241, "x", float("nan"), 1e400, None):
            assert (await port.export(folder / "faces", fps=fps))[0] == 422, fps
        assert (await port.export(folder / "faces", format="usd"))[0] == 400
        assert (await port.export(folder / "faces", solver_node="/other"))[0] == 404
        unknown = {"solver_node": "/x", "export_directory": "/x", "file_name": "x"}
        assert (await port.ask("POST", export, unknown))[0] == 404
        assert (await port.post("Player/SetRange", a2f_player=PLAYER, start=float("nan"), end=1))[0] == 422
        assert (await port.ask("GET", "/A2F/Player/GetRange"))[0] == 404
        assert (await port.ask("GET", "/docs"))[0] == 404
        assert (await port.ask("GET", "/status"))[0] == 200


async def test_a_crowd_is_served_or_told_to_come_again(folder):
    begin = asyncio.Event()
    script = {0: begin}
    async with opened(folder / "faces", script, max_requests=4) as (port, transport):
        await port.track(folder / "sounds")
        exports = [asyncio.create_task(port.export(folder / "faces", f"{i}")) for i in range(20)]
        while not transport.flying or sum(one.done() for one in exports) < 16:
            await asyncio.sleep(0.01)
        begin.set()
        statuses = sorted([status for status, _ in await asyncio.gather(*exports)])
        assert statuses == [200] * 4 + [503] * 16
        assert len(list((folder / "faces").iterdir())) == 4


async def test_two_doors_have_a_state_each(folder):
    async with opened(folder / "faces") as (one, _), opened(folder / "faces") as (other, _):
        await one.track(folder / "sounds")
        assert (await one.export(folder / "faces"))[0] == 200
        assert (await other.export(folder / "faces"))[0] == 409
        with pytest.raises(AddressInUse, match="--omniverse-port"):
            await OmniverseDoor(one.service, one.port, folder / "faces").open()


async def test_a_door_that_closes_lets_nobody_wait(folder):
    async with opened(folder / "faces", {0: asyncio.Event()}) as (port, transport):
        await port.track(folder / "sounds")
        export = asyncio.create_task(port.export(folder / "faces"))
        while not transport.flying:
            await asyncio.sleep(0.01)
        port.service.stopping.set()
        assert (await export)[0] == 503


def test_folders_must_be_there(folder):
    client, _ = fake.client()
    for service, path in (
        (Service(GatewaySettings(), client), folder / "none"),
        (Service(GatewaySettings(omniverse_sounds=("/none",)), client), folder / "faces"),
    ):
        with pytest.raises(InvalidSettings, match="none"):
            OmniverseDoor(service, 0, path)


@given(st.lists(st.floats(0, 10), min_size=2, max_size=6), st.integers(1, 240))
def test_ranges_that_meet_cover_the_clip(cuts, fps):
    """Ranges that meet on frames have together the frames of the whole."""
    edges = sorted({round(cut * fps) / fps for cut in cuts})
    total = sum(frames_of(start, end, fps) for start, end in pairwise(edges))
    assert total == frames_of(edges[0], edges[-1], fps)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_span_lies_within_its_clip(start, end):
    first, last = Asked("/", "a.wav", start, end).span(5.0)
    assert 0 <= first <= last <= 5


def test_a_new_root_has_no_track():
    scene = Scene()
    scene.set_root("/a")
    scene.set_track("a.wav", 0, -1)
    assert scene.asked().track == "a.wav"
    scene.set_root("/b")
    with pytest.raises(NoTrack):
        scene.asked()


def test_faces_are_kept_within_a_bound():
    faces = Faces(most=10 * 30 * BLENDSHAPE_COUNT * 4)
    for second in range(100):
        faces.put((second,), Kept(np.zeros((30, BLENDSHAPE_COUNT), np.float32), 1.0))
        faces.get((0,))
    assert faces.get((0,)) is not None, "what is used stays"
    assert faces.get((1,)) is None
    assert faces.size <= 10 * 30 * BLENDSHAPE_COUNT * 4
    faces.put(("large",), Kept(np.zeros((3000, BLENDSHAPE_COUNT), np.float32), 100.0))
    assert faces.get(("large",)) is not None


def test_a_folder_of_many_tracks_is_listed_within_a_bound(tmp_path):
    for number in range(50):
        (tmp_path / f"{number:02}.wav").touch()
    found = Folders(tmp_path).tracks(str(tmp_path))
    assert found == [f"{number:02}.wav" for number in range(50)]
    assert Folders(tmp_path).tracks(str(tmp_path / "none")) == []


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    def broken():
        yield b"half"
        raise OSError(28, "No space left on device")

    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(UnwritableFile, match="No space"):
            write(descriptor, "face", broken())
    finally:
        os.close(descriptor)
    assert not list(Path(tmp_path).iterdir())


def test_names():
    assert check_name("a face") == "a face"
    with pytest.raises(PathNotAllowed):
        check_name("\udcff/")
    with pytest.raises(TrackNotFound):
        Folders(Path("/")).open_sound("/", "\ud800.wav")

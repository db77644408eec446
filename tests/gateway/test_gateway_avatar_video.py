"""``POST /avatar/process``: videos over HTTP, what is refused, and what happens to those that draw."""

import json
import os
import signal
import threading

import avatar_faces
import numpy as np
import pytest
from asking import form
from drawn import drawing, pictures, processes, sound
from waiting import HANG_S, until

from emotalk_avatar.fitting import fit
from emotalk_avatar.package import Draft, Facts
from emotalk_avatar.store import AvatarStore
from emotalk_contract import tensors

pytestmark = pytest.mark.server

PATH = "/avatar/process"
SIZE = "64x64"


@pytest.fixture(autouse=True, scope="module")
def drawable():
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("avatars")


@pytest.fixture(scope="module")
def avatar(folder):
    """The id of one."""
    glb = fit(avatar_faces.picture(), avatar_faces.face()).glb()
    width, height = avatar_faces.SIZE
    facts = Facts("Ada", "everybody", "2026-11-27T21:52:00Z", "image", width, height, "0" * 64)
    files = {"avatar.glb": glb, "preview.jpg": b"x", "source.jpg": b"x", "landmarks.f32": bytes(478 * 12)}
    return AvatarStore(folder).add(Draft(facts, files)).id


@pytest.fixture(scope="module")
def gateway(gateway_to, folder):
    with gateway_to(avatars=folder) as running:
        yield running


@pytest.fixture
def short(wav, voice):
    return wav(voice[:16_000])


@pytest.mark.parametrize(("suffix", "kind"), [("mp4", "video/mp4"), ("webm", "video/webm")])
def test_speech_becomes_a_video(gateway, short, tmp_path, suffix, kind):
    answer = gateway.post(PATH, short, format=suffix, size=SIZE, fps="25", mark="true", level="0.5")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"] == f'attachment; filename="face.{suffix}"'
    (tmp_path / "a").write_bytes(answer.body)
    found = pictures(tmp_path / "a")
    assert len(found) == 25
    assert found[0][1].shape == (64, 64, 3)
    start, rate, samples = sound(tmp_path / "a")
    assert start + len(samples) / rate == pytest.approx(1, abs=0.03)
    assert np.abs(samples).max() > 0.01
    assert processes() == []


def test_an_avatar_speaks_and_no_face_is_looked_for(gateway, short, avatar, tmp_path, monkeypatch):
    asked, infer = [], gateway.wire.infer

    def noted(inputs, parameters, timeout_s, *model):
        asked.append((model or (tensors.ENSEMBLE,))[0])
        return infer(inputs, parameters, timeout_s, *model)

    monkeypatch.setattr(gateway.wire, "infer", noted)
    answer = gateway.post(PATH, short, avatar_id=avatar)
    assert answer.status == 200, answer.body
    (tmp_path / "a").write_bytes(answer.body)
    found = pictures(tmp_path / "a")
    assert (found[0][1].shape[1], found[0][1].shape[0]) == avatar_faces.SIZE
    assert len(found) == 30
    assert {model.name for model in asked} == {tensors.ENSEMBLE.name}  # neither detector nor landmarks


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"format": "avi"}, 422, "UnknownFormat"),
        ({"fps": "90"}, 422, "InvalidVideo"),
        ({"fps": "many"}, 422, "InvalidOption"),
        ({"size": "9x9"}, 422, "InvalidVideo"),
        ({"background": "red"}, 422, "InvalidVideo"),
        ({"background": "/etc/passwd"}, 422, "InvalidVideo"),
        ({"mark": "maybe"}, 422, "InvalidOption"),
        ({"idle": "2"}, 422, "InvalidOption"),
        ({"idle": "nan"}, 422, "InvalidOption"),
        ({"seed": "1.5"}, 422, "InvalidOption"),
        ({"level": "7"}, 422, "LevelOutOfRange"),
        ({"wings": "2"}, 422, "UnknownOption"),
        ({"avatar_id": "nobody"}, 404, "UnknownAvatar"),
        ({"avatar_id": "../../etc"}, 404, "UnknownAvatar"),
    ],
)
def test_what_cannot_be_is_refused_in_words(gateway, short, fields, status, error):
    answer = gateway.post(PATH, short, **fields)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert "accepted" in answer.json["message"] or status == 404
    assert processes() == []


def test_a_gateway_without_avatars_says_so_and_draws_the_head(gateway_to, short):
    with gateway_to() as gateway:
        assert gateway.post(PATH, short, avatar_id="x").json["error"] == "AvatarsOff"
        assert gateway.post(PATH, short, size=SIZE).status == 200


def test_a_text_that_cannot_be_said_is_refused(gateway):
    def say(**given):
        return gateway.ask("POST", PATH, json.dumps(given), {"Content-Type": "application/json"})

    assert say(text="").json["error"] == "EmptyText"
    assert say(text="hello", size="1x1").json["error"] == "InvalidVideo"
    assert say(text="hello", wings=2).json["error"] == "UnknownOption"
    assert say(text="hello", size=SIZE).json["error"] == "ModelMissing"  # this Triton has no voices


def test_too_long_a_clip_is_refused(gateway_to, wav, voice):
    with gateway_to(max_video_s=2) as gateway:
        answer = gateway.post(PATH, wav(voice[: 3 * 16_000]))
    assert (answer.status, answer.json["error"]) == (413, "ClipTooLong")


def ask_in_thread(gateway, sound, **fields):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(gateway.post(PATH, sound, **fields)))
    thread.start()
    return thread, answers


def test_one_that_draws_and_is_killed_is_told_of_and_the_next_is_served(gateway, wav, voice, short):
    thread, answers = ask_in_thread(gateway, wav(voice), size="512x512")
    (pid,) = until(processes)
    os.kill(pid, signal.SIGKILL)
    thread.join(HANG_S)
    assert (answers[0].status, answers[0].json["error"]) == (503, "DrawingFailed")
    assert "retry-after" in answers[0].headers
    assert gateway.post(PATH, short, size=SIZE).status == 200
    assert processes() == []


def test_one_that_hangs_leaves_others_alone(gateway, short, wav, voice):
    thread, answers = ask_in_thread(gateway, wav(voice), size="512x512")
    (pid,) = until(processes)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert gateway.get("/health/live").status == 200
        assert gateway.post(PATH, short, size=SIZE).status == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    thread.join(HANG_S)
    assert answers[0].status == 200


def test_a_caller_who_leaves_stops_the_drawing(gateway, wav, voice):
    body, kind = form(wav(voice), "file", {"size": "512x512"})
    connection = gateway.connection()
    connection.request("POST", PATH, body, {"Content-Type": kind})
    until(processes)
    connection.close()
    until(lambda: not processes())
    gateway.settle()
    assert gateway.service.videos.files.admitted == 0


def test_too_many_at_once_are_told_to_come_again(gateway_to, wav, voice, short):
    with gateway_to(max_videos=1) as gateway:
        thread, answers = ask_in_thread(gateway, wav(voice), size=SIZE)
        until(processes)
        refused = gateway.post(PATH, short, size=SIZE)
        assert (refused.status, refused.json["error"]) == (503, "GatewayFull")
        thread.join(HANG_S)
        assert answers[0].status == 200


def test_a_gateway_that_stops_leaves_no_process(gateway_to, wav, voice):
    with gateway_to() as gateway:
        thread, answers = ask_in_thread(gateway, wav(voice), size="512x512")
        until(processes)
    thread.join(HANG_S)
    assert answers[0].json["error"] == "GatewayStopping"
    assert processes() == []

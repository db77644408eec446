"""``POST /avatar/process`` with a renderer: the mouth is drawn by a network; what means nothing to it is refused."""

import io
import json

import av
import pytest
from fake_renderers import FakeRenderers
from gateways import in_thread
from lipsync_packages import SIDE, package

from emotalk_avatar.seed_package import imported
from emotalk_avatar.store import AvatarStore
from emotalk_client import AsyncEmoTalkClient
from emotalk_contract import renderers as facts

pytestmark = pytest.mark.server

PATH = "/avatar/process"


def serving(served=tuple(facts.MODELS), **settings):
    """A gateway before a Triton that serves these renderers, of a kind."""
    wire = FakeRenderers(served)
    return in_thread(AsyncEmoTalkClient("fake:1", transport=wire, retries=0), wire, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("avatars")


@pytest.fixture(scope="module")
def avatar(folder):
    return AvatarStore(folder / "store").add(imported(package(folder / "package"))).id


@pytest.fixture(scope="module")
def gateway(folder, avatar):
    with serving(avatars=folder / "store") as running:
        yield running


@pytest.fixture
def short(wav, voice):
    return wav(voice[:8_000])


@pytest.mark.parametrize(("kind", "fps", "frames"), [("mp4", 25, 13), ("webm", 30, 15)])
def test_a_video_whose_mouth_is_drawn(gateway, avatar, short, kind, fps, frames):
    answer = gateway.post(PATH, short, avatar_id=avatar, renderer="unet328", format=kind, fps=fps)
    assert answer.status == 200, answer.body
    with av.open(io.BytesIO(answer.body)) as file:
        assert "Synthetic" in " ".join(file.metadata.values())
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(pictures) == frames
    assert pictures[0].shape == (SIDE, SIDE, 3)
    with av.open(io.BytesIO(answer.body)) as file:
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert abs(seconds - 0.5) < 0.1
    asked = [name for name, _ in gateway.wire.asked_of]
    assert asked.count("unet328") >= frames
    gateway.wire.asked_of.clear()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"renderer": "gan"}, "renderer is 'gan'; accepted: wav2lip, unet328"),
        ({"renderer": "unet328", "avatar_id": ""}, "renderer is given without avatar_id"),
        ({"renderer": "unet328", "level": 1}, "level came with a renderer"),
        ({"renderer": "unet328", "gaze": 0.5}, "gaze came with a renderer"),
    ],
)
def test_what_means_nothing_to_a_renderer_is_refused(gateway, avatar, short, fields, said):
    answer = gateway.post(PATH, short, **{"avatar_id": avatar, **fields})
    assert answer.status == 422
    assert said in json.loads(answer.body)["message"]


def test_an_avatar_without_a_box_for_it(gateway, avatar, short):
    answer = gateway.post(PATH, short, avatar_id=avatar, renderer="wav2lip")
    assert answer.status == 422
    assert "accepted: unet328" in json.loads(answer.body)["message"]


def test_an_avatar_that_is_not_there(gateway, short):
    answer = gateway.post(PATH, short, avatar_id="a" * 26, renderer="unet328")
    assert (answer.status, json.loads(answer.body)["error"]) == (404, "UnknownAvatar")


def test_a_server_without_renderers(folder, avatar, short):
    with serving(served=(), avatars=folder / "store") as gateway:
        answer = gateway.post(PATH, short, avatar_id=avatar, renderer="unet328")
        assert (answer.status, json.loads(answer.body)["error"]) == (501, "ModelMissing")
        assert gateway.service.videos.files.admitted == 0

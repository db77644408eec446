"""A video whose mouth is drawn by a neural network: its pictures, its sound, and errors in words."""

import av
import numpy as np
import pytest
from fake_renderers import FakeRenderers

from emotalk_avatar.errors import NotDrawable
from emotalk_avatar.jpeg import encoded
from emotalk_avatar.renderers.filming import film
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_avatar.renderers.sitting import Sitting
from emotalk_avatar.video.rendering import Sound
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import ModelMissing
from emotalk_contract import renderers as facts

pytestmark = pytest.mark.unit

PICTURE = np.full((121, 161, 3), 60, np.uint8)
BOX = np.array([[40, 30, 120, 110]], np.int32)
WHO = Sitting((encoded(PICTURE),), 0.0, {"wav2lip": BOX, "unet328": BOX}, None)


def click(at_s, seconds=1.2, rate=16_000):
    samples = np.zeros(round(seconds * rate), np.float32)
    samples[round(at_s * rate) :][: rate // 20] = 0.5
    return samples


async def filmed(path, samples, served=tuple(facts.MODELS), who=WHO, renderer="wav2lip", **options):
    client = AsyncEmoTalkClient("fake:1", transport=FakeRenderers(served), retries=0)
    sound = Sound(iter([samples]), 16_000, 1)
    await film(samples, sound, who, renderer, RendererModels(client), path, **options)
    await client.close()


def read(path):
    with av.open(str(path)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        comment = " ".join(file.metadata.values())
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
        sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        begin = float(frames[0].pts * frames[0].time_base)
    return pictures, sound, begin, comment


@pytest.mark.parametrize("renderer", facts.RENDERERS)
@pytest.mark.parametrize(("name", "fps"), [("a.mp4", 25.0), ("a.webm", 30.0)])
async def test_pictures_and_sound_in_step(tmp_path, renderer, name, fps):
    told = []
    samples = click(0.6)
    await filmed(tmp_path / name, samples, renderer=renderer, fps=fps, progress=lambda *done: told.append(done))
    pictures, sound, begin, comment = read(tmp_path / name)
    assert len(pictures) == round(1.2 * fps)
    assert told[-1] == (len(pictures), len(pictures))
    assert pictures[0].shape == (120, 160, 3)
    assert "Synthetic" in comment
    levels = np.array([picture[60:80, 70:90].mean() for picture in pictures])
    assert np.abs(levels - 60).max() > 20  # the mouth is drawn
    assert abs(pictures[0][5, 5].astype(int) - 60).max() < 4  # the rest is left alone
    heard = begin + np.argmax(np.abs(sound) > 0.1) / 48_000
    assert abs(heard - 0.6) < 1 / fps
    if renderer == "wav2lip":  # a window of 0.2 s begins with its picture: the click shows from 0.4 s on
        seen = np.argmax(np.abs(levels - levels[0]) > 3) / fps
        assert 0.36 < seen < 0.46


async def test_size_and_mark(tmp_path):
    await filmed(tmp_path / "a.mp4", click(0.1, 0.2), size=(320, 240), mark=True)
    pictures, *_ = read(tmp_path / "a.mp4")
    assert pictures[0].shape == (240, 320, 3)
    assert pictures[0][-20:, -60:].max() > 200


async def test_what_cannot_be_filmed(tmp_path):
    with pytest.raises(ModelMissing, match="emotalk-server --renderers"):
        await filmed(tmp_path / "a.mp4", click(0.1), served=())
    only = Sitting(WHO.kept, 0.0, {"unet328": BOX}, None)
    with pytest.raises(NotDrawable, match="no crops for wav2lip; accepted: unet328"):
        await filmed(tmp_path / "b.mp4", click(0.1), who=only)

"""The emotion that a served EmoTalk hears, through a real Triton, against torch; and the bundled model's none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc

import seeded
from emotalk_client import EmoTalkClient
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_contract import tensors
from emotalk_contract.pipeline import pipeline as steps_of
from emotalk_contract.timing import Window
from emotalk_export.face import open_face
from emotalk_export.validate import clip_inputs

pytestmark = pytest.mark.server

TOLERANCE = 1e-4
RATE = 16_000


@pytest.fixture(scope="module")
def heard(small_checkpoint: Path):
    """``heard(audio)``: EMOTIONS of a whole clip by torch."""
    face = open_face(small_checkpoint, seeded.ATTENTION_HEADS["small"])
    models = [model for model in steps_of(face.recipe).graphs if model.name in ("wav2vec_frontend", "wav2vec_emotion")]
    modules = [face.graph(model) for model in models]

    def emotions(audio: np.ndarray) -> np.ndarray:
        style = np.full((1, face.recipe.styles), 1 / face.recipe.styles)
        arrays = clip_inputs(audio[None], Window.whole(len(audio)), face.recipe, np.ones((1, 1)), style)
        with torch.inference_mode():
            for model, module in zip(models, modules, strict=True):
                outputs = module(*(torch.from_numpy(arrays[tensor.name]) for tensor in model.inputs))
                arrays |= {tensor.name: found.numpy() for tensor, found in zip(model.outputs, outputs, strict=True)}
        return arrays[tensors.EMOTIONS.name][0]

    return emotions


@pytest.fixture
def client(server):
    with EmoTalkClient(server.grpc_url) as connected:
        yield connected


@pytest.mark.parametrize("samples", [720, 24_001, 160_000])
def test_a_clip_s_emotion_is_torch_s(client, speech, heard, samples):
    audio = speech[:samples]
    found = client.animate(audio, sample_rate=RATE).emotions
    assert list(found) == [f"emotion_{number}" for number in range(7)]
    np.testing.assert_allclose(list(found.values()), heard(audio), atol=TOLERANCE)


def test_another_clip_s_emotion_is_heard_where_it_is_taken_from(client, speech, heard):
    other = np.ascontiguousarray(speech[::-1][:80_000])
    face = client.animate(speech[:48_000], sample_rate=RATE, emotion_audio=other, emotion_sample_rate=RATE)
    assert np.abs(heard(other) - heard(speech[:48_000])).max() > 10 * TOLERANCE
    # It is laid over the speech's frames, whose mean is nearly the clip's own.
    assert np.abs(np.array(list(face.emotions.values())) - heard(other)).max() < 0.02


def test_a_batch_has_an_emotion_for_each(grpc, speech, heard):
    clips = np.stack([speech[:32_000], speech[100_000:132_000]])
    found = grpc(AUDIO=clips)["EMOTIONS"]
    for row, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(row, heard(clip), atol=TOLERANCE)


def test_other_outputs_may_be_asked_for_alone(server, speech):
    sent = tritonclient.grpc.InferInput("AUDIO", [1, 16_000], "FP32")
    sent.set_data_from_numpy(speech[None, :16_000])
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as triton:
        wanted = [tritonclient.grpc.InferRequestedOutput("BLENDSHAPES")]
        answer = triton.infer("emotalk", [sent], outputs=wanted)
        assert answer.as_numpy("BLENDSHAPES").shape == (1, 30, 52)
        assert answer.as_numpy("EMOTIONS") is None


def test_windows_have_their_own_and_a_clip_their_mean(client, speech):
    options = {"sample_rate": RATE, "window": 10.0}
    blocks = list(client.stream_blocks(speech, **options))
    whole = client.animate(speech, **options)
    assert len(blocks) > 1
    parts = np.array([list(block.emotions.values()) for block in blocks])
    assert np.abs(parts[0] - parts[-1]).max() > TOLERANCE
    mean = np.average(parts, axis=0, weights=[len(block) for block in blocks])
    np.testing.assert_allclose(list(whole.emotions.values()), mean, atol=1e-12)


def test_a_live_stream_tells_what_it_hears(server, speech):
    async def listen():
        async with AsyncEmoTalkClient(server.grpc_url) as client, client.live(sample_rate=RATE) as session:
            assert session.status.emotions is None
            frames = await session.push(speech[:64_000])
            frames += await session.flush()
            return frames, session.status.emotions

    frames, emotions = asyncio.run(listen())
    assert len(frames) == 120
    assert list(emotions) == [f"emotion_{number}" for number in range(7)]
    assert sum(emotions.values()) == pytest.approx(1, abs=1e-5)


def test_the_bundled_model_hears_none(bundled_server, speech):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        face = client.animate(speech[:32_000], sample_rate=RATE)
        assert face.emotions is None
        assert "detected_emotions" not in client.describe()

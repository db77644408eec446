"""Neural renderers in a real Triton: seeded ones give what torch gives, and what is damaged is not served."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import seeded_renderers
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_avatar.renderers.rendering import Sitter, frames
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import ModelMissing
from emotalk_client.wire.transport import TritonTransport
from emotalk_contract import renderers as facts
from emotalk_export.checkpoint import open_checkpoint
from emotalk_export.renderer import NETWORKS
from emotalk_export.renderer_checkpoint import fill
from emotalk_export.renderer_graphs import examples
from emotalk_export.validate import murmur
from emotalk_server import EmbeddedServer
from emotalk_server.errors import CorruptRepository, InvalidRepository, MissingGraph

pytestmark = pytest.mark.server


async def test_seeded_renderers_give_what_torch_gives(
    renderer_checkpoints: Path, renderer_server: EmbeddedServer
) -> None:
    triton = TritonTransport(renderer_server.grpc_url)
    for name, model in facts.MODELS.items():
        network = NETWORKS[name]().eval()
        fill(network, open_checkpoint(renderer_checkpoints / f"{name}.pth"), name)
        conventions, (tensor,) = seeded_renderers.CONVENTIONS[name], model.outputs
        asked = [examples(model, batch) for batch in (1, 2, 1, 3)]
        answers = await asyncio.gather(*(triton.infer(inputs, {}, 120, model) for inputs in asked))
        for inputs, answer in zip(asked, answers, strict=True):
            native = (torch.from_numpy(array.copy()) for array in conventions.native(inputs))
            with torch.inference_mode():
                expected = conventions.contract(network(*native).numpy(), tensor)
            assert expected.std() > 0.05
            assert np.abs(answer[tensor.name] - expected).max() <= 1e-4
    await triton.close()


async def test_a_server_without_renderers_says_so(bundled_server: EmbeddedServer) -> None:
    transport = TritonTransport(bundled_server.grpc_url)
    with pytest.raises(ModelMissing, match="does not serve wav2lip"):
        await transport.infer(examples(facts.WAV2LIP, 1), {}, 30, facts.WAV2LIP)
    await transport.close()


def _flip(folder: Path) -> None:
    path = folder / "ave" / "1" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "error", "said"),
    [
        (_flip, CorruptRepository, "RENDERERS.json says"),
        (lambda folder: (folder / "ave" / "1" / "model.onnx").unlink(), MissingGraph, "model.onnx"),
        (lambda folder: (folder / facts.MANIFEST_NAME).write_text("{}"), CorruptRepository, "damaged"),
        (lambda folder: (folder / facts.MANIFEST_NAME).unlink(), InvalidRepository, "emotalk-export renderer"),
        (lambda folder: shutil.copytree(folder / "ave", folder / "emotalk"), InvalidRepository, "the model emotalk"),
    ],
    ids=["a bit", "no graph", "a manifest", "no manifest", "another model"],
)
def test_what_is_damaged_is_not_served(
    renderers: Path, tmp_path: Path, harm, error: type[Exception], said: str
) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "renderers"
    shutil.copytree(renderers, folder, ignore=shutil.ignore_patterns("wav2lip", "unet328"))
    facts.save_manifest(folder, {"ave": facts.load_manifest(renderers)["ave"]})
    harm(folder)
    with pytest.raises(error, match=said):
        EmbeddedServer(renderers=folder).start()


@pytest.mark.parametrize("renderer", facts.RENDERERS)
async def test_a_picture_speaks(renderer: facts.Renderer, renderer_server: EmbeddedServer) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    box = {renderer: np.array([[40, 50, 140, 150]], np.int32)}
    voice = murmur(np.random.default_rng(0), 1, 4_800)[0]
    async with AsyncEmoTalkClient(renderer_server.grpc_url) as client:
        models = RendererModels(client)
        drawn = [f async for f in frames(voice, Sitter(lambda _: picture, 1, 0.0, box), renderer, models)]
    assert len(drawn) == 8
    for pixels in drawn:
        changed = np.argwhere((pixels != picture).any(2))
        assert changed.min() >= 40
        assert changed.max() < 150
    assert (drawn[0] != drawn[5]).any()  # it hears

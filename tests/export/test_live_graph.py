"""The graph of a live stream's step: proven by streams, and its weights stand in the other graphs."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from emotalk_contract import tensors
from emotalk_contract.recipe import SHARED_WEIGHTS_NAME, Manifest
from emotalk_contract.repository import bundled
from emotalk_export import compact, compact_live, live_graph
from emotalk_export.compact_live import LiveStep, reach_of
from emotalk_export.errors import GraphExportFailed, ValuesDiffer
from emotalk_export.face import CompactFaceModel, open_face
from emotalk_export.shared_weights import share_weights

pytestmark = pytest.mark.torch

FILE = bundled() / tensors.LIVE.name / "1" / "model.onnx"
SMALL = compact.CompactConfig(
    width=32, hidden=64, emotion_width=16, emotion_hidden=32, emotion_out=8, decoder_hidden=32
)
"""The bundled network's depths, and so its reach, in little."""


@pytest.fixture(scope="module")
def face():
    torch.manual_seed(3)
    return compact.CompactFace(SMALL).eval()


@pytest.fixture(scope="module")
def exported(face, tmp_path_factory):
    """The graph, and the largest difference of its streams from their whole clips."""
    return live_graph.export_live_graph(face, reach_of(face.config), tmp_path_factory.mktemp("step"))


def test_streams_of_random_weights_are_their_whole_clips(exported):
    assert exported[1] <= live_graph.TOLERANCE


@pytest.mark.parametrize("broken", ["mask", "cache", "late"])
def test_a_step_that_is_wrong_is_not_kept(face, tmp_path, monkeypatch, broken):
    if broken == "mask":  # rows beyond the stream's ends count
        monkeypatch.setattr(
            compact_live, "_inside", lambda first, end, start, count: torch.ones(1, count, 1) + 0 * first[:, :, None]
        )
    elif broken == "cache":  # the past is forgotten
        monkeypatch.setattr(compact_live._Parts, "keep", lambda self, rows: self._kept.append(0 * rows.flatten(1)))
    else:  # frames are read one feature too late
        monkeypatch.setattr(live_graph.Step, "_positions", _one_late(live_graph.Step._positions))
    with pytest.raises(ValuesDiffer, match="differ from their whole clips"):
        live_graph.export_live_graph(face, reach_of(face.config), tmp_path)


def _one_late(positions):
    return lambda self, frame, features: positions(self, frame, features) + np.float32(1)


def test_a_network_whose_emotion_looks_further_than_its_content_does_not_stream():
    assert reach_of(compact.CompactConfig(content_blocks_ahead=1, emotion_blocks_ahead=2)) is None
    assert reach_of(compact.CompactConfig()) is not None


def test_a_face_that_does_not_stream_has_no_step(tmp_path):
    config = compact.CompactConfig(content_blocks=2, content_blocks_ahead=1, emotion_blocks=2, emotion_blocks_ahead=1)
    torch.save(compact.CompactFace(config).to_checkpoint({}), tmp_path / "face.pt")
    model = open_face(tmp_path / "face.pt")
    assert isinstance(model, CompactFaceModel)
    assert model.recipe.steps is None
    assert model.write_step(tmp_path / "step") is None


def test_its_cache_is_what_its_layers_remember(face):
    content, emotion, decoder = (
        sum(b.past + b.ahead for b in part.layers) for part in (face.content, face.emotion, face.decoder)
    )
    wide, narrow = SMALL.width, SMALL.emotion_width
    assert LiveStep(face).cache_size == 94 + (content + 1 + decoder) * wide + emotion * narrow


def test_the_bundled_graphs_weights_stand_where_the_table_says():
    table = json.loads(FILE.with_name(SHARED_WEIGHTS_NAME).read_text())
    theirs = {}
    for name in table["sha256"]:
        graph = onnx.load(bundled() / name / "1" / "model.onnx").graph
        theirs[name] = {numpy_helper.to_array(tensor).tobytes() for tensor in graph.initializer}
    assert len(table["tensors"]) > 100
    for place in table["tensors"].values():
        raw = (bundled() / place["model"] / "1" / "model.onnx").read_bytes()
        size = int(np.prod(place["shape"])) * np.dtype(place["type"]).itemsize
        assert raw[place["offset"] : place["offset"] + size] in theirs[place["model"]]
    assert FILE.stat().st_size < 200_000


def test_weights_that_stand_nowhere_else_are_not_left_out(exported):
    files, _ = exported
    with pytest.raises(GraphExportFailed, match="stands in none of emotalk_decoder"):
        share_weights(files.graph, {"emotalk_decoder": bundled() / "emotalk_decoder" / "1" / "model.onnx"})


def test_the_bundled_recipe_says_what_the_network_needs():
    assert Manifest.load(bundled()).recipe.steps == reach_of(compact.CompactConfig())

"""Neural renderers: a user's file becomes a model of the contract, and computes what it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import seeded_renderers
from emotalk_contract import renderers as facts
from emotalk_contract.renderers import RenderersError, load_manifest
from emotalk_export.checkpoint import CheckpointFile
from emotalk_export.errors import (
    CheckpointNotFinite,
    CheckpointNotFound,
    CheckpointUnreadable,
    NotACheckpoint,
    NotARepository,
    RendererMismatch,
    RendererRefused,
)
from emotalk_export.renderer import NETWORKS, Conventions, Given, export_renderers
from emotalk_export.renderer_checkpoint import fill
from emotalk_export.renderer_graphs import Arrays, examples, open_graph
from emotalk_export.renderer_networks import kernels, parts
from helpers import renderer_graphs as judges

pytestmark = pytest.mark.torch

MILLIONS = {"wav2lip": 36.3, "unet328": 12.2, "ave": 2.81}
"""Weights of the released networks, normalisation included."""


def _opened(state: dict[str, torch.Tensor]) -> CheckpointFile:
    return CheckpointFile(Path("seeded.pth"), "", 0, state)


def served(folder: Path, name: str, inputs: Arrays) -> np.ndarray:
    found: np.ndarray = open_graph(folder / name / "1" / "model.onnx").run(None, inputs)[0]
    return found


@pytest.fixture(scope="session")
def user_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A small graph with the inputs and outputs of a user's network, of which every output shows its inputs."""
    folder = tmp_path_factory.mktemp("graphs")

    def write(
        model: facts.Model,
        batch: int | str = "n",
        change: Callable[[list[list[object]]], None] = lambda _: None,
        kind: int = TensorProto.FLOAT,
        gain: float = 1.0,
    ) -> Path:
        sides = {"wav2lip": ([1, 80, 16], [6, 96, 96]), "unet328": ([32, 16, 16], [6, 320, 320]), "ave": ([1, 80, 16],)}
        inputs: list[list[object]] = [[batch, *shape] for shape in sides[model.name]]
        change(inputs)
        names = ["sound", "picture"][: len(inputs)]
        nodes = [helper.make_node("ReduceMean", ["sound"], ["mean"], axes=[2, 3], keepdims=1)]
        weights = []
        if model is facts.AVE:
            weights.append(numpy_helper.from_array(np.ones((512, 1, 1, 1), np.float32), "w"))
            nodes.append(helper.make_node("Conv", ["mean", "w"], ["out"]))
            out: list[object] = [batch, 512, 1, 1]
        else:  # each channel by another factor: any order shows
            channels = int(inputs[0][1])  # type: ignore[call-overload]
            mixed = np.zeros((3, 6, 1, 1), np.float32)
            mixed[:, :, 0, 0] = [
                [0.1, 0.2, 0.4, 0, 0.05, 0.02],
                [0.02, 0.1, 0, 0.4, 0.1, 0],
                [0, 0, 0.1, 0.1, 0.3, 0.3],
            ]
            heard = np.linspace(0, 0.01, 3 * channels, dtype=np.float32).reshape(3, channels, 1, 1)
            weights += [numpy_helper.from_array(mixed * gain, "w"), numpy_helper.from_array(heard, "v")]
            nodes.append(helper.make_node("Conv", ["picture", "w"], ["seen"]))
            nodes.append(helper.make_node("Conv", ["mean", "v"], ["hear"]))
            nodes.append(helper.make_node("Add", ["seen", "hear"], ["sum"]))
            nodes.append(helper.make_node("Relu" if gain > 1 else "Sigmoid", ["sum"], ["out"]))
            out = [batch, 3, *inputs[1][2:]]
        if kind != TensorProto.FLOAT:
            weights = [numpy_helper.from_array(numpy_helper.to_array(w).astype(np.float16), w.name) for w in weights]
        graph = helper.make_graph(
            nodes,
            "user",
            [helper.make_tensor_value_info(n, kind, s) for n, s in zip(names, inputs, strict=False)],
            [helper.make_tensor_value_info("out", kind, out)],
            weights,
        )
        path = folder / f"{model.name}{len(list(folder.iterdir()))}.onnx"
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(made, str(path))
        return path

    return write


# Networks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", facts.MODELS)
def test_as_many_weights_as_the_released_ones(name: str) -> None:
    found = kernels(NETWORKS[name]())
    count = sum(k.weight.numel() + 3 * k.out_channels for k in found)
    assert count / 1e6 == pytest.approx(MILLIONS[name], rel=0.005)


@pytest.mark.parametrize("name", facts.MODELS)
def test_another_telling_of_the_topology_gives_the_same(name: str) -> None:
    network, model = seeded_renderers.filled(name), facts.MODELS[name]
    folded = (kernel for part in parts(network).values() for kernel in part)
    graph = getattr(judges, name)((k.weight.detach().numpy(), k.bias.detach().numpy()) for k in folded)
    given = [np.ascontiguousarray(array) for array in Conventions().native(examples(model, 2))]
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, dict(zip([value.name for value in graph.graph.input], given, strict=True)))[0]
    with torch.inference_mode():
        found = network(*map(torch.from_numpy, given)).numpy()
    assert expected.std() > 0.05  # a picture, not a grey
    assert np.abs(found - expected).max() <= 1e-4


@pytest.mark.parametrize("name", facts.MODELS)
def test_seeded_networks_give_their_goldens(name: str) -> None:
    expected = json.loads((Path(__file__).parents[1] / "data" / "renderer_goldens.json").read_text())[name]
    given = [np.ascontiguousarray(array) for array in Conventions().native(examples(facts.MODELS[name], 1))]
    with torch.inference_mode():
        found = seeded_renderers.filled(name)(*map(torch.from_numpy, given)).numpy()
    assert np.std(expected) > 0.05
    assert np.abs(np.array(seeded_renderers.shown(found)) - expected).max() <= 1e-4


# Checkpoints ---------------------------------------------------------------------------------------


def test_parts_in_any_order() -> None:
    state = seeded_renderers.state("wav2lip")
    order = ("mouth", "colours", "face", "sound")
    turned = {key: state[key] for part in order for key in state if key.startswith(f"module.{part}.")}
    one, other = NETWORKS["wav2lip"](), NETWORKS["wav2lip"]()
    fill(one, _opened(state), "wav2lip")
    fill(other, _opened(turned), "wav2lip")
    assert list(turned) != list(state)
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_normalisation_is_folded_as_torch_computes_it() -> None:
    state = seeded_renderers.state("ave")
    network = seeded_renderers.filled("ave")
    x = torch.rand(2, 1, 80, 16)
    norm = torch.nn.BatchNorm2d(32).eval()
    norm.load_state_dict({k: state[f"module.sound.0.norm.{k}"] for k in norm.state_dict()})
    with torch.inference_mode():
        expected = norm(torch.nn.functional.conv2d(x, state["module.sound.0.conv.weight"], padding=1))
        found = kernels(network)[0](x)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "name"), [("ave", "wav2lip"), ("wav2lip", "ave"), ("wav2lip", "unet328"), ("unet328", "wav2lip")]
)
def test_another_network_is_refused_in_words(given: str, name: str) -> None:
    said = rf"accepted: the \d+ convolutions with [\d.]+ million weights of {name}"
    with pytest.raises(RendererMismatch, match=said):
        fill(NETWORKS[name](), _opened(seeded_renderers.state(given)), name)


def _without(key: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda state: state.pop(key)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (_without("module.sound.3.conv.weight"), NotACheckpoint, "module.sound.3.norm.weight"),
        (_without("module.sound.3.norm.running_var"), RendererMismatch, "module.sound.3.conv.weight"),
        (lambda s: s.update({"module.sound.0.norm.bias": torch.zeros(3)}), RendererMismatch, "32 channels"),
        (lambda s: s.update({"more": torch.zeros(3, 3)}), NotACheckpoint, "'more' of shape [3, 3]"),
        (lambda s: s.update({"epoch": 3}), NotACheckpoint, "'epoch' is a int"),
        (lambda s: s["module.sound.0.norm.bias"].fill_(np.nan), CheckpointNotFinite, "module.sound.0.norm.bias"),
    ],
    ids=["a layer", "a variance", "a short one", "a matrix", "a number", "nan"],
)
def test_damage_is_named(change: Callable[..., object], error: type[Exception], said: str) -> None:
    state = seeded_renderers.state("ave")
    change(state)
    with pytest.raises(error) as raised:
        fill(NETWORKS["ave"](), _opened(state), "ave")
    assert said in str(raised.value)


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("run",))


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wav2lip.pth"
    torch.save({"state_dict": _Code()}, path)
    with pytest.raises(CheckpointUnreadable, match="which is code, and that is never run"):
        export_renderers({"wav2lip": Given(path)}, tmp_path / "out")
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "out").exists()


# Graphs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", ["masked-first", "crop-first"])
@pytest.mark.parametrize("colours", ["bgr", "rgb"])
@pytest.mark.parametrize("audio", ["window", "tiled"])
@pytest.mark.parametrize("batch", ["n", 1])
def test_a_users_graph_in_every_convention(
    user_graph: Callable[..., Path], tmp_path: Path, channels: str, colours: str, audio: str, batch: str | int
) -> None:
    path = user_graph(facts.UNET328, batch)
    conventions = Conventions(channels, colours, audio)  # type: ignore[arg-type]
    done = export_renderers({"unet328": Given(path, conventions)}, tmp_path / "out")["unet328"]
    assert done.served.batch == (8 if batch == "n" else 1)
    inputs = examples(facts.UNET328, 1)
    found = served(tmp_path / "out", "unet328", inputs)
    # by hand, without the code under test
    masked, crop = inputs["CROP"][:, :3], inputs["CROP"][:, 3:]
    if colours == "bgr":
        masked, crop = masked[:, ::-1], crop[:, ::-1]
    picture = np.concatenate([masked, crop] if channels == "masked-first" else [crop, masked], 1)
    sound = inputs["FEATURES"]
    if audio == "tiled":
        sound = np.tile(sound[0, 8], 16)[None]
    own = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = own.run(None, {"sound": sound.reshape(1, 32, 16, 16), "picture": np.ascontiguousarray(picture)})[0]
    assert np.abs(found - (expected[:, ::-1] if colours == "bgr" else expected)).max() < 1e-6


def test_half_precision_and_axes_without_sizes(user_graph: Callable[..., Path], tmp_path: Path) -> None:
    def free(inputs: list[list[object]]) -> None:
        inputs[1][2:] = ["h", "w"]

    for path in (user_graph(facts.WAV2LIP, kind=TensorProto.FLOAT16), user_graph(facts.WAV2LIP, change=free)):
        done = export_renderers({"wav2lip": Given(path)}, tmp_path / "out")
        assert done["wav2lip"].difference < 1e-2


def _side(side: int) -> Callable[[list[list[object]]], None]:
    def change(inputs: list[list[object]]) -> None:
        inputs[1][2:] = [side, side]

    return change


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda g: g(facts.WAV2LIP, change=_side(256)), "[?, 6, 256, 256]"),
        (lambda g: g(facts.WAV2LIP, 4), "fixed at a batch of 4; accepted: a batch that varies, or of 1"),
        (lambda g: g(facts.UNET328), "accepted of wav2lip: [N, 1, 80, 16] and [N, 6, 96, 96]"),
        (lambda g: g(facts.AVE), "[?, 1, 80, 16]"),
        (lambda g: g(facts.WAV2LIP, gain=300.0), "accepted: 0..1"),
    ],
    ids=["256", "batch 4", "unet328", "ave", "bright"],
)
def test_another_graph_is_refused_in_words(
    user_graph: Callable[..., Path], tmp_path: Path, made: Callable[..., Path], said: str
) -> None:
    with pytest.raises(RendererRefused) as raised:
        export_renderers({"wav2lip": Given(made(user_graph))}, tmp_path / "out")
    assert said in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no graph", b"<html>", bytes(1000)])
def test_what_is_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wav2lip.onnx"
    path.write_bytes(content)
    with pytest.raises(RendererRefused, match=r"is not an ONNX graph"):
        export_renderers({"wav2lip": Given(path)}, tmp_path / "out")


def test_an_operator_that_nobody_has(tmp_path: Path) -> None:
    ends = ([("m", [1, 80, 16]), ("f", [6, 96, 96])], [("o", [3, 96, 96])])
    given, made = ([helper.make_tensor_value_info(n, 1, ["n", *s]) for n, s in end] for end in ends)
    graph = helper.make_graph([helper.make_node("Magic", ["m", "f"], ["o"], domain="nobody")], "g", given, made)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("nobody", 1)]
    path = tmp_path / "wav2lip.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    with pytest.raises(RendererRefused, match="cannot be run"):
        export_renderers({"wav2lip": Given(path)}, tmp_path / "out")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound):
        export_renderers({"ave": Given(tmp_path / "ave.pth")}, tmp_path / "out")


# The folder ----------------------------------------------------------------------------------------


def test_models_that_are_not_named_stay(user_graph: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_renderers({"wav2lip": Given(user_graph(facts.WAV2LIP))}, out)
    export_renderers({"ave": Given(user_graph(facts.AVE), licence="mine")}, out)
    found = load_manifest(out)
    assert sorted(found) == ["ave", "wav2lip"]
    assert found["ave"].licence == "mine"
    assert (out / "wav2lip" / "1" / "model.onnx").is_file()
    assert "KIND_GPU" in (out / "ave" / "configs" / "gpu.pbtxt").read_text()


def test_a_folder_of_something_else_is_left_alone(user_graph: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(NotARepository):
        export_renderers({"ave": Given(user_graph(facts.AVE))}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": "emotalk-renderers", "version": 2, "models": {}}',
        '{"format": "emotalk-renderers", "version": 1, "models": {"other": {}}}',
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / facts.MANIFEST_NAME).write_text(content)
    with pytest.raises(RenderersError, match=r"RENDERERS\.json"):
        load_manifest(tmp_path)
    known = {"ave": {"sha256": "", "bytes": 1, "batch": 1, "source": "", "source_sha256": ""}}
    (tmp_path / facts.MANIFEST_NAME).write_text(json.dumps({"format": facts.FORMAT, "version": 1, "models": known}))
    assert list(load_manifest(tmp_path)) == ["ave"]

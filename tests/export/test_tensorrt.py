"""TensorRT: profiles and commands here; that its parser takes the graphs where its library is installed.

    pip install --no-deps tensorrt-rtx-cu12-libs tensorrt-rtx-cu12-bindings nvidia-cuda-runtime-cu12

needs no GPU for the last one.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest

from emotalk_contract import tensors
from emotalk_contract.pipeline import pipeline
from emotalk_contract.plans import polygraphy_command, profiles, trtexec_command
from emotalk_contract.recipe import Manifest, Precision, Recipe, Widths
from emotalk_contract.tensors import Model
from emotalk_export.errors import PlanBuildFailed, TensorRTMissing
from emotalk_export.exporter import export
from emotalk_export.tensorrt import build_plan, find_tool

pytestmark = pytest.mark.torch

WIDTHS, RECIPE = Widths(512, 512, 1024, 1024), Recipe()


@pytest.mark.parametrize(("precision", "flag"), [("fp32", "--noTF32"), ("fp16", "--stronglyTyped")])
def test_trtexec_command(precision: Precision, flag: str) -> None:
    command = trtexec_command(
        Path("m.onnx"), Path("m.plan"), profiles(tensors.CONTENT_ENCODER, WIDTHS, RECIPE), precision
    )
    assert command[:3] == ["trtexec", "--onnx=m.onnx", "--saveEngine=m.plan"]
    assert "--minShapes=CONTENT_FEATURES:1x2x512,CONTENT_POSITIONS:1x2" in command
    assert "--optShapes=CONTENT_FEATURES:4x199x512,CONTENT_POSITIONS:4x120" in command
    assert "--maxShapes=CONTENT_FEATURES:8x1999x512,CONTENT_POSITIONS:8x1200" in command
    assert flag in command


def test_polygraphy_command() -> None:
    command = polygraphy_command(Path("m.onnx"), Path("m.plan"), profiles(tensors.FRONTEND, WIDTHS, RECIPE), "fp16")
    assert command[:5] == ["polygraphy", "convert", "m.onnx", "--convert-to", "trt"]
    assert command[command.index("--trt-max-shapes") + 1] == "NETWORK_AUDIO:[8,640000]"
    assert command[-1] == "--strongly-typed"


def install(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n" + script, "utf-8")
    path.chmod(0o755)


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that holds what a test puts into it, and a shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join((str(folder), "/bin")))
    return folder


def test_missing_tools_are_named(path_folder: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(TensorRTMissing, match=r"trtexec or polygraphy.*pip install polygraphy"):
        export(small_checkpoint, tmp_path / "repository", tensorrt=True)
    assert not (tmp_path / "repository").exists()  # said at once, not after an hour


@pytest.mark.parametrize("name", ["trtexec", "polygraphy"])
def test_a_tool_that_builds(path_folder: Path, tmp_path: Path, name: str) -> None:
    install(
        path_folder,
        name,
        'last=""; for a in "$@"; do case "$a" in --saveEngine=*) echo plan > "${a#--saveEngine=}";; esac;'
        ' [ "$last" = --output ] && echo plan > "$a"; last="$a"; done\n',
    )
    tool = find_tool()
    assert Path(tool).name == name
    plan = build_plan(tool, tmp_path / "model.onnx", tensors.DECODER, WIDTHS, RECIPE, "fp32")
    assert plan == tmp_path / "model.plan"
    assert plan.read_text("utf-8") == "plan\n"


def test_a_tool_that_fails(path_folder: Path, tmp_path: Path) -> None:
    install(path_folder, "trtexec", "echo 'no CUDA-capable device is detected' >&2; exit 3\n")
    with pytest.raises(PlanBuildFailed, match=r"emotalk_decoder \(exit status 3\)(.|\n)*no CUDA-capable device"):
        build_plan(find_tool(), tmp_path / "model.onnx", tensors.DECODER, WIDTHS, RECIPE, "fp32")


def test_a_tool_that_only_says_it_did(path_folder: Path, tmp_path: Path) -> None:
    install(path_folder, "trtexec", "echo PASSED\n")
    with pytest.raises(PlanBuildFailed):
        build_plan(find_tool(), tmp_path / "model.onnx", tensors.DECODER, WIDTHS, RECIPE, "fp32")


@pytest.fixture(scope="module")
def library() -> ModuleType:
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    pytest.skip("no TensorRT library here (see the head of this file)")


def _parsed(library: ModuleType, repository: Path, model: Model, manifest: Manifest) -> None:
    logger = library.Logger(library.Logger.ERROR)
    builder = library.Builder(logger)
    network = builder.create_network(0)
    parser = library.OnnxParser(network, logger)
    taken = parser.parse_from_file(str(repository / model.name / "1" / "model.onnx"))
    assert taken, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    assert [network.get_input(i).name for i in range(network.num_inputs)] == [t.name for t in model.inputs]
    assert [network.get_output(i).name for i in range(network.num_outputs)] == [t.name for t in model.outputs]
    # The shapes of the profiles fit the network that the parser understood.
    profile = builder.create_optimization_profile()
    for wanted in profiles(model, manifest.widths, manifest.recipe):
        assert not network.get_input([t.name for t in model.inputs].index(wanted.name)).is_shape_tensor
        profile.set_shape(wanted.name, wanted.smallest, wanted.best, wanted.largest)
    config = builder.create_builder_config()
    assert config.add_optimization_profile(profile) == 0


@pytest.mark.parametrize("name", [model.name for model in tensors.GRAPHS])
def test_tensorrt_s_parser_takes_the_graphs(library: ModuleType, small_repository: Path, name: str) -> None:
    manifest = Manifest.load(small_repository)
    model = next(model for model in pipeline(manifest.recipe).graphs if model.name == name)
    _parsed(library, small_repository, model, manifest)


def test_tensorrt_s_parser_takes_the_graphs_of_lam(library: ModuleType, lam_repository: Path) -> None:
    manifest = Manifest.load(lam_repository)
    graphs = pipeline(manifest.recipe).graphs
    assert len(graphs) == 3
    for model in graphs:
        _parsed(library, lam_repository, model, manifest)

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
from emotalk_contract.recipe import Manifest, Precision, Widths
from emotalk_contract.tensors import Model
from emotalk_contract.timing import Window, frame_grid
from emotalk_export.errors import PlanBuildFailed, TensorRTMissing
from emotalk_export.exporter import export
from emotalk_export.tensorrt import build_plan, find_tool

pytestmark = pytest.mark.torch

WIDTHS = Widths(512, 512, 1024, 1024)


def test_profiles_hold_every_window() -> None:
    by_name = {profile.name: profile for model in tensors.GRAPHS for profile in profiles(model, WIDTHS)}
    assert by_name["NETWORK_AUDIO"].smallest == (1, 1_600)
    assert by_name["NETWORK_AUDIO"].best == (4, 64_000)
    assert by_name["NETWORK_AUDIO"].largest == (8, 480_000)
    assert by_name["CONTENT_FEATURES"].largest == (8, 1_499, 512)
    assert by_name["LEVEL_CODE"].smallest == (1, 2)
    assert len(by_name) == 10
    for window in (Window.whole(480_000), Window(480_000), Window(480_000, 30, 960_000), Window.whole(1_600)):
        for grid in ("align_corners", "uniform"):
            positions = frame_grid(window, grid)  # type: ignore[arg-type]  # a word of FrameGrid
            for name, array in (
                ("CONTENT_POSITIONS", positions.content),
                ("EMOTION_POSITIONS", positions.emotion),
                ("EMOTION_FRAME_POSITIONS", positions.emotion_frame),
            ):
                profile = by_name[name]
                assert profile.smallest[1] <= len(array) <= profile.largest[1], (window, grid, name)


@pytest.mark.parametrize(("precision", "flag"), [("fp32", "--noTF32"), ("fp16", "--stronglyTyped")])
def test_trtexec_command(precision: Precision, flag: str) -> None:
    command = trtexec_command(Path("m.onnx"), Path("m.plan"), profiles(tensors.CONTENT_ENCODER, WIDTHS), precision)
    assert command[:3] == ["trtexec", "--onnx=m.onnx", "--saveEngine=m.plan"]
    assert "--minShapes=CONTENT_FEATURES:1x4x512,CONTENT_POSITIONS:1x3" in command
    assert "--optShapes=CONTENT_FEATURES:4x199x512,CONTENT_POSITIONS:4x120" in command
    assert "--maxShapes=CONTENT_FEATURES:8x1499x512,CONTENT_POSITIONS:8x900" in command
    assert flag in command


def test_polygraphy_command() -> None:
    command = polygraphy_command(Path("m.onnx"), Path("m.plan"), profiles(tensors.FRONTEND, WIDTHS), "fp16")
    assert command[:5] == ["polygraphy", "convert", "m.onnx", "--convert-to", "trt"]
    assert command[command.index("--trt-max-shapes") + 1] == "NETWORK_AUDIO:[8,480000]"
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
    plan = build_plan(tool, tmp_path / "model.onnx", tensors.DECODER, WIDTHS, "fp32")
    assert plan == tmp_path / "model.plan"
    assert plan.read_text("utf-8") == "plan\n"


def test_a_tool_that_fails(path_folder: Path, tmp_path: Path) -> None:
    install(path_folder, "trtexec", "echo 'no CUDA-capable device is detected' >&2; exit 3\n")
    with pytest.raises(PlanBuildFailed, match=r"emotalk_decoder \(exit status 3\)(.|\n)*no CUDA-capable device"):
        build_plan(find_tool(), tmp_path / "model.onnx", tensors.DECODER, WIDTHS, "fp32")


def test_a_tool_that_only_says_it_did(path_folder: Path, tmp_path: Path) -> None:
    install(path_folder, "trtexec", "echo PASSED\n")
    with pytest.raises(PlanBuildFailed):
        build_plan(find_tool(), tmp_path / "model.onnx", tensors.DECODER, WIDTHS, "fp32")


@pytest.fixture(scope="module")
def library() -> ModuleType:
    for name in ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    pytest.skip("no TensorRT library here (see the head of this file)")


def _parsed(library: ModuleType, repository: Path, model: Model, widths: Widths) -> None:
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
    for wanted in profiles(model, widths):
        assert not network.get_input([t.name for t in model.inputs].index(wanted.name)).is_shape_tensor
        profile.set_shape(wanted.name, wanted.smallest, wanted.best, wanted.largest)
    config = builder.create_builder_config()
    assert config.add_optimization_profile(profile) == 0


@pytest.mark.parametrize("name", [model.name for model in tensors.GRAPHS])
def test_tensorrt_s_parser_takes_the_graphs(library: ModuleType, small_repository: Path, name: str) -> None:
    manifest = Manifest.load(small_repository)
    model = next(model for model in pipeline(manifest.recipe).graphs if model.name == name)
    _parsed(library, small_repository, model, manifest.widths)


def test_tensorrt_s_parser_takes_the_graphs_of_lam(library: ModuleType, lam_repository: Path) -> None:
    manifest = Manifest.load(lam_repository)
    graphs = pipeline(manifest.recipe).graphs
    assert len(graphs) == 3
    for model in graphs:
        _parsed(library, lam_repository, model, manifest.widths)

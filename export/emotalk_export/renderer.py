"""Export of neural renderers: a user's own files into a folder that ``emotalk-server --renderers`` serves.

Rule that this module guards: **a folder is replaced whole, by one whose graphs have proved themselves, or not at all.**
Models that were exported into it before, and are not named now, stay.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from emotalk_contract import renderers
from emotalk_contract.configs import HEADER, PROFILE_PATHS
from emotalk_contract.renderers import MANIFEST_NAME, RenderersError, ServedRenderer
from emotalk_contract.repository import VERSION
from emotalk_contract.tensors import Model, Tensor
from emotalk_export.checkpoint import open_checkpoint
from emotalk_export.errors import CheckpointNotFound, NotARepository, RendererRefused, RepositoryNotWritable
from emotalk_export.onnx_export import GRAPH_NAME, export_graph
from emotalk_export.renderer_checkpoint import fill
from emotalk_export.renderer_graphs import (
    NATIVE_AUDIO,
    PROVED_BATCH,
    Conventions,
    examples,
    open_graph,
    own_inputs,
    proved,
    ran,
    read_graph,
    serveable,
)
from emotalk_export.renderer_networks import Ave, Unet328, Wav2Lip
from emotalk_export.swap import replacing

NETWORKS: dict[str, type[nn.Module]] = {
    renderers.WAV2LIP.name: Wav2Lip,
    renderers.UNET328.name: Unet328,
    renderers.AVE.name: Ave,
}
_NATIVE = Tensor("FEATURES", "FP32", NATIVE_AUDIO, "as the network itself takes them")


@dataclass(frozen=True, slots=True)
class Given:
    """A user's file, and how its network takes its inputs."""

    path: Path
    conventions: Conventions = field(default_factory=Conventions)
    licence: str = ""
    """In the user's words."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A renderer as it was written."""

    served: ServedRenderer
    difference: float
    """Largest, from torch or from the user's own graph."""


def export_renderers(
    given: Mapping[str, Given], output: Path, progress: Callable[[str], None] | None = None
) -> dict[str, Exported]:
    """Write the models ``given`` by name into the folder ``output``, which is replaced in one step.

    Raises:
        ExportError: the subclass that says what is wrong; ``output`` is then as it was.
    """
    kept = _kept(output)
    tell = progress or (lambda _: None)
    done: dict[str, Exported] = {}
    try:
        with replacing(output) as folder:
            for name, one in given.items():
                tell(f"exporting {name}")
                done[name] = _write(folder / name, renderers.MODELS[name], one)
            for name in kept.keys() - given.keys():
                shutil.copytree(output / name, folder / name)
            kept |= {name: one.served for name, one in done.items()}
            renderers.save_manifest(folder, kept)
    except OSError as error:
        raise RepositoryNotWritable(f"{output} cannot be written: {error}") from error
    return done


def _kept(output: Path) -> dict[str, ServedRenderer]:
    """Return the models that are in ``output`` already.

    Raises:
        NotARepository: it is something else than a folder of renderers.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return {}
    try:
        found = renderers.load_manifest(output)
    except RenderersError as error:
        raise NotARepository(
            f"{output} must not be replaced: {error}; accepted: a new or empty folder, or one of renderers"
        ) from error
    others = sorted({path.name for path in output.iterdir()} - {*found, MANIFEST_NAME})
    if others:
        raise NotARepository(f"{output} holds {', '.join(others[:5])}, which an export must not replace")
    return found


def _write(folder: Path, model: Model, given: Given) -> Exported:
    version = folder / VERSION
    version.mkdir(parents=True)
    path = version / GRAPH_NAME
    if not given.path.is_file():
        raise CheckpointNotFound(f"{given.path} is not a file; accepted: the .onnx or .pth of {model.name}")
    sizes = (1, PROVED_BATCH)
    conventions = given.conventions
    if given.path.suffix.lower() == ".onnx":
        graph = read_graph(given.path)
        wrapped = serveable(graph, model, conventions, given.path)
        expected = [_of_graph(graph, model, given, batch) for batch in sizes if batch <= wrapped.batch]
    else:
        file = open_checkpoint(given.path)
        network = NETWORKS[model.name]().eval()
        fill(network, file, model.name)
        expected = [_of_torch(network, model, conventions, batch) for batch in sizes]
        wrapped = serveable(_graph(network, model, version), model, conventions, given.path)
    onnx.save(wrapped.graph, str(path))
    difference = max(
        proved(path, model, examples(model, batch), values, wrapped.tolerance)
        for batch, values in zip(sizes, expected, strict=False)
    )
    for profile, config in PROFILE_PATHS.items():
        if profile != "tensorrt":
            (folder / config).parent.mkdir(exist_ok=True)
            (folder / config).write_text(HEADER + renderers.config(model, wrapped.batch, gpu=profile == "gpu"), "utf-8")
    pictured = model is not renderers.AVE
    return Exported(
        ServedRenderer(
            sha256=_sha256(path),
            bytes=path.stat().st_size,
            batch=wrapped.batch,
            source=given.path.name,
            source_sha256=_sha256(given.path),
            channels=conventions.channels if pictured else "",
            colours=conventions.colours if pictured else "",
            audio=conventions.audio if model is renderers.UNET328 else "",
            licence=given.licence,
        ),
        difference,
    )


def _graph(network: nn.Module, model: Model, folder: Path) -> onnx.ModelProto:
    """Return ``network``, in its own conventions, as a graph; it passes through ``folder``."""
    inputs = tuple(_NATIVE if tensor == renderers.FEATURES else tensor for tensor in model.inputs)
    native = Model(model.name, inputs, model.outputs)
    generator = torch.Generator().manual_seed(0)
    arguments = tuple(torch.rand((2, *map(int, tensor.axes)), generator=generator) for tensor in inputs)
    written = export_graph(network, native, {}, folder, arguments=arguments)
    return onnx.load(str(written.graph))


def _of_torch(network: nn.Module, model: Model, conventions: Conventions, batch: int) -> NDArray[np.float32]:
    native = conventions.native(examples(model, batch))
    with torch.inference_mode():
        output: NDArray[np.float32] = network(*(torch.from_numpy(array.copy()) for array in native)).numpy()
    return conventions.contract(output, model.outputs[0])


def _of_graph(graph: onnx.ModelProto, model: Model, given: Given, batch: int) -> NDArray[np.float32]:
    session = open_graph(given.path)
    inputs = own_inputs(session, graph, model, given.path, examples(model, batch), given.conventions)
    output = ran(session, None, inputs, given.path)[0].astype(np.float32)
    size = int(np.prod(model.outputs[0].axes))  # type: ignore[arg-type]  # all are numbers
    if output.size != batch * size:
        accepted = [batch, *model.outputs[0].axes]
        raise RendererRefused(f"{given.path} gives {list(output.shape)} for a batch of {batch}; accepted: {accepted}")
    return given.conventions.contract(output, model.outputs[0])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

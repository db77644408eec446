"""Modules into ONNX files whose tensors are the contract's.

Theory of operation. torch's exporter (the one on torch.export) turns a module into a graph in which batch and time
vary. The graph is then made fit to be kept: axes get the contract's names, shapes that only copy their input's are
written as constants (so that TensorRT has no shape tensors to follow), and everything is removed that tells of the
machine it was made on, so that the same weights give the same bytes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from onnxscript import ir
from torch import nn
from torch.export import Dim, ExportedProgram

from emotalk_contract.configs import axis_sizes, shape
from emotalk_contract.recipe import Widths
from emotalk_contract.tensors import Model, Tensor
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_export.errors import GraphExportFailed

OPSET = 20
"""ONNX operator set: the first with Gelu and LayerNormalization as single operators."""
INLINE_LIMIT = 256_000_000
"""Bytes of weights above which they go into a file of their own.

Protobuf reads no message above 2 GiB. Well below that, a file of its own is what an export streams to and a server maps
into memory, where one message is held several times over.
"""
GRAPH_NAME = "model.onnx"
DATA_NAME = "model.onnx.data"

_COPIES = {"Reshape": 0, "Expand": 1}
"""Sign for "as in the input" in the shape that the operator takes: Expand broadcasts an axis of 1."""

HALF_FROM = 512
"""Elements from which a tensor of float16 numbers is worth storing as such."""

_EXAMPLE_BATCH = 2
"""torch takes an axis of size 1 for one that never varies."""
_EXAMPLE_SAMPLES = SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class GraphFiles:
    """A graph on disk."""

    graph: Path
    data: Path | None
    """Its weights, where they are too large to lie in the graph."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that there are."""
        return (self.graph,) if self.data is None else (self.graph, self.data)


def export_graph(
    module: nn.Module,
    model: Model,
    widths: Widths | Mapping[str, int],
    folder: Path,
    inline_limit: int = INLINE_LIMIT,
    rewrite: Callable[[ir.Model], None] | None = None,
    arguments: tuple[torch.Tensor, ...] | None = None,
) -> GraphFiles:
    """Write ``module`` as ``folder/model.onnx``, with ``model``'s names, dynamic in batch and every named axis.

    Weights of more than ``inline_limit`` bytes go to ``folder/model.onnx.data``. ``rewrite`` may change the graph
    before it is written. ``widths`` are the sizes that do not vary, ``arguments`` the example that it is traced with;
    None: a second of a clip.

    Raises:
        GraphExportFailed: torch cannot export the module, or folds an axis that must vary.
    """
    known = dict(widths) if isinstance(widths, Mapping) else asdict(widths)
    if arguments is None:
        assert isinstance(widths, Widths)  # noqa: S101  # a graph of a clip
        arguments = examples(model, widths, _EXAMPLE_SAMPLES, _EXAMPLE_BATCH)
    program = _traced(module, model, known, arguments)
    with _quiet_exporter():
        try:
            onnx_program = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[tensor.name for tensor in model.inputs],
                output_names=[tensor.name for tensor in model.outputs],
                verbose=False,
            )
        except Exception as error:
            raise GraphExportFailed(f"{model.name} could not be written as ONNX: {_first_line(error)}") from error
    if onnx_program is None:
        raise GraphExportFailed(f"{model.name}: torch wrote no graph")
    graph: ir.Model = onnx_program.model
    _tidy(graph, model, known)
    if rewrite is not None:
        rewrite(graph)
        _remove_unused(graph.graph)
    constants = (value.const_value for value in graph.graph.initializers.values())
    weights = sum(constant.nbytes for constant in constants if constant is not None)
    path = folder / GRAPH_NAME
    external = weights > inline_limit
    if not external:
        _store_halves(graph.graph)
    # The data file's name is relative to the graph's folder: the pair may be moved together.
    ir.save(graph, path, external_data=DATA_NAME if external else None)
    return GraphFiles(path, folder / DATA_NAME if external else None)


def examples(model: Model, widths: Widths, samples: int, batch: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Inputs of ``model`` for a clip of ``samples`` samples: noise, and positions that lie on its features."""
    sizes = axis_sizes(samples, widths)
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand((batch, *shape(tensor, sizes)), generator=generator) for tensor in model.inputs)


def _varying(tensor: Tensor, known: Mapping[str, int]) -> tuple[int, ...]:
    """The axes of ``tensor`` (0 is the batch) that no checkpoint decides."""
    return tuple(i for i, axis in enumerate(tensor.axes, start=1) if isinstance(axis, str) and axis not in known)


def _traced(
    module: nn.Module, model: Model, known: Mapping[str, int], arguments: tuple[torch.Tensor, ...]
) -> ExportedProgram:
    # DYNAMIC: fails if the module only works for the example's size of such an axis.
    shapes = tuple(dict.fromkeys((0, *_varying(tensor, known)), Dim.DYNAMIC) for tensor in model.inputs)
    try:
        return torch.export.export(module, arguments, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        raise GraphExportFailed(f"{model.name} could not be traced: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {(str(cause).strip().splitlines() or [''])[0]}"


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silences what torch's exporter says about itself and what nobody who exports a face can act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # "torchvision is not installed", once per operator of it
    try:
        with warnings.catch_warnings():
            # torch 2.13's exporter uses a class that torch 2.13 deprecates.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _tidy(model: ir.Model, contract: Model, known: Mapping[str, int]) -> None:
    graph = model.graph
    _constant_shapes(graph)
    _name_axes(graph.inputs, contract.inputs, known)
    _name_axes(graph.outputs, contract.outputs, known)
    graph.name = contract.name
    ends = {*graph.inputs, *graph.outputs}
    for node in graph:
        node.metadata_props.clear()  # stack traces, with the paths of the machine
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in ends:
                value.shape = None  # in torch's symbols, and every runtime infers it
                value.type = None
    for value in (*ends, *graph.initializers.values()):
        value.metadata_props.clear()
    graph.metadata_props.clear()
    model.metadata_props.clear()


def _name_axes(values: Sequence[ir.Value], tensors: Sequence[Tensor], known: Mapping[str, int]) -> None:
    for value, tensor in zip(values, tensors, strict=True):
        sizes: dict[str, int | str] = dict(known)
        named = [sizes.get(axis, axis) if isinstance(axis, str) else axis for axis in tensor.axes]
        found = value.shape
        if found is None or len(found) != 1 + len(named):
            raise GraphExportFailed(f"{tensor.name} has shape {found}; the contract says [batch, {named}]")
        for size, axis in zip(found, ("batch", *named), strict=True):
            if isinstance(size, int) != isinstance(axis, int) or (isinstance(size, int) and size != axis):
                raise GraphExportFailed(f"{tensor.name}: an axis is {size}; the contract says {axis}")
        value.shape = ir.Shape(["batch", *named])


def _constant_shapes(graph: ir.Graph) -> None:
    """Give Reshape and Expand constant shapes where every axis is known or the input's own."""
    for node in list(graph):
        if node.op_type not in _COPIES:
            continue
        dims = _copied_dims(node)
        if dims is None:
            continue
        node.attributes.pop("allowzero", None)  # a 0 is to copy, not to be empty
        constant = ir.Value(name=f"{node.outputs[0].name}_shape")
        constant.const_value = ir.tensor(np.array(dims, np.int64), name=constant.name)
        graph.register_initializer(constant)
        node.replace_input_with(1, constant)
    _remove_unused(graph)


def _copied_dims(node: ir.Node) -> list[int] | None:
    """Shape of a node's output, with the operator's sign for an axis that is its input's own; None: not so."""
    source, target = node.inputs[0], node.outputs[0]
    if source is None or source.shape is None or target.shape is None:
        return None
    dims: list[int] = []
    for i, size in enumerate(target.shape):
        if isinstance(size, int):
            dims.append(size)
        elif i < len(source.shape) and source.shape[i] == size:
            dims.append(_COPIES[node.op_type])
        else:
            return None
    # Expand aligns axes at the end, Reshape at the front.
    return dims if node.op_type == "Reshape" or len(source.shape) == len(dims) else None


def _store_halves(graph: ir.Graph) -> None:
    """Store as float16 what is float16 already, with a Cast where it is used: half the size, not a bit lost.

    A checkpoint may hold float16 weights, as the bundled face model's does; arithmetic is float32 all the same.
    """
    for value in list(graph.initializers.values()):
        constant = value.const_value
        if constant is None or constant.dtype != ir.DataType.FLOAT or constant.size < HALF_FROM:
            continue
        full = constant.numpy()
        with np.errstate(over="ignore"):  # what is too large for float16 stays float32
            half = full.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), full):
            continue
        name = f"{value.name}_half"
        stored = ir.Value(name=name, const_value=ir.tensor(half, name=name))
        cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT})
        cast.outputs[0].name = f"{value.name}_float"
        ir.convenience.replace_all_uses_with(value, cast.outputs[0])
        del graph.initializers[str(value.name)]
        graph.register_initializer(stored)
        graph.insert_before(graph[0], cast)


def _remove_unused(graph: ir.Graph) -> None:
    """Remove nodes and initialisers that nothing uses any more."""
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]

"""A renderer's graph as the contract has it, whoever exported it.

Rule that this module guards: **what is served has one order of channels, one of colours and one of features**
(:mod:`emotalk_contract.renderers`), and it was seen to compute what the user's own graph does. Inputs and outputs of
the user's graph are found by their shapes, for every exporter names them differently; around it come the few operators
that bring the contract's tensors into its own conventions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from emotalk_contract import renderers
from emotalk_contract.quoting import cut, quoted
from emotalk_contract.tensors import Model, Tensor
from emotalk_export.errors import RendererRefused, ValuesDiffer

Channels: TypeAlias = Literal["masked-first", "crop-first"]
Colours: TypeAlias = Literal["bgr", "rgb"]
Audio: TypeAlias = Literal["window", "tiled"]
Arrays: TypeAlias = dict[str, NDArray[np.float32]]

NATIVE_AUDIO = (32, 16, 16)
"""Shape in which a UNet takes :data:`~emotalk_contract.renderers.FEATURES`."""
TOLERANCE, HALF_TOLERANCE = 1e-4, 1e-2
"""Largest difference from the user's graph, or from torch; of a graph in float16, whose roundings move when it is
optimised with others around it."""
PROVED_BATCH = 3
_OURS = "renderer_"
"""Before every name of what is put around a graph."""
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16}


@dataclass(frozen=True, slots=True)
class Conventions:
    """The traps in which released networks of one kind differ."""

    channels: Channels = "masked-first"
    colours: Colours = "bgr"
    audio: Audio = "window"
    """``window``: the 16 features side by side; ``tiled``: the picture's own, sixteen times."""

    @property
    def picked(self) -> list[int]:
        """Of the contract's six channels, those that the network takes, in its order."""
        masked, crop = ([2, 1, 0], [5, 4, 3]) if self.colours == "bgr" else ([0, 1, 2], [3, 4, 5])
        return masked + crop if self.channels == "masked-first" else crop + masked

    @property
    def shown(self) -> list[int]:
        """Of the network's three channels, red, green and blue."""
        return [2, 1, 0] if self.colours == "bgr" else [0, 1, 2]

    def native(self, inputs: Arrays) -> list[NDArray[np.float32]]:
        """Return the contract's ``inputs``, each with its batch axis, as the network takes them."""
        found = []
        for name, array in inputs.items():
            given = array
            if name in (renderers.FACE.name, renderers.CROP.name):
                given = array[:, self.picked]
            elif name == renderers.FEATURES.name:
                if self.audio == "tiled":
                    own = renderers.FEATURES_BEFORE
                    given = np.repeat(array[:, own : own + 1], renderers.FEATURE_WINDOW, 1)
                given = given.reshape(-1, *NATIVE_AUDIO)
            found.append(given)
        return found

    def contract(self, output: NDArray[np.float32], tensor: Tensor) -> NDArray[np.float32]:
        """Return the network's ``output`` as the contract has it."""
        found = output.reshape(len(output), *map(int, tensor.axes))
        return found[:, self.shown] if tensor.axes[0] == 3 else found


@dataclass(frozen=True, slots=True)
class Serveable:
    """A graph with the contract's names."""

    graph: onnx.ModelProto
    batch: int
    """Most items at once."""
    tolerance: float
    """Largest difference from the user's graph."""


def read_graph(path: Path) -> onnx.ModelProto:
    """Return the graph in ``path``.

    Raises:
        RendererRefused: it is not an ONNX graph.
    """
    try:
        graph = onnx.load(str(path))
        onnx.checker.check_model(graph)
    except Exception as error:  # protobuf's, the checker's and the file's errors share no base class
        raise RendererRefused(
            f"{path} is not an ONNX graph: {cut(_line(error))}; accepted: an exported .onnx file, whole"
        ) from error
    return graph


def serveable(graph: onnx.ModelProto, model: Model, conventions: Conventions, path: Path) -> Serveable:
    """Return ``graph``, which is the user's ``path``, as ``model``.

    Raises:
        RendererRefused: its inputs or outputs are not those of ``model``.
    """
    graph = compose.add_prefix(graph, _OURS + "given/")
    weights = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in weights]
    given = _by_shape(inputs, model.inputs, "inputs", model, path)
    made = _by_shape(list(graph.graph.output), model.outputs, "outputs", model, path)
    batch = _batch(given, model, path)
    size = batch if batch == 1 else "batch"
    before = _Nodes(graph)
    for value, tensor in zip(given, model.inputs, strict=True):
        name = tensor.name
        if name in (renderers.FACE.name, renderers.CROP.name):
            name = before.picked(name, conventions.picked)
        elif name == renderers.FEATURES.name:
            name = before.features(name, conventions.audio)
        before.cast(name, value.type.tensor_type.elem_type, value.name)
    after = _Nodes(graph)
    for value, tensor in zip(made, model.outputs, strict=True):
        name = after.cast(value.name, TensorProto.FLOAT)
        if tensor.axes[0] == 3:
            name = after.picked(name, conventions.shown)
        after.reshaped(name, [0, *map(int, tensor.axes)], tensor.name)
    nodes = [*before.nodes, *graph.graph.node, *after.nodes]
    kept = [value for value in graph.graph.input if value.name in weights]
    for field, values in (("node", nodes), ("input", kept), ("output", [])):
        graph.graph.ClearField(field)
        getattr(graph.graph, field).extend(values)
    graph.graph.ClearField("value_info")  # every runtime infers it; a user's may be of one batch
    graph.graph.name = model.name
    graph.graph.input.extend(_info(tensor, size) for tensor in model.inputs)
    graph.graph.output.extend(_info(tensor, size) for tensor in model.outputs)
    kinds = {value.type.tensor_type.elem_type for value in (*given, *made)}
    return Serveable(graph, batch, HALF_TOLERANCE if TensorProto.FLOAT16 in kinds else TOLERANCE)


def open_graph(path: Path) -> onnxruntime.InferenceSession:
    """Return a session of the graph in ``path`` on the CPU.

    Raises:
        RendererRefused: ONNX Runtime does not take it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes as an exception
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise RendererRefused(f"{path} cannot be run: {cut(_line(error))}; accepted: a graph of ONNX alone") from error


def examples(model: Model, batch: int) -> Arrays:
    """Return inputs of ``model``, the same on every machine: pictures 0..1, sound -4..4."""
    generator = np.random.Generator(np.random.PCG64(batch))
    found = {}
    for tensor in model.inputs:
        low, high = (0.0, 1.0) if tensor in (renderers.FACE, renderers.CROP) else (-4.0, 4.0)
        shape = (batch, *map(int, tensor.axes))
        found[tensor.name] = generator.uniform(low, high, shape).astype(np.float32)
    return found


def proved(path: Path, model: Model, inputs: Arrays, expected: NDArray[np.float32], tolerance: float) -> float:
    """Compare the served graph in ``path`` with what was ``expected``; return the largest difference.

    Raises:
        RendererRefused: it does not run, or gives what is not a picture.
        ValuesDiffer: it is further off than the tolerance.
    """
    (tensor,) = model.outputs
    got = ran(open_graph(path), [tensor.name], inputs, path)[0]
    shape = (len(expected), *map(int, tensor.axes))
    if got.shape != shape:
        raise RendererRefused(f"{path}: {tensor.name} came as {list(got.shape)}; accepted: {list(shape)}")
    if not np.isfinite(got).all():
        raise RendererRefused(f"{path}: {tensor.name} has NaN or infinity in it; accepted: numbers")
    if tensor.axes[0] == 3 and not (got.min() >= -TOLERANCE and got.max() <= 1 + TOLERANCE):
        raise RendererRefused(
            f"{path}: its pictures have values of {got.min():.3g}..{got.max():.3g}; accepted: 0..1, as behind a sigmoid"
        )
    largest = float(np.abs(got - expected).max())
    if largest > tolerance:
        raise ValuesDiffer(
            f"{model.name}: {tensor.name} is off by {largest:.2e}; accepted: {tolerance:g}", largest=largest
        )
    return largest


def ran(
    session: onnxruntime.InferenceSession, outputs: Sequence[str] | None, inputs: Arrays, path: Path
) -> list[NDArray[np.float32]]:
    """Return what ``session`` gives.

    Raises:
        RendererRefused: it fails.
    """
    try:
        found: list[NDArray[np.float32]] = session.run(outputs, inputs)
    except Exception as error:  # likewise
        raise RendererRefused(f"{path} fails when it is run: {cut(_line(error))}") from error
    return found


def own_inputs(
    session: onnxruntime.InferenceSession,
    graph: onnx.ModelProto,
    model: Model,
    path: Path,
    inputs: Arrays,
    conventions: Conventions,
) -> Arrays:
    """Return ``inputs`` of the contract by the names and in the conventions of the user's own ``graph``."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    given = [value for value in graph.graph.input if value.name not in weights]
    names = [value.name for value in _by_shape(given, model.inputs, "inputs", model, path)]
    types = {entry.name: np.float16 if "float16" in entry.type else np.float32 for entry in session.get_inputs()}
    native = conventions.native(inputs)
    return {name: array.astype(types[name]) for name, array in zip(names, native, strict=True)}


class _Nodes:
    """Operators that are put before or behind a graph."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self._graph = graph
        self.nodes: list[onnx.NodeProto] = []

    def _add(self, operator: str, inputs: list[str], to: str | None = None, **attributes: Any) -> str:
        name = to or f"{_OURS}{inputs[0].removeprefix(_OURS)}_{operator.lower()}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"{_OURS}node/{name}", **attributes))
        return name

    def _constant(self, name: str, values: Any) -> str:
        self._graph.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def picked(self, name: str, channels: list[int]) -> str:
        """Channels of ``name``, in this order."""
        return self._add("Gather", [name, self._constant(f"{_OURS}{name}_order", channels)], axis=1)

    def features(self, name: str, audio: Audio) -> str:
        """The 16 features as the network takes them."""
        if audio == "tiled":
            own = self._constant(f"{_OURS}{name}_own", [renderers.FEATURES_BEFORE])
            name = self._add("Gather", [name, own], axis=1)
            name = self._add("Concat", [name] * renderers.FEATURE_WINDOW, axis=1)
        return self.reshaped(name, [0, *NATIVE_AUDIO])

    def reshaped(self, name: str, shape: list[int], to: str | None = None) -> str:
        """``name`` in ``shape``, in which 0 is an axis that stays."""
        return self._add("Reshape", [name, self._constant(f"{_OURS}{name}_shape", shape)], to)

    def cast(self, name: str, kind: int, to: str | None = None) -> str:
        """``name`` in another type of numbers."""
        result = to or f"{_OURS}{name.removeprefix(_OURS)}_cast"
        self.nodes.append(helper.make_node("Cast", [name], [result], name=f"{_OURS}node/{result}", to=kind))
        return result


def _info(tensor: Tensor, batch: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, [batch, *tensor.axes])


def _sizes(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return the axes of ``value``; None: one that varies."""
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims]


def _wanted(tensor: Tensor) -> list[tuple[int, ...]]:
    """Return the shapes that a network may have for the contract's ``tensor``, without the batch."""
    if tensor == renderers.FEATURES:
        return [NATIVE_AUDIO]
    axes = tuple(map(int, tensor.axes))
    return [axes, (*axes, 1, 1)] if tensor == renderers.FEATURE else [axes]


def _fits(value: onnx.ValueInfoProto, tensor: Tensor) -> bool:
    sizes = _sizes(value)[1:]
    return value.type.tensor_type.elem_type in _FLOATS and any(
        len(sizes) == len(shape) and all(s is None or s == w for s, w in zip(sizes, shape, strict=True))
        for shape in _wanted(tensor)
    )


def _by_shape(
    values: list[onnx.ValueInfoProto], tensors: Sequence[Tensor], kind: str, model: Model, path: Path
) -> list[onnx.ValueInfoProto]:
    """Return one of ``values`` for each of ``tensors``, in that order."""
    found = [[value for value in values if _fits(value, tensor)] for tensor in tensors]
    chosen = [matches[0] for matches in found if len(matches) == 1]
    if len(values) != len(tensors) or len({value.name for value in chosen}) != len(tensors):
        there = ", ".join(f"{quoted(value.name)} {_described(value)}" for value in values[:8]) or "none"
        needed = " and ".join(f"[N, {', '.join(map(str, _wanted(tensor)[0]))}]" for tensor in tensors)
        raise RendererRefused(
            f"{path} has the {kind} {there}; accepted of {model.name}: {needed} in float32 or float16"
        )
    return chosen


def _described(value: onnx.ValueInfoProto) -> str:
    sizes = ", ".join("?" if size is None else str(size) for size in _sizes(value))
    kind = value.type.tensor_type.elem_type
    return f"[{sizes}]" if kind in _FLOATS else f"[{sizes}] of {TensorProto.DataType.Name(kind)}"


def _batch(given: Sequence[onnx.ValueInfoProto], model: Model, path: Path) -> int:
    sizes = {_sizes(value)[0] for value in given}
    if sizes == {None}:
        return renderers.MAX_BATCHES[model.name]
    if 1 not in sizes or sizes - {None, 1}:
        fixed = next(size for size in sizes if size not in (None, 1))
        raise RendererRefused(f"{path} is fixed at a batch of {fixed}; accepted: a batch that varies, or of 1")
    return 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

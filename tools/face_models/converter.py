"""TFLite to ONNX, of the operators that these three graphs have.

Theory of operation. A TFLite graph lists its operators in order, so each becomes a few ONNX nodes as it is met. What
the graph itself computes from constants (weights kept as float16 and widened) is computed here, and weights are written
as float16 with a Cast, so that a file is as small as the original. TFLite's pictures are [batch, height, width,
channels], ONNX convolves [batch, channels, height, width]: a Transpose stands to either side of a convolution, and ONNX
Runtime moves most of them out of the way as it loads the graph. The batch is 1 in TFLite; here it is any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emotalk_contract.tensors import Model

OPSET = 18
IR_VERSION = 9
BATCH = "batch"
_END = 2**31 - 1
"""Of a slice that goes to the end."""
_TYPES: dict[int, np.dtype[Any]] = {
    tflite.TensorType.FLOAT32: np.dtype(np.float32),
    tflite.TensorType.FLOAT16: np.dtype(np.float16),
    tflite.TensorType.INT32: np.dtype(np.int32),
}
_OPERATORS: dict[int, str] = {
    number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)
}
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
_SMALL = 16
"""Values of a constant that is not worth a Cast."""


class UnknownOperator(ValueError):
    """An operator, or a kind of one, that these graphs were not known to have."""


def converted(graph: bytes, model: Model) -> onnx.ModelProto:
    """Return ``graph`` as ONNX, with the names and shapes of ``model`` and a batch of any size.

    Its outputs beyond those of ``model`` are left out.

    Raises:
        UnknownOperator: it has one that is not handled here.
    """
    return _Converter(graph, model).model()


class _Converter:
    def __init__(self, content: bytes, model: Model) -> None:
        self._file = tflite.Model.GetRootAsModel(content, 0)
        self._graph = self._file.Subgraphs(0)
        self._contract = model
        tensors = [self._graph.Tensors(i) for i in range(self._graph.TensorsLength())]
        self._shapes = [tuple(map(int, t.ShapeAsNumpy())) if t.ShapeLength() else () for t in tensors]
        self._constants: dict[int, NDArray[Any]] = {}
        for i, tensor in enumerate(tensors):
            buffer = self._file.Buffers(tensor.Buffer())
            if buffer.DataLength():
                values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _TYPES[tensor.Type()])
                self._constants[i] = values.reshape(self._shapes[i])
        self._names: dict[int, str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._initialisers: list[onnx.TensorProto] = []
        self._count = 0

    def model(self) -> onnx.ModelProto:
        """Return the whole graph, checked."""
        inputs = [int(i) for i in self._graph.InputsAsNumpy()]
        outputs = [int(i) for i in self._graph.OutputsAsNumpy()][: len(self._contract.outputs)]
        for i, tensor in zip(inputs, self._contract.inputs, strict=True):
            self._names[i] = tensor.name
        for number in range(self._graph.OperatorsLength()):
            self._convert(self._graph.Operators(number))
        for i, tensor in zip(outputs, self._contract.outputs, strict=True):
            shape = self._constant(np.array([-1, *tensor.axes], np.int64))
            self._node("Reshape", [self._name(i), shape], tensor.name)
        graph = helper.make_graph(
            self._needed(),
            self._contract.name,
            [self._value(tensor) for tensor in self._contract.inputs],
            [self._value(tensor) for tensor in self._contract.outputs],
        )
        used = {name for node in graph.node for name in node.input}
        graph.initializer.extend(tensor for tensor in self._initialisers if tensor.name in used)
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="emotalk-triton tools/face_models",
        )
        onnx.checker.check_model(made, full_check=True)
        return made

    def _needed(self) -> list[onnx.NodeProto]:
        """Return the nodes that an output of the contract depends on, in order."""
        wanted = {tensor.name for tensor in self._contract.outputs}
        kept = []
        for node in reversed(self._nodes):
            if wanted & set(node.output):
                kept.append(node)
                wanted |= set(node.input)
        return kept[::-1]

    @staticmethod
    def _value(tensor: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, [BATCH, *tensor.axes])

    # Names, nodes, constants --------------------------------------------------------------------

    def _new(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def _node(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        output = output or self._new()
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def _constant(self, values: NDArray[Any]) -> str:
        """Return the name of an initialiser; float32 that float16 holds exactly is written as that."""
        name = self._new()
        halves = values.dtype == np.float32 and values.size > _SMALL
        if halves and np.array_equal(values, values.astype(np.float16).astype(np.float32)):
            self._initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values.astype(np.float16)), name))
            return self._node("Cast", [name], to=TensorProto.FLOAT)
        self._initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _name(self, i: int) -> str:
        if i not in self._names:
            values = self._constants[i]
            self._names[i] = self._constant(values.astype(np.int64 if values.dtype == np.int32 else np.float32))
        return self._names[i]

    def _activated(self, name: str, activation: int) -> str:
        if activation == tflite.ActivationFunctionType.NONE:
            return name
        if activation == tflite.ActivationFunctionType.RELU:
            return self._node("Relu", [name])
        raise UnknownOperator(f"activation {activation}")

    # Operators ----------------------------------------------------------------------------------

    def _convert(self, operator: Any) -> None:
        code = self._file.OperatorCodes(operator.OpcodeIndex())
        kind = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = [int(i) for i in operator.InputsAsNumpy()]
        (output,) = (int(i) for i in operator.OutputsAsNumpy())
        if kind == "DEQUANTIZE":
            self._constants[output] = self._constants[inputs[0]].astype(np.float32)
            return
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise UnknownOperator(kind)
        self._names[output] = handler(self, operator, inputs, output)

    def _convolution(self, operator: Any, inputs: list[int], output: int, depthwise: bool) -> str:  # noqa: ARG002
        options = _options(operator, tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions)
        weights = self._constants[inputs[1]].transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        strides = [options.StrideH(), options.StrideW()]
        if [options.DilationHFactor(), options.DilationWFactor()] != [1, 1]:
            raise UnknownOperator("a dilated convolution")
        size = self._shapes[inputs[0]]
        arguments = [
            self._node("Transpose", [self._name(inputs[0])], perm=_TO_CHANNELS_FIRST),
            self._constant(weights.astype(np.float32)),
        ]
        if len(inputs) > 2 and inputs[2] >= 0:
            arguments.append(self._constant(self._constants[inputs[2]].astype(np.float32)))
        made = self._node(
            "Conv",
            arguments,
            strides=strides,
            pads=_pads(options.Padding(), size[1:3], weights.shape[2:], strides),
            kernel_shape=list(weights.shape[2:]),
            group=size[3] if depthwise else 1,
        )
        made = self._node("Transpose", [made], perm=_TO_CHANNELS_LAST)
        return self._activated(made, options.FusedActivationFunction())

    def _conv(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._convolution(operator, inputs, output, depthwise=False)

    def _depthwise(self, operator: Any, inputs: list[int], output: int) -> str:
        return self._convolution(operator, inputs, output, depthwise=True)

    def _max_pool(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        options = _options(operator, tflite.Pool2DOptions)
        kernel = [options.FilterHeight(), options.FilterWidth()]
        strides = [options.StrideH(), options.StrideW()]
        pads = _pads(options.Padding(), self._shapes[inputs[0]][1:3], kernel, strides)
        made = self._node("Transpose", [self._name(inputs[0])], perm=_TO_CHANNELS_FIRST)
        made = self._node("MaxPool", [made], kernel_shape=kernel, strides=strides, pads=pads)
        return self._activated(
            self._node("Transpose", [made], perm=_TO_CHANNELS_LAST), options.FusedActivationFunction()
        )

    def _plain(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        """One of the same name and meaning, without attributes."""
        code = self._file.OperatorCodes(operator.OpcodeIndex())
        kind = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        return self._node(_PLAIN[kind], [self._name(i) for i in inputs])

    def _arithmetic(self, operator: Any, inputs: list[int], output: int) -> str:
        code = self._file.OperatorCodes(operator.OpcodeIndex())
        kind = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        return self._activated(
            self._plain(operator, inputs, output), _options(operator, _ARITHMETIC[kind]).FusedActivationFunction()
        )

    def _squared_difference(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        difference = self._node("Sub", [self._name(i) for i in inputs])
        return self._node("Mul", [difference, difference])

    def _reciprocal_root(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        return self._node("Reciprocal", [self._node("Sqrt", [self._name(inputs[0])])])

    def _pad(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        pads = self._constants[inputs[1]].T.ravel().astype(np.int64)
        return self._node("Pad", [self._name(inputs[0]), self._constant(pads)])

    def _reshape(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        shape = list(self._shapes[output])
        if shape[0] != 1:
            raise UnknownOperator(f"RESHAPE to {shape}, without the batch axis")
        return self._node("Reshape", [self._name(inputs[0]), self._constant(np.array([-1, *shape[1:]], np.int64))])

    def _concatenation(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        axis = _options(operator, tflite.ConcatenationOptions).Axis()
        given = [i for i in inputs if i not in self._constants]
        parts = []
        for i in inputs:
            part = self._name(i)
            if i in self._constants:  # of one item, and wanted for each
                one = self._constant(np.array([0], np.int64))
                count = self._node("Gather", [self._node("Shape", [self._name(given[0])]), one], axis=0)
                rest = self._constant(np.array(self._shapes[i][1:], np.int64))
                part = self._node("Expand", [part, self._node("Concat", [count, rest], axis=0)])
            parts.append(part)
        return self._node("Concat", parts, axis=axis)

    def _transpose(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        return self._node("Transpose", [self._name(inputs[0])], perm=self._constants[inputs[1]].tolist())

    def _reduced(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        code = self._file.OperatorCodes(operator.OpcodeIndex())
        kind = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        keep = int(_options(operator, tflite.ReducerOptions).KeepDims())
        axes = self._constants[inputs[1]].reshape(-1).astype(np.int64)
        return self._node(
            {"MEAN": "ReduceMean", "SUM": "ReduceSum"}[kind],
            [self._name(inputs[0]), self._constant(axes)],
            keepdims=keep,
        )

    def _strided_slice(self, operator: Any, inputs: list[int], output: int) -> str:  # noqa: ARG002
        options = _options(operator, tflite.StridedSliceOptions)
        begins, ends, steps = (self._constants[i].astype(np.int64).copy() for i in inputs[1:])
        squeezed = []
        for axis in range(len(begins)):
            if options.BeginMask() >> axis & 1:
                begins[axis] = 0
            if options.EndMask() >> axis & 1:
                ends[axis] = _END
            if axis == 0:  # the batch: all of it, and kept
                begins[axis], ends[axis] = 0, _END
            elif options.ShrinkAxisMask() >> axis & 1:
                ends[axis] = begins[axis] + 1 if begins[axis] != -1 else _END
                squeezed.append(axis)
        axes = np.arange(len(begins), dtype=np.int64)
        made = self._node(
            "Slice", [self._name(inputs[0]), *(self._constant(values) for values in (begins, ends, axes, steps))]
        )
        return self._node("Squeeze", [made, self._constant(np.array(squeezed, np.int64))]) if squeezed else made


_PLAIN = {
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "PRELU": "PRelu",
    "RELU": "Relu",
    "SQRT": "Sqrt",
    "NEG": "Neg",
    "LOGISTIC": "Sigmoid",
}
_ARITHMETIC = {
    "ADD": tflite.AddOptions,
    "SUB": tflite.SubOptions,
    "MUL": tflite.MulOptions,
    "DIV": tflite.DivOptions,
}
_HANDLERS: dict[str, Callable[[_Converter, Any, list[int], int], str]] = {
    "CONV_2D": _Converter._conv,
    "DEPTHWISE_CONV_2D": _Converter._depthwise,
    "MAX_POOL_2D": _Converter._max_pool,
    **dict.fromkeys(set(_PLAIN) - set(_ARITHMETIC), _Converter._plain),
    **dict.fromkeys(_ARITHMETIC, _Converter._arithmetic),
    "SQUARED_DIFFERENCE": _Converter._squared_difference,
    "RSQRT": _Converter._reciprocal_root,
    "PAD": _Converter._pad,
    "RESHAPE": _Converter._reshape,
    "CONCATENATION": _Converter._concatenation,
    "TRANSPOSE": _Converter._transpose,
    "MEAN": _Converter._reduced,
    "SUM": _Converter._reduced,
    "STRIDED_SLICE": _Converter._strided_slice,
}


def _options(operator: Any, kind: Any) -> Any:
    options = kind()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _pads(padding: int, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return ONNX's pads: of TFLite's SAME, as much as makes ``ceil(size / stride)``, the odd pixel at the end."""
    if padding != tflite.Padding.SAME:
        return [0] * 4
    totals = [
        max((-(-length // stride) - 1) * stride + width - length, 0)
        for length, width, stride in zip(size, kernel, strides, strict=True)
    ]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]

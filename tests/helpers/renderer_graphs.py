"""A second telling of the renderers' topology: ONNX nodes without torch, by which our torch networks are judged.

It takes the folded weights in the order of the network's parts and knows nothing of its classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]
SOUND = [
    (32, 1, 3), (32, 1, 3, "r"), (32, 1, 3, "r"), (64, (3, 1), 3), (64, 1, 3, "r"), (64, 1, 3, "r"), (128, 3, 3),
    (128, 1, 3, "r"), (128, 1, 3, "r"), (256, (3, 2), 3), (256, 1, 3, "r"), (512, 1, 3, "valid"), (512, 1, 1),
]  # fmt: skip
"""Channels, stride and kernel of each convolution of the sound's encoder; ``r``: what came in is added."""


class Builder:
    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, inputs: list[str], to: str = "", **attributes: object) -> str:
        name = to or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(values, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def layer(
        self, x: str, stride: object = 1, pad: int = 1, *, add: bool = False, active: bool = True, group: int = 1
    ) -> str:
        kernel, bias = next(self.weights)
        strides = [stride, stride] if isinstance(stride, int) else list(stride)  # type: ignore[call-overload]
        y = self.op(
            "Conv", [x, self.constant(kernel), self.constant(bias)], strides=strides, pads=[pad] * 4, group=group
        )
        y = self.op("Add", [y, x]) if add else y
        return self.op("Relu", [y]) if active else y

    def larger(self, x: str, stride: int, pad: int) -> str:
        kernel, bias = next(self.weights)
        given = [x, self.constant(kernel), self.constant(bias)]
        y = self.op("ConvTranspose", given, strides=[stride] * 2, pads=[pad] * 4, output_padding=[pad] * 2)
        return self.op("Relu", [y])

    def sound(self, x: str) -> str:
        for _, stride, kernel, *how in SOUND:
            x = self.layer(x, stride, 0 if kernel == 1 or how == ["valid"] else 1, add=how == ["r"])
        return x

    def inverted(self, x: str, width: int, stride: int = 1, *, add: bool = False) -> str:
        y = self.layer(x, 1, 0)
        y = self.layer(y, stride, 1, group=2 * width)
        y = self.layer(y, 1, 0, active=False)
        return self.op("Add", [y, x]) if add else y

    def pair(self, x: str, inputs: int, outputs: int, stride: int = 1) -> str:
        return self.inverted(self.inverted(x, inputs, stride), outputs, add=True)

    def model(self, inputs: dict[str, tuple[int, ...]], output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        assert next(self.weights, None) is None
        given = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["n", *v]) for k, v in inputs.items()]
        made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", *shape])]
        graph = helper.make_graph(self.nodes, "judge", given, made, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def wav2lip(weights: Weights) -> onnx.ModelProto:
    b = Builder(weights)
    y = b.layer("face", 1, 3)
    seen = [y]
    for count in (2, 3, 2, 2, 1):
        y = b.layer(y, 2)
        for _ in range(count):
            y = b.layer(y, add=True)
        seen.append(y)
    seen.append(b.layer(b.layer(y, 1, 0), 1, 0))
    x = b.layer(b.sound("mel"), 1, 0)
    for stride, pad, count in ((0, 0, 0), (1, 0, 1), *[(2, 1, 2)] * 5):
        if stride:
            x = b.larger(x, stride, pad)
        for _ in range(count):
            x = b.layer(x, add=True)
        x = b.op("Concat", [x, seen.pop()], axis=1)
    b.op("Sigmoid", [b.layer(b.layer(x), 1, 0, active=False)], "picture")
    return b.model({"mel": (1, 80, 16), "face": (6, 96, 96)}, "picture", (3, 96, 96))


def unet328(weights: Weights) -> onnx.ModelProto:
    b = Builder(weights)
    a = b.inverted(b.inverted("audio", 32), 64)
    a = b.inverted(b.layer(a), 256, add=True)
    a = b.layer(a, 2, 3)
    a = b.inverted(b.inverted(a, 512, add=True), 512, add=True)
    remembered = list(b.weights)  # the part that joins both comes before the picture's own
    joining, b.weights = iter(remembered[:12]), iter(remembered[12:])
    seen = [b.inverted("image", 6)]
    for inputs, outputs in pairwise((32, 32, 64, 128, 256, 512)):
        seen.append(b.pair(seen[-1], inputs, outputs, 2))
    rest, b.weights = b.weights, joining
    x = b.op("Concat", [seen.pop(), a], axis=1)
    x = b.pair(b.pair(x, 1024, 512), 512, 256)
    b.weights = rest
    for inputs, outputs in ((512, 128), (256, 64), (128, 32), (64, 32), (64, 16)):
        scales = b.constant(np.array([1, 1, 2, 2], np.float32))
        x = b.op("Resize", [x, "", scales], mode="linear", coordinate_transformation_mode="align_corners")
        x = b.pair(b.op("Concat", [x, seen.pop()], axis=1), inputs, outputs)
    b.op("Sigmoid", [b.layer(x, 1, 0, active=False)], "prediction")
    return b.model({"image": (6, 320, 320), "audio": (32, 16, 16)}, "prediction", (3, 320, 320))


def ave(weights: Weights) -> onnx.ModelProto:
    b = Builder(weights)
    b.op("Flatten", [b.sound("mel")], "features")
    return b.model({"mel": (1, 80, 16)}, "features", (512,))

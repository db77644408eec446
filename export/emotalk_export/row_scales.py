"""A product of integers where each row has a scale of its own, for ONNX Runtime on CPUs.

A row is the taps of a convolution's kernel, side by side. With ``step = max(max(x) / (255 - zero), -min(x) / zero)``
over the row, all of it is held, and ``x W = step (q - zero) W`` for ``q = round(x / step) + zero``. The largest and the
smallest number are taken once a frame, before the taps are cut: a norm over the joined rows would read each frame one
and a half times. A row gives the same whatever stands beside it in its batch or its tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnxscript import ir

from emotalk_export.fused_attention import DOMAIN

ZERO = 48
"""Zero point: what comes from a GELU has a long positive side and a short negative one."""
STEPS = 255
LEAST = 1e-12
"""Of a step: a row of zeros has none."""


def by_row(
    graph: ir.Graph, name: str, taps: Sequence[ir.Node], weight: tuple[ir.Value, ir.Value], product: ir.Node
) -> ir.Node:
    """Write the product of the joined ``taps``, slices of one tensor [B, T, C], and ``weight`` before ``product``.

    Args:
        graph: which has all of them.
        name: of the layer: the new values' names begin with it.
        taps: the slices, [B, T', C] each.
        weight: int8 [kernel * C, C'], and the scale [C'] of its columns.
        product: the node in whose place it is written.

    Returns:
        The node that gives [B, T', C'].
    """

    def constant(suffix: str, array: Any) -> ir.Value:
        value = ir.Value(name=f"{name}.{suffix}", const_value=ir.tensor(np.asarray(array), name=f"{name}.{suffix}"))
        graph.register_initializer(value)
        return value

    def add(suffix: str, kind: str, *inputs: ir.Value | None, domain: str = "", **attributes: Any) -> ir.Value:
        node = ir.node(kind, list(inputs), attributes, domain=domain)
        node.outputs[0].name = f"{name}.{suffix}"
        graph.insert_before(product, node)
        return node.outputs[0]

    source = taps[0].inputs[0]
    axis, flat = constant("axis", np.array([2])), constant("flat", np.array([-1]))
    rows = constant("rows", np.array([-1, len(weight[0].const_value.numpy()) // len(taps)]))  # type: ignore[union-attr]
    up, down = constant("up", np.float32(1 / (STEPS - ZERO))), constant("down", np.float32(-1 / ZERO))
    above = add("above", "Mul", add("largest", "ReduceMax", source, axis), up)
    below = add("below", "Mul", add("smallest", "ReduceMin", source, axis), down)
    of_frame = add("of_frame", "Max", above, below, constant("least", np.float32(LEAST)))
    of_taps = [add(f"of_tap_{i}", "Slice", of_frame, *tap.inputs[1:]) for i, tap in enumerate(taps)]
    step = add("step", "Max", *of_taps)
    # QuantizeLinear has scales along one axis: batch and time become one.
    steps = add("steps", "Reshape", step, flat)
    zero = constant("zero", np.array([ZERO], np.uint8))
    zeros = add("zeros", "Expand", zero, add("count", "Shape", steps))
    parts = []
    for i, tap in enumerate(taps):
        part = add(f"rows_{i}", "Reshape", tap.outputs[0], rows)
        parts.append(add(f"int8_{i}", "QuantizeLinear", part, steps, zeros, axis=0))
    number = add("joined", "Concat", *parts, axis=1)
    one = constant("one", np.float32(1))
    integers = add("integers", "MatMulIntegerToFloat", number, weight[0], one, weight[1], zero, domain=DOMAIN)
    width = constant("width", np.array([len(weight[1].const_value.numpy())]))  # type: ignore[union-attr]
    shape = add("shape", "Concat", add("place", "Shape", taps[0].outputs[0], end=2), width, axis=0)
    scaled = ir.node("Mul", [add("unscaled", "Reshape", integers, shape), step])
    graph.insert_before(product, scaled)
    return scaled

"""Eight bits where it is harmless: matrix products of integers, for CPUs.

Theory of operation. A layer's matrix becomes int8, each output channel with a scale of its own; what goes in becomes
uint8 as it comes, with one scale and zero point for the whole tensor (ONNX Runtime's ``DynamicQuantizeMatMul``). One
scale suffers from channels that are far larger than the others, so those are evened out first (SmoothQuant, arXiv
2211.10438, equation 4 with alpha 0.5): a channel that is divided by ``s`` where a norm or a value projection makes it,
and multiplied by ``s`` in the next matrix, changes nothing but the integers. A layer whose product still comes out
wrong by more than :data:`KEPT_FROM` on the given speech stays in float32, and so does the decoder, which is small and
ends in the weights themselves.

The convolutions of the frontend become products too: the taps of the kernel side by side, times one matrix. Where they
have no norms between them (LAM-A2E's), one scale for a whole tensor is the loudest frame's, quiet frames drown in it,
and the norm after them makes that large (seeded weights, real size: a mean error of 0.068 in the face). There each row
gets a scale of its own, and the first two of six layers, three quarters of the work, become integers.

LAM-A2E's weights are rounded by :mod:`emotalk_export.rounding`: its post-norm trunk forgives little.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from onnxscript import ir
from torch import Tensor, nn

from emotalk_export.errors import GraphExportFailed
from emotalk_export.fused_attention import DOMAIN, fuse_attention
from emotalk_export.lam import LamDecoder, LamFrontend, PostNormTrunk
from emotalk_export.layers import Convolution, Half, Linear
from emotalk_export.network import ConvStack, Decoder, Trunk
from emotalk_export.rounding import fitted, nearest
from emotalk_export.row_scales import by_row

BY_ROW = 2
"""Convolutions, from the first, that are quantised row by row."""
POST_NORM_ALPHA = 0.8
"""For LAM-A2E: fitted weights bear more of the unevenness."""
STEPS = 255
"""Of a uint8 activation, from its tensor's smallest number to its largest."""
ALPHA = 0.5
"""Share of the unevenness that goes into the weights, rounded to nearest."""
KEPT_FROM = 0.05
"""Mean error of a layer's product, as a share of the product's mean size, from which on the layer stays float32."""
SMALLEST = 64
"""Inputs of a layer below which integers save nothing."""


Integers: TypeAlias = tuple[NDArray[np.int8], NDArray[np.float32]]
"""A matrix [in, out], and the scale of each of its columns."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which layers of a module compute in integers."""

    quantised: tuple[str, ...]
    """Their names."""
    kept: tuple[str, ...]
    """Layers that stay float32 because their error would be large."""
    by_row: frozenset[str] = frozenset()
    """Those of ``quantised`` whose inputs have a scale for every row."""
    fitted: Mapping[str, Integers] = field(default_factory=dict)
    """Integers and scales of layers whose matrices are not simply rounded."""


def prepare(module: nn.Module, inputs: Sequence[tuple[Tensor, ...]]) -> Plan:
    """Rewrite ``module`` in place, without a change of what it gives, so that integers do least harm; see what they do.

    Args:
        module: one of :mod:`emotalk_export.network`.
        inputs: the module's own, of speech; every layer is judged on all of them.
    """
    if isinstance(module, (Decoder, LamDecoder)):
        return Plan((), ())
    if isinstance(module, LamFrontend):
        module.as_products()
        names = tuple(_layers(module))
        first = names[:BY_ROW]
        return Plan(first, names[BY_ROW:], frozenset(first), _fitted(module, inputs, first))
    for stack in _all(module, ConvStack):
        for convolution in stack.convolutions:
            convolution.as_product()
    for trunk in _all(module, Trunk):
        _smooth(trunk, _peaks(module, inputs), ALPHA)
    for trunk in _all(module, PostNormTrunk):
        _smooth(trunk, _peaks(module, inputs), POST_NORM_ALPHA)
    errors = _errors(module, inputs)
    tender = _tender(module)
    quantised = tuple(name for name, error in errors.items() if error <= KEPT_FROM and name not in tender)
    fitted = _fitted(module, inputs, quantised) if _all(module, PostNormTrunk) else {}
    return Plan(quantised, tuple(name for name in errors if name not in quantised), fitted=fitted)  # NaN stays


def _fitted(module: nn.Module, inputs: Iterable[tuple[Tensor, ...]], names: Collection[str]) -> dict[str, Integers]:
    """Fit the matrices of the layers ``names`` to what they take."""
    layers = {layer: name for name, layer in _layers(module).items() if name in names}
    moments: dict[nn.Module, Tensor] = {}

    def record(layer: Half, taken: tuple[Tensor, ...], _: Tensor) -> None:
        x = (layer.taps(taken[0]) if isinstance(layer, Convolution) else taken[0]).flatten(0, -2)
        moments[layer] = moments.get(layer, torch.zeros(())) + x.T @ x

    with _listening(dict.fromkeys(layers, record)):
        _run(module, inputs)
    return {name: fitted(layer.weight.numpy(), moments.pop(layer)) for layer, name in layers.items()}


def _tender(module: nn.Module) -> set[str]:
    """Names of the layers through whose rounding all others of a post-norm trunk go.

    Its norms come after the sums, so that an early error is never outweighed by what is added later. The projection and
    the feed-forward part of the first quarter of the layers are a sixth of the products, and made two fifths of the
    squared error in the face (seeded weights, real size: a mean error of 0.0075 without this, 0.0057 with it).
    """
    found = set()
    for name, trunk in module.named_modules():
        if isinstance(trunk, PostNormTrunk):
            early = range(len(trunk.layers) // 4)
            parts = [f"layers.{i}.{part}" for i in early for part in ("intermediate", "output")]
            found |= {f"{name}.{part}" for part in ("projection", *parts)}
    return found


def quantise(model: ir.Model, plan: Plan) -> None:
    """Put integers into the products of ``plan``'s layers in the graph of the prepared module.

    Raises:
        GraphExportFailed: a layer is not there as one product and one sum.
    """
    graph = model.graph
    by_weight = {f"{name}.weight": name for name in plan.quantised}
    integers: dict[str, tuple[ir.Value, ...]] = {}
    for node in list(graph):
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is not None and (name := by_weight.pop(str(weight.name), None)):
            _replace(graph, name, node, integers, plan)
    if by_weight:
        raise GraphExportFailed(f"no product in the graph for {', '.join(by_weight.values())}")
    if plan.quantised:
        model.graph.opset_imports[DOMAIN] = 1
    fuse_attention(model)


def _all(module: nn.Module, kind: type[Any]) -> list[Any]:
    return [part for part in module.modules() if isinstance(part, kind)]


def _layers(module: nn.Module) -> dict[str, Half]:
    """The layers with a matrix [in, out] large enough."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, Half) and layer.weight.dim() == 2 and layer.weight.shape[0] >= SMALLEST
    }


@contextmanager
def _listening(hooks: Mapping[nn.Module, Any]) -> Any:
    handles = [layer.register_forward_hook(hook) for layer, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _run(module: nn.Module, inputs: Iterable[tuple[Tensor, ...]]) -> None:
    with torch.inference_mode():
        for arguments in inputs:
            module(*arguments)


def _peaks(module: nn.Module, inputs: Iterable[tuple[Tensor, ...]]) -> dict[nn.Module, Tensor]:
    """Largest size of every input channel of every linear layer."""
    peaks: dict[nn.Module, Tensor] = {}

    def record(layer: nn.Module, taken: tuple[Tensor, ...], _: Tensor) -> None:
        peak = taken[0].abs().flatten(0, -2).amax(0)
        peaks[layer] = torch.maximum(peaks[layer], peak) if layer in peaks else peak

    with _listening({layer: record for layer in module.modules() if isinstance(layer, Linear)}):
        _run(module, inputs)
    return peaks


def _smooth(trunk: Trunk | PostNormTrunk, peaks: Mapping[nn.Module, Tensor], alpha: float) -> None:
    """Even out the channels of everything that a norm or a value projection makes."""
    for maker, takers in trunk.makers():
        _shift(maker, takers, peaks, alpha)


def _shift(maker: Any, takers: Sequence[Any], peaks: Mapping[nn.Module, Tensor], alpha: float) -> None:
    """Divide the channels that ``maker`` makes, and multiply the rows of ``takers`` that take them."""
    activation = peaks[takers[0]]
    weight = torch.stack([taker.weight.abs().amax(1) for taker in takers]).amax(0)
    scale = (activation.pow(alpha) / weight.pow(1 - alpha)).clamp(1e-5, 1e5)
    scale[(activation == 0) | (weight == 0)] = 1
    maker.weight = maker.weight / scale  # of a matrix [in, out], its columns
    if hasattr(maker, "bias"):
        maker.bias = maker.bias / scale
    for taker in takers:
        taker.weight = taker.weight * scale.unsqueeze(1)


def _errors(module: nn.Module, inputs: Iterable[tuple[Tensor, ...]]) -> dict[str, float]:
    """By layer, the mean error that integers make in its product, as a share of the product's mean size."""
    layers = _layers(module)
    sums = {layer: np.zeros(2) for layer in layers.values()}
    weights: dict[nn.Module, Tensor] = {}

    def record(layer: Half, taken: tuple[Tensor, ...], _: Tensor) -> None:
        if layer not in weights:
            whole, scale = nearest(layer.weight.numpy())
            weights[layer] = torch.from_numpy(whole * scale)
        x = layer.taps(taken[0]) if isinstance(layer, Convolution) else taken[0]
        product = x @ layer.weight
        sums[layer] += [float((_rounded(x) @ weights[layer] - product).abs().mean()), float(product.abs().mean())]

    with _listening(dict.fromkeys(layers.values(), record)):
        _run(module, inputs)
    return {name: float(sums[layer][0] / sums[layer][1]) for name, layer in layers.items()}


def _rounded(x: Tensor) -> Tensor:
    """``x`` as ONNX's DynamicQuantizeLinear keeps it: 256 steps over its range, zero among them."""
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    step = (high - low) / STEPS or 1.0
    zero = round(-low / step)
    return (torch.clamp(torch.round(x / step) + zero, 0, STEPS) - zero) * step


def _replace(
    graph: ir.Graph, name: str, product: ir.Node, integers: dict[str, tuple[ir.Value, ...]], plan: Plan
) -> None:
    x, weight = product.inputs
    if x is None or weight is None or weight.const_value is None:
        raise GraphExportFailed(f"{name}: the graph has no matrix of it")
    whole, scale = plan.fitted.get(name) or nearest(weight.const_value.numpy())
    stored = [_constant(graph, f"{name}.int8", whole), _constant(graph, f"{name}.scale", scale)]
    taps = _taps(x)
    if name in plan.by_row:
        new, replaced = by_row(graph, name, taps, (stored[0], stored[1]), product), [product]
    else:
        uses = product.outputs[0].uses()
        total = next(iter(uses)).node if len(uses) == 1 else None
        if total is None or total.op_type != "Add":
            raise GraphExportFailed(f"{name}: the graph has no product and sum of it")
        bias = next(value for value in total.inputs if value is not product.outputs[0])
        if taps:
            number, x_scale, zero = _quantised_source(graph, taps, integers)
            arguments = [number, stored[0], x_scale, stored[1], zero, None, bias]
            new = ir.node("MatMulIntegerToFloat", arguments, domain=DOMAIN)
        else:
            new = ir.node("DynamicQuantizeMatMul", [x, *stored, None, bias], domain=DOMAIN)
        graph.insert_before(product, new)
        replaced = [total, product]
    new.outputs[0].name = f"{name}.product"
    ir.convenience.replace_all_uses_with(replaced[0].outputs[0], new.outputs[0])
    graph.remove(replaced, safe=True)
    join = x.producer()
    if join is not None and not x.uses():
        graph.remove(join, safe=True)
    del graph.initializers[str(weight.name)]


def _taps(x: ir.Value) -> list[ir.Node]:
    """The slices of which ``x`` is joined, if it is."""
    join = x.producer()
    if join is None or join.op_type != "Concat":
        return []
    slices = [value.producer() for value in join.inputs if value is not None]
    return [node for node in slices if node is not None and node.op_type == "Slice"]


def _quantised_source(
    graph: ir.Graph, taps: Sequence[ir.Node], integers: dict[str, tuple[ir.Value, ...]]
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Integers before they are sliced and joined: a quarter of the bytes to move. Returns them joined, scale, zero."""
    source = taps[0].inputs[0]
    join = next(iter(taps[0].outputs[0].uses())).node
    key = str(source.name) if source is not None else ""
    if key not in integers:
        node = ir.node("DynamicQuantizeLinear", [source], num_outputs=3)
        for output, suffix in zip(node.outputs, ("int8", "scale", "zero"), strict=True):
            output.name = f"{key}.{suffix}"
        graph.insert_before(taps[0], node)
        integers[key] = tuple(node.outputs)
    number, scale, zero = integers[key]
    for tap in taps:
        tap.replace_input_with(0, number)
    return join.outputs[0], scale, zero


def _constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    graph.register_initializer(value)
    return value

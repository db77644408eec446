"""A graph whose weights are another's: stored once, and found there.

The step of a live stream is made of the layers of the four graphs, so its large tensors are theirs, byte for byte. They
are taken out of its file, and a table beside it says where in which graph each stands: a repository stays half as
large, and two graphs cannot come to hold different weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from onnxscript import ir

from emotalk_contract.recipe import SHARED_WEIGHTS_NAME
from emotalk_export.errors import GraphExportFailed

SHARED_FROM = 1024
"""Bytes of a tensor from which on it is worth a place in the table."""
ELSEWHERE = "elsewhere"
"""Location that the graph names for them: no file, for whoever loads it brings them."""


def share_weights(graph: Path, sources: Mapping[str, Path]) -> tuple[Path, ...]:
    """Take out of the file ``graph`` what stands in ``sources`` (by the name of their models); return all its files.

    Raises:
        GraphExportFailed: one of its large tensors stands nowhere else.
    """
    model = ir.load(graph)
    contents = {name: path.read_bytes() for name, path in sources.items()}
    tensors: dict[str, dict[str, object]] = {}
    for name, value in model.graph.initializers.items():
        constant = value.const_value
        if constant is None or constant.nbytes < SHARED_FROM:
            continue
        data = constant.tobytes()
        place = next(((source, at) for source, raw in contents.items() if (at := raw.find(data)) >= 0), None)
        if place is None:
            raise GraphExportFailed(f"{name} of {graph} stands in none of {', '.join(sources)}")
        tensors[name] = {
            "model": place[0],
            "offset": place[1],
            "type": constant.dtype.numpy().str,
            "shape": list(constant.numpy().shape),
        }
        value.const_value = ir.ExternalTensor(
            ELSEWHERE, place[1], len(data), constant.dtype, shape=ir.Shape(constant.numpy().shape), name=name
        )
    ir.save(model, graph)
    table = graph.with_name(SHARED_WEIGHTS_NAME)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    table.write_text(json.dumps({"sha256": digests, "tensors": tensors}, indent=1) + "\n", "utf-8")
    return graph, table

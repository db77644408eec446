"""Weights of a graph that stand in the files of other graphs of its repository, as the export's table says."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotalk_contract.recipe import SHARED_WEIGHTS_NAME
from emotalk_ensemble.backend.errors import BackendError


def digest(graph: Path) -> bytes:
    """Return a digest of ``graph`` and of all weights that it is made of."""
    table = graph.with_name(SHARED_WEIGHTS_NAME)
    return hashlib.sha256(graph.read_bytes() + (table.read_bytes() if table.is_file() else b"")).digest()


def add_shared_weights(options: onnxruntime.SessionOptions, graph: Path) -> list[onnxruntime.OrtValue]:
    """Give ``options`` the weights that ``graph`` (``REPOSITORY/MODEL/VERSION/model.onnx``) has elsewhere, if any.

    Returns:
        them; ONNX Runtime uses their memory, so they are to be kept as long as a session of ``options``.

    Raises:
        BackendError: the table beside it is damaged, or one of those graphs is another by now.
    """
    table = graph.with_name(SHARED_WEIGHTS_NAME)
    if not table.is_file():
        return []
    try:
        content = json.loads(table.read_text("utf-8"))
        raw = {name: _verified(graph, name, str(sha256)) for name, sha256 in content["sha256"].items()}
        tensors = {name: _tensor(raw[place["model"]], place) for name, place in content["tensors"].items()}
    except OSError as error:
        raise BackendError(f"{error.filename}, whose weights {graph} uses, cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackendError(
            f"{table} is damaged: {type(error).__name__}: {error}; export the repository again"
        ) from error
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    options.add_external_initializers(list(tensors), values)
    return values


def _verified(graph: Path, name: str, sha256: str) -> bytes:
    """Return the content of the graph of the model ``name`` beside ``graph``'s."""
    path = graph.parents[2] / name / graph.parent.name / graph.name
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BackendError(f"{path} is not the graph whose weights {graph} uses; export the repository again")
    return content


def _tensor(content: bytes, place: Mapping[str, Any]) -> NDArray[Any]:
    count = math.prod(place["shape"])
    return np.frombuffer(content, place["type"], count, place["offset"]).reshape(place["shape"]).copy()

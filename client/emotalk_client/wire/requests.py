"""Tensors into Triton's protobuf messages and out of them, without a copy that is not needed.

Theory of operation. Triton's own Python client makes an object of each tensor and copies its bytes twice; a live stream
sends a request every few hundredths of a second. Here an array's bytes go into the message at once, and an answer's
arrays are views of the message's bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import UnexpectedResponse
from emotalk_contract.options import Parameter
from emotalk_contract.tensors import Model

Arrays = Mapping[str, NDArray[Any]]

_TYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
}


def request(messages: Any, model: Model, inputs: Arrays, parameters: Mapping[str, Parameter]) -> Any:
    """Return the ``ModelInferRequest`` for ``model``.

    Args:
        messages: the module of Triton's messages.
        model: its contract.
        inputs: arrays with their batch axis, of the types that the contract says.
        parameters: of the request.
    """
    asked = messages.ModelInferRequest(model_name=model.name)
    for name, array in inputs.items():
        datatype = model.tensor(name).datatype
        asked.inputs.add(name=name, datatype=datatype, shape=array.shape)
        asked.raw_input_contents.append(_encoded(array, datatype))
    for name, value in parameters.items():
        parameter = asked.parameters[name]
        if isinstance(value, bool):  # before int, which a bool is too
            parameter.bool_param = value
        elif isinstance(value, int):
            parameter.int64_param = value
        elif isinstance(value, float):
            parameter.double_param = value
        else:
            parameter.string_param = value
    return asked


def outputs(url: str, model: Model, answer: Any) -> dict[str, NDArray[Any]]:
    """Return the arrays in the ``ModelInferResponse`` ``answer``, by name; they cannot be written to.

    Raises:
        UnexpectedResponse: an output is missing, or is not what its message says.
    """
    found: dict[str, NDArray[Any]] = {}
    try:
        for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
            found[tensor.name] = _decoded(raw, tensor.datatype).reshape(tensor.shape)
    except (ValueError, KeyError, struct.error) as error:
        raise UnexpectedResponse(f"{url} sent tensors that are not what it says they are: {error}") from error
    if missing := [tensor.name for tensor in model.outputs if tensor.name not in found and not tensor.optional]:
        raise UnexpectedResponse(f"{url} did not send {', '.join(missing)}")
    return found


_LENGTH = struct.Struct("<I")
"""In front of each string."""


def _encoded(array: NDArray[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        return b"".join(_LENGTH.pack(len(item)) + item for item in array.ravel())
    return array.astype(_TYPES[datatype], casting="equiv", copy=False).tobytes()


def _decoded(raw: bytes, datatype: str) -> NDArray[Any]:
    if datatype != "BYTES":
        return np.frombuffer(raw, _TYPES[datatype])
    items: list[bytes] = []
    at = 0
    while at < len(raw):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size + length
        items.append(raw[at - length : at])
    found = np.empty(len(items), np.object_)
    found[:] = items
    return found

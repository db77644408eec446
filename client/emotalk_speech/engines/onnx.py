"""ONNX graphs of voices: an inner tensor made an output, so that the lengths of phones come out beside the sound.

Protocol Buffers merge what is appended to a message, so a few bytes behind the file (``ModelProto.graph.output``) name
one more output: the package ``onnx`` is not needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emotalk_contract.errors import VoiceNotInstalled

FLOAT, INT64 = 1, 7
"""Element types of ONNX."""
_GRAPH, _OUTPUT, _NAME, _TYPE, _TENSOR, _ELEMENT = 7, 12, 1, 2, 1, 1
"""Field numbers: of ModelProto, GraphProto, ValueInfoProto (two), TypeProto and TypeProto.Tensor."""


def with_output(graph: bytes, name: str, element: int) -> bytes:
    """Return ``graph`` with the inner tensor ``name`` of type ``element`` as one more output."""
    kind = _field(_TYPE, _field(_TENSOR, _varint(_ELEMENT << 3) + _varint(element)))
    return graph + _field(_GRAPH, _field(_OUTPUT, _field(_NAME, name.encode()) + kind))


def session(graph: bytes | Path) -> Any:
    """Return an ONNX Runtime session on one core.

    Raises:
        VoiceNotInstalled: ONNX Runtime is missing.
    """
    try:
        import onnxruntime
    except ImportError:
        raise VoiceNotInstalled("this voice needs onnxruntime; install `emotalk-triton[text]` on the server") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

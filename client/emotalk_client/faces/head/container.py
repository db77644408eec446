"""glTF's binary container (.glb): a JSON document and one buffer (glTF 2.0 specification, section 4)."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"

UNSIGNED_BYTE, UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5121, 5123, 5125, 5126
"""Component types of an accessor."""
VERTICES, INDICES = 34962, 34963
"""Targets of a buffer view."""

_COMPONENTS = {"uint8": UNSIGNED_BYTE, "uint16": UNSIGNED_SHORT, "uint32": UNSIGNED_INT, "float32": FLOAT}
_DTYPES = {number: np.dtype(name).newbyteorder("<") for name, number in _COMPONENTS.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Container:
    """A file in the making: the document, and the buffer that its views lie in."""

    def __init__(self, document: dict[str, Any], buffer: bytes = b"") -> None:
        self.document = document
        self._buffer = bytearray(buffer)

    @classmethod
    def unpacked(cls, content: bytes) -> Container:
        """The container in ``content``; ValueError if that is none."""
        if content[:4] != MAGIC:
            raise ValueError("it does not start with glTF")
        document, buffer, place = None, b"", 12
        while place < len(content):
            if len(content) < place + 8:
                raise ValueError("it ends within a chunk's head")
            size, kind = struct.unpack_from("<I4s", content, place)
            chunk = content[place + 8 : place + 8 + size]
            if len(chunk) < size:
                raise ValueError("it ends within a chunk")
            if kind == JSON_CHUNK:
                document = json.loads(chunk)
            elif kind == BINARY_CHUNK:
                buffer = chunk
            place += 8 + size
        if not isinstance(document, dict):
            raise ValueError("it has no JSON object")  # noqa: TRY004  # a file's content, not an argument
        return cls(document, buffer)

    def packed(self) -> bytes:
        """The file's bytes."""
        self.document["buffers"] = [{"byteLength": len(self._buffer)}]
        text = json.dumps(self.document, separators=(",", ":")).encode()
        chunks = [(JSON_CHUNK, text + b" " * (-len(text) % 4))]
        chunks.append((BINARY_CHUNK, bytes(self._buffer) + b"\0" * (-len(self._buffer) % 4)))
        body = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<4sII", MAGIC, VERSION, 12 + len(body)) + body

    def add(self, accessor: dict[str, Any]) -> int:
        """Append an accessor; its number."""
        accessors: list[dict[str, Any]] = self.document.setdefault("accessors", [])
        accessors.append(accessor)
        return len(accessors) - 1

    def add_view(self, array: NDArray[Any], target: int | None = None) -> int:
        """Append the bytes of ``array`` as a buffer view; its number."""
        views: list[dict[str, Any]] = self.document.setdefault("bufferViews", [])
        self._buffer.extend(b"\0" * (-len(self._buffer) % 4))
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        view = {"buffer": 0, "byteOffset": len(self._buffer), "byteLength": len(data)}
        views.append(view if target is None else view | {"target": target})
        self._buffer.extend(data)
        return len(views) - 1

    def add_array(
        self,
        array: NDArray[Any],
        kind: str,
        target: int | None = None,
        *,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Append ``array`` [N] or [N, width] as an accessor of ``kind`` (SCALAR, VEC3, ...); its number."""
        accessor: dict[str, Any] = {
            "bufferView": self.add_view(array, target),
            "componentType": _COMPONENTS[array.dtype.name],
            "count": len(array),
            "type": kind,
        }
        if bounds:
            rows = array.reshape(len(array), -1)
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        return self.add(accessor | {"normalized": True} if normalized else accessor)

    def array(self, number: int) -> NDArray[Any]:
        """The values of a plain (dense, tightly packed) accessor, [N] or [N, width]."""
        accessor = self.document["accessors"][number]
        start = accessor.get("byteOffset", 0)
        return self._values(
            accessor["bufferView"], accessor["componentType"], accessor["count"], accessor["type"], start
        )

    def sparse(self, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The rows [S] that a sparse accessor names, and their values [S, width]; both may be empty."""
        accessor = self.document["accessors"][number]
        found = accessor.get("sparse")
        if found is None:
            return np.zeros(0, np.uint16), np.zeros((0, _WIDTHS[accessor["type"]]), np.float32)
        indices, values = found["indices"], found["values"]
        return (
            self._values(indices["bufferView"], indices["componentType"], found["count"], "SCALAR"),
            self._values(values["bufferView"], accessor["componentType"], found["count"], accessor["type"]),
        )

    def _values(self, view: int, component: int, count: int, kind: str, offset: int = 0) -> NDArray[Any]:
        start = self.document["bufferViews"][view].get("byteOffset", 0) + offset
        width = _WIDTHS[kind]
        values = np.frombuffer(self._buffer, _DTYPES[component], count * width, start).copy()
        return values.reshape(-1, width) if width > 1 else values

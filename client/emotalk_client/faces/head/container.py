"""glTF's binary container (.glb): a JSON document and one buffer (glTF 2.0 specification, section 4)."""

from __future__ import annotations

import json
import struct
from typing import Any, TypeGuard

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


MAX_SIZE = 1 << 31
"""Bytes or items: larger ones cannot be in a file that is read."""


class BrokenContainer(ValueError):
    """Bytes that are not a glTF container, or a document that points at what is not in it."""


class Container:
    """A file in the making: the document, and the buffer in which its views lie."""

    def __init__(self, document: dict[str, Any], buffer: bytes = b"") -> None:
        self.document = document
        self._buffer = bytearray(buffer)

    @classmethod
    def unpacked(cls, content: bytes) -> Container:
        """Read the container in ``content``; :class:`BrokenContainer` if it is not one."""
        if content[:4] != MAGIC:
            raise BrokenContainer("it does not start with glTF")
        document, buffer, place = None, b"", 12
        while place < len(content):
            if len(content) < place + 8:
                raise BrokenContainer("it ends within a chunk's head")
            size, kind = struct.unpack_from("<I4s", content, place)
            chunk = content[place + 8 : place + 8 + size]
            if len(chunk) < size:
                raise BrokenContainer("it ends within a chunk")
            if kind == JSON_CHUNK:
                document = _parsed(chunk)
            elif kind == BINARY_CHUNK:
                buffer = chunk
            place += 8 + size
        if not isinstance(document, dict):
            raise BrokenContainer("it has no JSON object")
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

    def add_moves(self, vectors: NDArray[Any], least: float, nothing: int) -> int:
        """Append those of ``vectors`` [V, 3] that are longer than ``least`` as a sparse accessor.

        Returns:
            Its number; ``nothing`` where there is none.
        """
        moved: NDArray[np.intp] = np.flatnonzero(np.linalg.norm(vectors, axis=1) > least)
        if not len(moved):
            return nothing
        values = vectors[moved].astype(np.float32)
        # The others are at 0, which counts for the bounds where there are others.
        reach = values if len(moved) == len(vectors) else np.concatenate([values, np.zeros((1, 3), np.float32)])
        return self.add(
            {
                "componentType": FLOAT,
                "count": len(vectors),
                "type": "VEC3",
                "min": reach.min(axis=0).tolist(),
                "max": reach.max(axis=0).tolist(),
                "sparse": {
                    "count": len(moved),
                    "indices": {"bufferView": self.add_view(moved.astype(np.uint16)), "componentType": UNSIGNED_SHORT},
                    "values": {"bufferView": self.add_view(values)},
                },
            }
        )

    def array(self, number: object) -> NDArray[Any]:
        """The values of a plain (dense, tightly packed) accessor, [N] or [N, width]; normalised ones as 0..1.

        Raises:
            BrokenContainer: it is missing or of another kind, or its values lie outside of the buffer.
        """
        accessor = member(self.document, "accessors", number)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise BrokenContainer(f"accessor {number} is sparse or empty; accepted: a plain one")
        component, kind = accessor.get("componentType"), accessor.get("type")
        values = self._values(
            accessor["bufferView"], component, accessor.get("count"), kind, accessor.get("byteOffset", 0)
        )
        if accessor.get("normalized") is True and values.dtype.kind == "u":
            return values / np.float32(np.iinfo(values.dtype).max)
        return values

    def view(self, number: object) -> bytes:
        """The bytes of a buffer view, such as a picture's.

        Raises:
            BrokenContainer: it is missing, or lies outside of the buffer.
        """
        found = member(self.document, "bufferViews", number)
        place, size = found.get("byteOffset", 0), found.get("byteLength")
        if not (_is_size(place) and _is_size(size) and place + size <= len(self._buffer)):
            raise BrokenContainer(f"buffer view {str(number)[:20]} ends beyond the buffer")
        return bytes(self._buffer[place : place + size])

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

    def _values(self, view: object, component: object, count: object, kind: object, offset: object = 0) -> NDArray[Any]:
        found = member(self.document, "bufferViews", view)
        place = found.get("byteOffset", 0)
        if not (_is_size(place) and _is_size(offset) and _is_size(count)):
            raise BrokenContainer("an accessor has an offset or a count that is not a whole number")
        if (
            not isinstance(component, int)
            or component not in _DTYPES
            or not isinstance(kind, str)
            or kind not in _WIDTHS
        ):
            raise BrokenContainer("an accessor is of a type that is not read")
        dtype, width, start = _DTYPES[component], _WIDTHS[kind], place + offset
        if found.get("byteStride") not in (None, dtype.itemsize * width):
            raise BrokenContainer("an accessor's values are interleaved with others")
        if start + count * width * dtype.itemsize > len(self._buffer):
            raise BrokenContainer("an accessor ends beyond the buffer")
        values = np.frombuffer(self._buffer, dtype, count * width, start).copy()
        return values.reshape(-1, width) if width > 1 else values


def member(parent: dict[str, Any], key: str, number: object) -> dict[str, Any]:
    """Return the object ``parent[key][number]``; raise :class:`BrokenContainer` if there is none."""
    objects = parent.get(key)
    if not isinstance(objects, list) or not _is_size(number) or number >= len(objects):
        raise BrokenContainer(f"it has no member {str(number)[:20]} of {key}")
    found = objects[number]
    if not isinstance(found, dict):
        raise BrokenContainer(f"member {number} of {key} is not an object")
    return found


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_SIZE


def _parsed(chunk: bytes) -> object:
    try:
        return json.loads(chunk)
    except (ValueError, RecursionError) as error:
        raise BrokenContainer("its JSON chunk is not JSON") from error

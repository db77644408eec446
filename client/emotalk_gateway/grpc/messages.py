"""The messages' classes, from ``protos.binpb``.

Rule that this module guards: **no name of theirs is registered in the process.** Whoever runs the gateway may have
other libraries that bring the same messages, NVIDIA's own among them, and protobuf refuses two files of one name in its
default pool. So ours live in a pool of their own.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

COMPILED = "protos.binpb"
"""A FileDescriptorSet beside the protos; ``make protos`` writes it."""


@cache
def _pool() -> DescriptorPool:
    compiled = files("emotalk_gateway.grpc").joinpath("protos", COMPILED).read_bytes()
    pool = DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:  # each after those that it imports
        pool.AddSerializedFile(file.SerializeToString())
    return pool


@cache
def message(name: str) -> Any:
    """Return the class of the message of this full name, such as ``nvidia_ace.controller.v1.AudioStream``.

    Raises:
        KeyError: there is no such message.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def service(name: str) -> dict[str, tuple[Any, Any, bool, bool]]:
    """Return what each method of the service of this full name takes and gives.

    By name: the class of a request, that of an answer, and whether there is a stream of each.

    Raises:
        KeyError: there is no such service.
    """
    found = _pool().FindServiceByName(name)
    methods = {}
    for method in found.methods:
        request, answer = message(method.input_type.full_name), message(method.output_type.full_name)
        methods[method.name] = request, answer, method.client_streaming, method.server_streaming
    return methods

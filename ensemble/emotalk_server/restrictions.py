"""Parts of Triton's protocols that nobody may use: shared memory, model control, logging and trace settings.

Whoever may register shared memory reads and writes that of every program on the machine, and whoever may load a model
runs code as the server's user. Triton restricts a protocol to requests that carry a header, and wants name and value on
its command line, where every local user can read them. So the lock has no key: a header's name with a line feed in it,
which HTTP/1 ends a header with, and HTTP/2 (as gRPC reads it) refuses. A value would not do: gRPC reads one with a
line feed. Nor is the name one by itself: gRPC's names are lower case.
"""

from __future__ import annotations

RESTRICTED = ("shared-memory", "model-repository", "logging", "trace")
NO_HEADER = "No\nheader"
NO_VALUE = "\n"


def options() -> list[str]:
    """Return what closes them for HTTP and gRPC on Triton's command line."""
    lock = f"{','.join(RESTRICTED)}:{NO_HEADER}={NO_VALUE}"
    return [f"--http-restricted-api={lock}", f"--grpc-restricted-protocol={lock}"]

"""Processes that were forked from one that used gRPC.

Rule that this module guards: **a fork gets an error at once, and waits for nothing.** gRPC's threads and locks do not
survive a fork: a channel that a child makes after its parent had one hangs, or ends the process. Nor does the thread on
which :class:`~emotalk_client.client.EmoTalkClient` runs. A fork of a process that never used gRPC is as good as any.
"""

from __future__ import annotations

import os

from emotalk_client.errors import ClientForked

_ADVICE = (
    "start processes with multiprocessing's 'spawn' or 'forkserver', or fork before the first client is used and make "
    "the child's own client in the child"
)

_used_in: int | None = None
"""Process that used gRPC first, here or before a fork."""


def check_same_process(made_in: int) -> None:
    """Raise :class:`ClientForked` in another process than ``made_in``, where a client was made."""
    if os.getpid() != made_in:
        raise ClientForked(f"this client was made in process {made_in}, and this is its fork {os.getpid()}; {_ADVICE}")


def use_grpc() -> None:
    """Note that this process uses gRPC from now on.

    Raises:
        ClientForked: it was forked from one that did.
    """
    global _used_in  # a fact of the process
    if _used_in is None:
        _used_in = os.getpid()
    elif _used_in != os.getpid():
        raise ClientForked(
            f"process {os.getpid()} was forked from process {_used_in}, which used gRPC, and gRPC does not survive "
            f"that; {_ADVICE}"
        )

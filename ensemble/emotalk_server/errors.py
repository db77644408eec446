"""What can keep a server from starting. Each has its class, its message and exit status 1.

::

    ServerStartError (RuntimeError)
    ├── TritonNotFound        no Triton in this environment
    ├── UnsuitablePython      an interpreter or NumPy that Triton's Python backend cannot work with
    ├── InvalidRepository     no model repository there, or one that is incomplete
    ├── MissingGraph          a network's file is not there
    ├── UnsupportedProfile    graphs that are not made for what they are to run on
    ├── PortInUse             somebody listens there already
    ├── ModelFailedToLoad     Triton could not load a model
    └── StartTimeout          not ready in time
"""

from __future__ import annotations


class ServerStartError(RuntimeError):
    """The server did not start."""


class TritonNotFound(ServerStartError):
    """No Triton in this environment."""


class UnsuitablePython(ServerStartError):
    """An interpreter or a NumPy that Triton's Python backend cannot work with."""


class InvalidRepository(ServerStartError):
    """No model repository there, or one that is incomplete."""


class MissingGraph(ServerStartError):
    """A network's file is not there."""


class UnsupportedProfile(ServerStartError):
    """The graphs are not made for what they are to run on."""


class PortInUse(ServerStartError):
    """Somebody listens there already."""


class ModelFailedToLoad(ServerStartError):
    """Triton could not load a model."""


class StartTimeout(ServerStartError):
    """The server was not ready in time."""

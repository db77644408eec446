"""Reasons for which a server does not start. Each has its class, its message and exit status 1.

::

    ServerStartError (RuntimeError)
    ├── TritonNotFound        no Triton in this environment
    ├── UnsuitablePython      an interpreter or NumPy that Triton's Python backend cannot work with
    ├── InvalidRepository     not a model repository of this project, or an incomplete one
    ├── CorruptRepository     a file is not the one that the manifest describes
    ├── MissingGraph          a network's file is missing
    ├── UnsupportedProfile    graphs that are not made for what they are to run on
    ├── TensorRTMissing       plans are to be built, and nothing here builds them
    ├── GpuMissing            plans are to be built, and there is no GPU to build them for
    ├── PlanBuildFailed       NVIDIA's tool built no plan
    ├── PlansUnusable         the folder of plans cannot be written
    ├── InvalidAddress        an address or a port that nobody could listen on
    ├── PortInUse             somebody else listens there
    ├── FolderUnusable        the server's own folder cannot be made or written
    ├── ModelFailedToLoad     Triton could not load a model
    ├── StartTimeout          not ready in time
    └── StartCancelled        it was stopped while it started
"""

from __future__ import annotations


class ServerStartError(RuntimeError):
    """The server did not start."""


class TritonNotFound(ServerStartError):
    """No Triton in this environment."""


class UnsuitablePython(ServerStartError):
    """An interpreter or a NumPy that Triton's Python backend cannot work with."""


class InvalidRepository(ServerStartError):
    """Not a model repository of this project, or an incomplete one."""


class CorruptRepository(ServerStartError):
    """A file of the repository is not the one that its manifest describes."""


class MissingGraph(ServerStartError):
    """A network's file is missing."""


class UnsupportedProfile(ServerStartError):
    """The graphs are not made for what they are to run on."""


class TensorRTMissing(ServerStartError):
    """Plans are to be built, and nothing here builds them."""


class GpuMissing(ServerStartError):
    """Plans are to be built, and there is no GPU, or more than one kind of them."""


class PlanBuildFailed(ServerStartError):
    """NVIDIA's tool built no plan."""


class PlansUnusable(ServerStartError):
    """The folder of plans cannot be written."""


class InvalidAddress(ServerStartError):
    """An address or a port that nobody could listen on."""


class PortInUse(ServerStartError):
    """Somebody else listens there."""


class FolderUnusable(ServerStartError):
    """The server's own folder cannot be made or written."""


class ModelFailedToLoad(ServerStartError):
    """Triton could not load a model."""


class StartTimeout(ServerStartError):
    """The server was not ready in time."""


class StartCancelled(ServerStartError):
    """The server was stopped while it started."""

"""Reasons why the networks cannot be measured on a GPU.

::

    GpuError
    ├── TorchMissing       PyTorch is not installed
    ├── NoSuchDevice       PyTorch sees no such device
    ├── TooLittleMemory    not even one window fits
    └── NothingRan         every way to run a network failed

None of the client's errors: they come with packages that such a machine may lack.
"""

from __future__ import annotations


class GpuError(Exception):
    """A measurement that cannot be made."""


class TorchMissing(GpuError):
    """PyTorch is not installed."""


class NoSuchDevice(GpuError):
    """PyTorch sees no such device: no GPU, no driver, or a PyTorch without CUDA."""


class TooLittleMemory(GpuError):
    """The weights, or one window alone, do not fit into the device's memory."""


class NothingRan(GpuError):
    """Every way to run a network failed."""

"""The networks on a GPU, measured by themselves: the share of the chip's own matmul rate that they reach.

Rule that this package guards: **it runs on a machine with a GPU and nothing but its Python** (PyTorch and NumPy), from
a checkout that is not installed, with nothing to download::

    PYTHONPATH=perf:export:ensemble:client python -m emotalk_perf.gpu

``flops``     operations of the networks, by formula
``networks``  the networks at the sizes that are measured, with seeded weights
``ways``      ways to run them: eager, compiled, as a CUDA graph; tf32 and bf16
``machine``   the device: its name, its memory, its own matmul rates
``measure``   the measurement
``report``    its tables
``errors``    reasons why there is none

Nothing here imports PyTorch before :func:`emotalk_perf.gpu.command.run` has found it.
"""

"""What surrounds the networks on Triton: the contract, the frame grid, pre- and post-processing, the server.

Nothing is imported here, so that the thin client can read :mod:`~emotalk_ensemble.contract`,
:mod:`~emotalk_ensemble.arkit` and :mod:`~emotalk_ensemble.timing` at no cost.
"""

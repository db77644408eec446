"""What surrounds the networks on Triton: the contract, the frame grid, pre- and post-processing, the server.

Nothing is imported here, so that the thin client can read :mod:`~emotalk_contract`,
:mod:`~emotalk_contract.arkit` and :mod:`~emotalk_contract.timing` at no cost.
"""

"""Sends a running service what strangers may send, and says what came of it: ``emotalk-perf hostile``.

``case``     one hostile input, and the answers that are accepted
``wire``     raw bytes to a port, and the answer in a few words
``triton``   cases of Triton's HTTP
``callers``  cases of gRPC callers
``gateway``  cases of the gateway
``honest``   callers who ask for faces meanwhile
``run``      one case after another
``report``   the table, limits, JSON

The service, its callers and those who watch it are in :mod:`emotalk_perf.attacked`.
"""

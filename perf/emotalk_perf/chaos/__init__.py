"""Kills every process of a running service under load, and says what came of it: ``emotalk-perf chaos``.

``run``      the plan of kills
``outages``  when a kill was healed
``report``   tables, limits, JSON

The service, its callers and those who watch it are in :mod:`emotalk_perf.attacked`.
"""

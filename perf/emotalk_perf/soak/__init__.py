"""Mixed load for an hour, honest and hostile, and what became of it: ``emotalk-perf soak``.

``run``      the service, its callers, and the report as it goes
``memory``   of every process, sampled
``verdict``  the limits, each held or not, with its numbers
``report``   the page and the tables that a cut run leaves behind
``drawing``  the picture, drawn from those tables in a process of its own
"""

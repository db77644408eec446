"""Kills every process of a running service under load, and says what came of it: ``emotalk-perf chaos``.

``kept``       commands that are started again when they end, as systemd's ``Restart=always`` does
``processes``  the processes of a run, by kind
``answers``    callers with known clips and known answers
``prober``     when faces were to be had, and when ``/health/ready`` said so
``outages``    when a kill was healed
``leftovers``  what is left behind
``run``        the plan of kills
``report``     tables, limits, JSON
"""

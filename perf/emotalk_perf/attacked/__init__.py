"""A real service to be attacked, and the means to see what becomes of it; ``chaos`` and ``hostile`` use them.

``service``    a server and a gateway, kept running, with temporary files of their own
``kept``       commands that are started again when they end, as systemd's ``Restart=always`` does
``processes``  the processes of a run, by kind
``answers``    callers with known clips and known answers
``prober``     when faces were to be had, and when ``/health/ready`` said so
``usage``      memory and CPU of the run's processes
``leftovers``  what is left behind
"""

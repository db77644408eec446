"""Damages pictures and clips in every way and has them decoded: ``emotalk-perf uploads``.

``drawn``      whole uploads, of every format
``mutations``  what is done to them
``run``        one after another, through the decoder or through a gateway
``report``     the table and its limits
"""

"""Traffic of a service, whose right answers are known; ``soak`` and ``capacity`` use it.

``histogram``      seconds, counted in constant memory
``ledger``         one kind of caller: asked, right, refused; latencies by tenth of the run and by minute
``arrivals``       the moments at which requests are due, whatever became of those before
``requests``       files, uploads and texts: one question, one answer
``conversations``  live streams, utterance after utterance on one WebSocket
``strangers``      callers who send what is broken, leave early, or never read
"""

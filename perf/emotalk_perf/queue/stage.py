"""A broker, a server and workers between them, for as long as they are attacked."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from confluent_kafka import KafkaException, Message, TopicPartition

from emotalk_gateway.kafka import clients
from emotalk_gateway.kafka.enqueueing import Enqueuer
from emotalk_perf.attacked.kept import Kept
from emotalk_perf.attacked.prober import ready_of
from emotalk_perf.attacked.processes import TRITON, of_run
from emotalk_perf.attacked.watched import HOST, Watched
from emotalk_perf.queue.broker import Broker, free_port
from emotalk_perf.queue.fates import read_fates
from emotalk_perf.queue.work import Request

REQUESTS, FRAMES, DEAD, GROUP = "requests", "frames", "dead", "workers"
"""Topics, and the workers' group."""
SESSION_MS = 6000
"""After which the broker gives a worker up that it does not hear of."""
POLL_S = 0.2


class Stage(Watched):
    """A broker with its topics, an ``emotalk-server``, and workers, each started again when it ends.

    Args:
        partitions: of each topic.
        options: of every worker, beside its addresses.
        repository: served; None: the bundled one.

    Raises (on entering):
        ServiceNotStarted: they do not serve in time.
    """

    def __init__(self, partitions: int, options: Sequence[str] = (), repository: Path | None = None) -> None:
        super().__init__()
        self.partitions = partitions
        self.broker = Broker(topics={REQUESTS: partitions, FRAMES: partitions, DEAD: 1})
        self.workers: list[Kept] = []
        self._options = list(options)
        self._repository = repository
        self._stack = ExitStack()
        self._health: list[int] = []
        self._sent = 0
        grpc, http, metrics, health = (free_port() for _ in range(4))
        self.url = f"{HOST}:{grpc}"
        self._server = [sys.executable, "-m", "emotalk_server.cli", "--http-port", f"{http}", "--grpc-port", f"{grpc}"]
        self._server += ["--metrics-port", f"{metrics}", "--health-port", f"{health}"]
        self._server += ["--repository", str(repository)] if repository is not None else []
        self._serves = ready_of(HOST, health)

    def __enter__(self) -> Stage:
        with ExitStack() as stack:
            self._environment = self.watch(stack)
            stack.enter_context(self.broker)
            stack.enter_context(Kept(self._server, self._environment, self.logs / "server.log"))
            self.await_(self._serves, "the server was not ready")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start_workers(self, count: int, *options: str) -> None:
        """Start ``count`` more, and wait until each is ready.

        Raises:
            ServiceNotStarted: one is not in time.
        """
        for _ in range(count):
            port, number = free_port(), len(self.workers)
            command = [sys.executable, "-m", "emotalk_cli", "worker", "--brokers", self.broker.address]
            command += ["--topic", REQUESTS, "--results", FRAMES, "--dead", DEAD, "--group", GROUP, "--url", self.url]
            command += ["--health-port", f"{port}", "--librdkafka", f"session.timeout.ms={SESSION_MS}"]
            worker = Kept([*command, *self._options, *options], self._environment, self.logs / f"worker-{number}.log")
            self.workers.append(self._stack.enter_context(worker))
            self._health.append(port)
        for port in self._health[-count:]:
            self.await_(ready_of(HOST, port), "a worker was not ready")

    def stop_workers(self) -> list[bool]:
        """Ask all to end, as systemd does; return whether each did in time."""
        for worker in self.workers:
            worker.__exit__(None, None, None)
        return [worker.stopped_in_time for worker in self.workers]

    def kill_worker(self, number: int) -> bool:
        """Kill one by SIGKILL; False where there was nobody."""
        pid = self.workers[number].pid
        try:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return pid is not None

    def kill_triton(self) -> bool:
        """Kill the server's Triton by SIGKILL; False where there was none."""
        return any(one.send(signal.SIGKILL) for one in of_run(self.mark) if one.kind == TRITON)

    def enqueue(self, requests: Sequence[Request]) -> None:
        """Put ``requests`` into the queue, in their order."""
        with Enqueuer(self.broker.address, REQUESTS) as way:
            for one in requests:
                way.send(one.value, request_id=one.request_id, key=one.key.encode())
            self._sent += len(list(way.acknowledged()))

    def committed(self) -> tuple[int, int]:
        """Return (requests that the group has done with, requests that were sent)."""
        reader = clients.reader(self.broker.address, {}, group=GROUP, isolation="read_uncommitted")
        try:
            places = [TopicPartition(REQUESTS, one) for one in range(self.partitions)]
            done = reader.committed(places, timeout=clients.ANSWER_S)
        except KafkaException as error:
            raise clients.fault(error.args[0], REQUESTS) from error
        finally:
            reader.close()
        return sum(max(0, one.offset) for one in done), self._sent

    def records(self, topic: str) -> list[Message]:
        """Return the committed records of ``topic``, in the order of each partition."""
        count = 1 if topic == DEAD else self.partitions
        fates = [read_fates(self.broker.address, topic, one) for one in range(count)]
        reader = clients.reader(self.broker.address, {}, group="judge", isolation="read_uncommitted")
        found: list[Message] = []
        try:
            reader.assign([TopicPartition(topic, one, 0) for one in range(count)])
            unread = set(range(count))
            while unread:
                for message in reader.consume(1000, POLL_S):
                    partition = message.partition() or 0
                    if message.error() is not None:
                        unread.discard(partition)
                    elif message.offset() in fates[partition].committed:
                        found.append(message)
        finally:
            reader.close()
        return found

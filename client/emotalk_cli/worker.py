"""``emotalk worker``: animates what stands in a queue."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from emotalk_cli.connection import Url, address, security
from emotalk_cli.queue import DEAD, FRAMES, REQUESTS, Brokers, Librdkafka, kafka
from emotalk_client.aio import AsyncEmoTalkClient


def worker(
    brokers: Brokers = "localhost:9092",
    topic: Annotated[str, typer.Option(metavar="TOPIC", help="Requests are taken from there.")] = REQUESTS,
    results: Annotated[str, typer.Option(metavar="TOPIC", help="Answers are put there.")] = FRAMES,
    dead: Annotated[str, typer.Option(metavar="TOPIC", help="Requests that will never do are put there.")] = DEAD,
    group: Annotated[str, typer.Option(help="Of the workers that share the topic.")] = "emotalk.workers",
    url: Url = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Clips at once.")] = 4,
    transactions: Annotated[
        bool, typer.Option("--transactions", help="Answers and offsets together or not at all; order by partition.")
    ] = False,
    max_record_bytes: Annotated[
        int, typer.Option(min=20_000, help="Of an answer's record; below the broker's message.max.bytes.")
    ] = 900_000,
    max_request_bytes: Annotated[int, typer.Option(min=1, help="Of a request, or of what it names.")] = 64 << 20,
    max_audio_s: Annotated[float, typer.Option(min=0.1, help="Seconds of one clip.")] = 3600.0,
    timeout: Annotated[float, typer.Option(min=1.0, help="Seconds of one try.")] = 600.0,
    drain_s: Annotated[
        float, typer.Option(min=0.0, help="Seconds in which clips that were begun may be finished on SIGTERM.")
    ] = 30.0,
    files: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Folder below which file:// may name files; repeatable.")
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Host that https:// may name; repeatable.")
    ] = None,
    buckets: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Bucket that s3:// may name; repeatable.")
    ] = None,
    health_host: Annotated[str, typer.Option(help="Address for health and metrics.")] = "127.0.0.1",
    health_port: Annotated[int, typer.Option(min=0, max=65_535, help="Its port; 0: none.")] = 8004,
    audit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Log of requests: what, how much; a line of JSON each.")
    ] = None,
    librdkafka: Librdkafka = None,
) -> None:
    """Animate what stands in a queue, until SIGTERM or Ctrl-C; the second one ends it at once."""
    with kafka():
        from emotalk_gateway.kafka.clients import given_settings
        from emotalk_gateway.kafka.references import Allowed
        from emotalk_gateway.kafka.requests import Limits
        from emotalk_gateway.kafka.settings import WorkerSettings
        from emotalk_gateway.kafka.status import served
        from emotalk_gateway.kafka.worker import Worker
        from emotalk_gateway.service.auditing import audited
        from emotalk_gateway.service.tracing import exported
    allowed = Allowed(tuple(files or ()), frozenset(hosts or ()), frozenset(buckets or ()))
    settings = WorkerSettings(
        brokers, topic, results, dead, group, concurrency, transactions, max_record_bytes, drain_s,
        Limits(max_request_bytes, max_audio_s, allowed), given_settings(librdkafka or []),
    )  # fmt: skip
    with exported("emotalk-worker"), audited(audit), address(url, supervised=True) as triton:
        one = Worker(settings, partial(AsyncEmoTalkClient, triton, timeout_s=timeout, **security(url)))

        def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of handlers
            if one.stopping:  # what was begun begins again elsewhere, as after a kill
                os._exit(128 + number)
            one.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        said = f"emotalk worker is ready: {topic} on {brokers}, faces from {triton}"
        if health_port:
            with served(one, health_host, health_port):
                one.run(lambda: typer.echo(said))
        else:
            one.run(lambda: typer.echo(said))

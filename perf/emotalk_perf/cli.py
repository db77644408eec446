"""The command ``emotalk-perf``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import numpy as np
import soundfile
import typer
from numpy.typing import NDArray

from emotalk_client import EmoTalkError, InvalidRequest
from emotalk_client.audio.loading import load
from emotalk_client.faces.formats import make_folder_of
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf import audio2face, capacity, drawn, install, load_report, most_streams, saying
from emotalk_perf import barge_in as barging_in
from emotalk_perf import compare as comparison
from emotalk_perf import equivalence as equal
from emotalk_perf import gateway as overhead
from emotalk_perf import lengths as cost
from emotalk_perf import load as loads
from emotalk_perf import locks as lock_tries
from emotalk_perf import memory as memories
from emotalk_perf import settings as session_settings
from emotalk_perf.clips import excerpt
from emotalk_perf.endpoint import Endpoint, Protocol
from emotalk_perf.gpu import command as on_gpu
from emotalk_perf.gpu.errors import GpuError
from emotalk_perf.report import check, renew
from emotalk_perf.traffic.mix import KINDS
from emotalk_server import EmbeddedServer, ServerStartError

app = typer.Typer(help="Measure a server.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class StreamPath(str, Enum):
    """A live stream's way, for the command line."""

    steps = "steps"
    windows = "windows"


MODELS = "core,live,speech"
OVERLAPS_S = (0.5, 3.0)
LIVES = ("default,default", "1,default", "0.5,default")
"""Context and look-ahead of the live streams that are compared."""

Audio = Annotated[list[Path], typer.Argument(help="Speech; several files are joined.")]
Url = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A running server. Default: one started for this.")]
Repository = Annotated[Path | None, typer.Option(help="What the started server serves. Default: the bundled model.")]
Page = Annotated[Path | None, typer.Option(help="Renew a block of this Markdown page instead of printing.")]
Block = Annotated[str, typer.Option(help="Name of that block.")]
Models = Annotated[str, typer.Option(metavar="GROUPS", help="That the server loads; texts are said by speech.")]
Image = Annotated[Path | None, typer.Option("--plot", help="Also draw an image.")]


@app.command()
def equivalence(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    raw: Annotated[bool, typer.Option("--raw/--smooth", help="Raw weights, or smoothed ones.")] = True,
    repeat: Annotated[int, typer.Option(min=1, help="How often the speech is repeated.")] = 1,
    live: Annotated[
        list[str] | None,
        typer.Option(metavar="CONTEXT,LOOK_AHEAD", help="Of a live stream, in seconds, or default; several times."),
    ] = None,
    page: Page = None,
    block: Block = "equivalence",
    image: Image = None,
) -> None:
    """Compare chunks, windows and live streams with the whole clip."""
    clip = np.tile(_speech(audio), repeat)
    windows: list[tuple[float | None, float | None]] = [(None, overlap) for overlap in OVERLAPS_S]
    with _server(url, repository) as address:
        measured = equal.run(
            address, clip, raw=raw, windows=[*windows, (None, None)], lives=[_pair(text) for text in live or LIVES]
        )
    _put(equal.markdown(measured), page, block)
    if image is not None:
        equal.plot(measured, image)


@app.command()
def streams(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    seconds: Annotated[float, typer.Option(min=2.0, help="Of each stream.")] = 10.0,
    count: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Streams at once; several times. Default: the most that hold are looked for."),
    ] = None,
    hop: Annotated[
        list[int] | None, typer.Option(min=1, max=30, help="Frames between two requests; several times. Default: 2, 4.")
    ] = None,
    path: Annotated[
        list[StreamPath] | None,
        typer.Option(help="Only what is new (where the model streams), or windows; both may be given. Default: steps."),
    ] = None,
    over_gateway: Annotated[
        bool, typer.Option("--gateway", help="Over the WebSocket of a gateway, started for this.")
    ] = False,
    most: Annotated[int, typer.Option(min=1, help="Streams that are tried at most.")] = 256,
    page: Page = None,
    block: Block = "streams",
    image: Image = None,
) -> None:
    """Run paced live streams at once: how late their frames come, what a hop costs by process, how many hold."""
    _check(page, block)
    clip = _speech(audio)
    paths = [one.value for one in path or [StreamPath.steps]]
    plan = most_streams.Plan(hop or (2, 4), paths, count or (), seconds, over_gateway)
    with _process(url, repository) as (address, process):
        loads = most_streams.run(address, clip, plan, most, process, lambda one: _tell(most_streams.line(one)))
    _put(most_streams.markdown(loads), page, block)
    if image is not None:
        most_streams.plot(loads, image)


@app.command()
def barge_in(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    cuts: Annotated[int, typer.Option(min=1, help="Utterances that are cut off, at each door.")] = 20,
    page: Page = None,
    block: Block = "barge-in",
) -> None:
    """Cut speakers off, on a connection that is kept: how soon the face is at rest, and the next one there."""
    _check(page, block)
    clip = _speech(audio)
    with _process(url, repository) as (address, _):
        measured = barging_in.run(address, clip, cuts)
    _put(barging_in.markdown(measured), page, block)


@app.command("capacity")
def how_much(
    audio: Audio,
    repository: Repository = None,
    models: Models = MODELS,
    seconds: Annotated[float, typer.Option(min=2.0, help="Of each measurement.")] = 10.0,
    hop: Annotated[
        list[int] | None, typer.Option(min=1, max=30, help="Frames between two requests; several times. Default: 2, 4.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Streams that are tried at most.")] = 256,
    page: Page = None,
    block: Block = "capacity",
) -> None:
    """Find how many live streams this machine holds, and how many uploads, files and texts a minute."""
    _check(page, block)
    found = capacity.run(
        _speech(audio), repository, models, hops=hop or (2, 4), seconds=seconds, most=most, tell=_tell
    )  # fmt: skip
    _put(capacity.markdown(found), page, block)


@app.command()
def soak(
    audio: Audio,
    repository: Repository = None,
    models: Models = MODELS,
    minutes: Annotated[float, typer.Option(min=0.1, help="Of load, once the capacity is known.")] = 60.0,
    share: Annotated[
        float, typer.Option(min=0.01, max=2.0, help="Of the capacity; every kind of caller has an equal part.")
    ] = 0.7,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=N",
            help="Instead of a share: streams at once; files, uploads, texts a minute. Several times, others are not.",
        ),
    ] = None,
    hostile: Annotated[float, typer.Option(min=0.0, help="Strangers a minute.")] = 6.0,
    seed: Annotated[int, typer.Option(help="Of the moments at which requests come.")] = 0,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Takes the report while the run goes.")] = Path(
        "out/soak"
    ),
    page: Page = None,
    block: Block = "soak",
    image: Image = None,
) -> None:
    """Load a service with files, streams, uploads, texts and strangers for an hour; judge every answer, and its memory.

    Exit status 1 where a limit is broken. A run that is ended early has its report all the same.
    """
    from emotalk_perf.soak import report
    from emotalk_perf.soak import run as mixed

    _check(page, block)
    load_report.check_plot(image or folder / report.PICTURE)
    plan = mixed.Plan(minutes, share, _rates(rate or []), hostile, models, seed)
    seen = mixed.run(_speech(audio), plan, repository, folder, _tell)
    _put(report.markdown(seen), page, block)
    if image is not None:
        make_folder_of(image)
        image.write_bytes((folder / report.PICTURE).read_bytes())
    broken = [line for line in seen.lines() if not line.held]
    for line in broken:
        typer.echo(f"not held: {line.limit}: {line.seen}", err=True)
    if broken:
        raise typer.Exit(1)


@app.command()
def gateway(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Of the clip; speech is repeated as needed.")] = 25.0,
    runs: Annotated[int, typer.Option(min=1, help="Of each.")] = 40,
    page: Page = None,
    block: Block = "gateway",
) -> None:
    """Compare the gateway's stream of a file with the thin client's animation of it."""
    _check(page, block)
    clip = excerpt(_speech(audio), seconds)
    with tempfile.TemporaryDirectory() as folder, _server(url, repository) as address:
        file = Path(folder) / "clip.flac"
        soundfile.write(file, clip, SAMPLE_RATE)
        measured = overhead.run(address, file, seconds, runs)
    _put(overhead.markdown(measured), page, block)


@app.command()
def locks(
    count: Annotated[int, typer.Option(min=1000, help="Wrong tokens.")] = 10_000,
    page: Page = None,
    block: Block = "locks",
) -> None:
    """Ask a gateway with wrong tokens: none is let in, and the time tells nothing of how they are wrong.

    Exit status 1 where one is let in, or a difference is seen.
    """
    _check(page, block)
    found = lock_tries.run(count)
    _put(lock_tries.markdown(found), page, block)
    if found.let_in or found.tells:
        raise typer.Exit(1)


@app.command()
def a2f(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    seconds: Annotated[float, typer.Option(min=2.0, help="Of each stream.")] = 10.0,
    count: Annotated[list[int] | None, typer.Option(min=1, help="Streams at once; several times.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Of each.")] = 3,
    page: Page = None,
    block: Block = "a2f",
) -> None:
    """Run paced live streams over the port for Audio2Face-3D's clients: how late frames come, what that door adds."""
    _check(page, block)
    clip = _speech(audio)
    with _server(url, repository) as address:
        found = audio2face.run(address, clip, count or (1, 8), seconds, runs)
    _put(audio2face.markdown(found), page, block)


@app.command("compare")
def against_eager(
    audio: Audio,
    checkpoint: Annotated[Path, typer.Option(help="The exported checkpoint, for eager PyTorch.")],
    repository: Annotated[list[Path], typer.Option(help="What was exported from it; several times: all of them.")],
    attention_heads: Annotated[
        int | None,
        typer.Option(help="Heads of the checkpoint's encoders. Default: the released network's.", show_default=False),
    ] = None,
    seconds: Annotated[str, typer.Option(metavar="S,S…", help="Of speech.")] = "1,5,25",
    rounds: Annotated[int, typer.Option(min=1, help="How often every way is run.")] = 5,
    page: Page = None,
    block: Block = "compare",
    summary: Annotated[Path | None, typer.Option(help="Also renew the block `speed` of this page.")] = None,
) -> None:
    """Compare eager PyTorch with the served ensemble and with the bare sessions, in turn, in one run."""
    lengths = _list(seconds, float, "--seconds")
    _check(page, block)
    _check(summary, "speed")
    clip = _speech(audio)
    measured = comparison.run(checkpoint, attention_heads, repository, clip, lengths, rounds, told=_tell)
    _put(comparison.markdown(measured), page, block)
    if summary is not None:
        renew(summary, "speed", comparison.summary(measured))


@app.command("renderers")
def drawn_pictures(
    renderers: Annotated[Path, typer.Argument(metavar="DIR", help="As `emotalk-export renderer` wrote it.")],
    items: Annotated[int, typer.Option(min=1, help="Pictures, or windows of sound, of each model.")] = 24,
    at_once: Annotated[int, typer.Option(min=2, help="Requests on their way together.")] = 8,
    page: Page = None,
    block: Block = "renderers",
) -> None:
    """Measure the processor time of a picture that a neural renderer draws."""
    _check(page, block)
    _put(drawn.markdown(drawn.run(renderers, items, at_once, told=_tell)), page, block)


@app.command("lengths")
def by_length(
    audio: Audio,
    repository: Annotated[list[Path], typer.Option(help="What is served; several times: one after the other.")],
    seconds: Annotated[str, typer.Option(metavar="S,S…", help="Of clips.")] = "1,10,60,600",
    rounds: Annotated[int, typer.Option(min=1, help="How often every clip is animated.")] = 3,
    page: Page = None,
    block: Block = "lengths",
) -> None:
    """Measure what a second of speech costs in clips of different lengths."""
    lengths = _list(seconds, float, "--seconds")
    _check(page, block)
    clip = _speech(audio)
    found = [cost.run(each, clip, lengths, rounds, told=_tell) for each in repository]
    _put(cost.markdown(repository, lengths, found), page, block)


@app.command()
def memory(
    audio: Audio,
    repository: Annotated[list[Path], typer.Option(help="What is served; several times: one after the other.")],
    windows: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of speech in each.")] = 25.0,
    page: Page = None,
    block: Block = "memory",
) -> None:
    """Watch a server's memory over many windows."""
    _check(page, block)
    clip = _speech(audio)
    measured = [memories.run(each, clip, windows, seconds, told=_tell) for each in repository]
    _put(memories.markdown(repository, seconds, measured), page, block)


@app.command()
def settings(
    audio: Audio,
    repository: Annotated[list[Path], typer.Option(help="What is served; several times: one after the other.")],
    only: Annotated[
        list[str] | None, typer.Option(help=f"Of: {', '.join(session_settings.ALTERNATIVES)}; several times.")
    ] = None,
    seconds: Annotated[str, typer.Option(metavar="S,S…", help="Of speech.")] = "1,25",
    rounds: Annotated[int, typer.Option(min=1, help="How often every setting is run.")] = 5,
    page: Page = None,
    block: Block = "settings",
) -> None:
    """Compare threads, instances, the arena and spinning with what the contract has, side by side (memory for all)."""
    lengths = _list(seconds, float, "--seconds")
    if strange := set(only or ()) - set(session_settings.ALTERNATIVES):
        accepted = ", ".join(session_settings.ALTERNATIVES)
        raise typer.BadParameter(f"{sorted(strange)}; accepted: {accepted}", param_hint="--only")
    _check(page, block)
    clip = _speech(audio)
    tables = []
    for each in repository:
        found = session_settings.run(
            each, only or list(session_settings.ALTERNATIVES), clip, lengths, rounds,
            told=_tell,
        )  # fmt: skip
        tables.append(session_settings.markdown(each, lengths, found))
    _put("\n\n".join(tables), page, block)


@app.command()
def gpu(
    device: Annotated[str, typer.Option(help="cuda, cuda:N or cpu.")] = "cuda",
    small: Annotated[bool, typer.Option("--small", help="Everything but the numbers, in seconds.")] = False,
    minutes: Annotated[float, typer.Option(min=0.0, help="After so many, nothing new is begun.")] = on_gpu.MINUTES,
    page: Page = None,
    block: Block = "gpu",
) -> None:
    """Measure the networks by themselves on a GPU: their share of its matmul rate, and live windows a second."""
    _check(page, block)
    _put(on_gpu.run(device, small, minutes, _tell), page, block)


@app.command("install-analyzer")
def install_analyzer() -> None:
    """Bring a perf_analyzer that runs here into the user's cache, unless one is there or on PATH."""
    analyzer = install.find()
    typer.echo(f"{analyzer.description}: {analyzer.binary}")


@app.command("load")
def under_load(
    audio: Audio,
    url: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="A running server's gRPC endpoint. Default: one is started.")
    ] = None,
    http_url: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Its HTTP endpoint.")] = None,
    repository: Annotated[
        list[Path] | None,
        typer.Option(help="What the started server serves; several times: one after the other. Default: the bundled."),
    ] = None,
    seconds: Annotated[str, typer.Option(metavar="S,S…", help="Of speech in one request.")] = "1,5,25",
    concurrency: Annotated[str, typer.Option(metavar="N,N…", help="Requests at once.")] = "1,2,4",
    protocol: Annotated[
        str | None, typer.Option(help="grpc, http, or both with a comma. Default: what can be.")
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="At least so many in each of three measurements.")] = (
        loads.REQUESTS
    ),
    timeout: Annotated[float, typer.Option(min=1.0, help="Seconds of one combination.")] = loads.TIMEOUT_S,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep perf_analyzer's input and its own reports there.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write every figure as CSV.")] = None,
    page: Page = None,
    block: Block = "load",
    image: Image = None,
) -> None:
    """Drive the ensemble with NVIDIA's perf_analyzer: window lengths x requests at once x protocols x repositories."""
    lengths, at_once = _list(seconds, float, "--seconds"), _list(concurrency, _count, "--concurrency")
    given: dict[Protocol, str | None] = {"grpc": url, "http": http_url}
    protocols = _protocols(protocol, given)
    if any(given.values()) and repository:
        raise typer.BadParameter("a running server has its own; accepted: this or --url", param_hint="--repository")
    _check(page, block)
    if image is not None:
        make_folder_of(image)
        load_report.check_plot(image)
    if csv is not None:
        make_folder_of(csv)
        load_report.write_csv([], csv)
    clip = _speech(audio)
    analyzer = install.find()
    rows: list[loads.Row] = []
    with nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="emotalk-load-") as folder:
        for number, served in enumerate(repository or [None]):
            with _endpoints(given, served, protocols) as endpoints:
                for row in loads.run(
                    analyzer,
                    endpoints,
                    clip,
                    Path(folder, str(number)) if repository else Path(folder),
                    served=loads.describe(endpoints[0]),
                    seconds=lengths,
                    concurrency=at_once,
                    requests=requests,
                    timeout_s=timeout,
                    show=_tell,
                ):
                    rows.append(row)
                    if csv is not None:  # each time, so that what is there survives an end before the end
                        load_report.write_csv(rows, csv)
    models = "; ".join(dict.fromkeys(row.served.model for row in rows))
    cores = f"; client and server share {len(os.sched_getaffinity(0))} CPU cores" if not any(given.values()) else ""
    _put(load_report.markdown(rows, f"{models}; {analyzer.description}{cores}."), page, block)
    if image is not None:
        load_report.plot(rows, image)
    if any(row.figures is None for row in rows):
        raise typer.Exit(1)


@app.command()
def chaos(
    audio: Audio,
    repository: Repository = None,
    kills: Annotated[int, typer.Option(min=0, help="Of each kind of process.")] = 3,
    minutes: Annotated[float, typer.Option(min=0, help="Of kills at random, after those.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of the kills at random.")] = 0,
    files: Annotated[int, typer.Option(min=1, help="Callers of the thin client.")] = 4,
    uploads: Annotated[int, typer.Option(min=1, help="Callers of the gateway.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")] = None,
    page: Page = None,
    block: Block = "chaos",
) -> None:
    """Kill every process of a server and a gateway under load; exit status 1 where a limit is broken."""
    from emotalk_perf.chaos import report
    from emotalk_perf.chaos import run as plan

    _check(page, block)
    wanted = plan.Plan(kills, minutes, seed, files, uploads)
    outcome = plan.run(_speech(audio), wanted, repository, _tell)
    if json_file is not None:
        json_file.write_text(report.as_json(outcome), "utf-8")
    _put(report.markdown(outcome), page, block)
    broken = report.wrongs(outcome) + report.late(outcome)
    for line in broken:
        typer.echo(line, err=True)
    if broken:
        raise typer.Exit(1)


@app.command()
def hostile(
    audio: Annotated[
        list[Path] | None, typer.Argument(help="Speech; its first second is what honest callers ask for.")
    ] = None,
    repository: Repository = None,
    case: Annotated[list[str] | None, typer.Option(help="Only this one; several times.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the cases, and end.")] = False,
    strict: Annotated[
        bool, typer.Option(help="Also hold the light request's wait: 0.1 s. For a quiet machine.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")] = None,
    page: Page = None,
    block: Block = "hostile",
) -> None:
    """Send a server and a gateway what strangers may send; exit status 1 where a limit is broken."""
    from emotalk_perf.hostile import report
    from emotalk_perf.hostile import run as attacks

    cases = attacks.chosen(case or [])
    if list_:
        for one in cases:
            typer.echo(f"{one.name}\t{one.fault}\taccepted: {one.accepted}")
        return
    if not audio:
        raise typer.BadParameter("none is given; accepted: files of speech", param_hint="AUDIO")
    _check(page, block)
    if json_file is not None:
        make_folder_of(json_file)
    outcome = attacks.run(_speech(audio), cases, repository, _tell)
    if json_file is not None:
        json_file.write_text(report.as_json(outcome), "utf-8")
    _put(report.markdown(outcome), page, block)
    broken = report.broken(outcome, strict)
    for line in broken:
        typer.echo(line, err=True)
    if broken:
        raise typer.Exit(1)


@app.command()
def uploads(
    photographs: Annotated[
        list[Path] | None, typer.Argument(help="Pictures with faces to begin from, beside drawn ones.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Damaged uploads.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Of the damage.")] = 0,
    gateway: Annotated[
        str | None, typer.Option(metavar="URL", help="A gateway with avatars that takes them. Default: decoded here.")
    ] = None,
    page: Page = None,
    block: Block = "uploads",
) -> None:
    """Have damaged pictures and clips decoded; exit status 1 where one is not read or refused in words."""
    from emotalk_perf.uploads import report
    from emotalk_perf.uploads import run as damage

    _check(page, block)
    outcome = damage.run(count, seed, gateway, _tell, photographs or [])
    _put(report.markdown(outcome), page, block)
    broken = report.broken(outcome)
    for line in broken:
        typer.echo(line, err=True)
    if broken:
        raise typer.Exit(1)


@app.command()
def queue(
    audio: Audio,
    repository: Repository = None,
    transactions: Annotated[
        bool | None, typer.Option(help="Workers with --transactions, or without. Default: one after the other.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="How many.")] = 500,
    shortest: Annotated[float, typer.Option(min=0.1, help="Seconds of the shortest clip.")] = 0.1,
    longest: Annotated[float, typer.Option(min=0.1, help="Seconds of the longest clip.")] = 60.0,
    poisonous: Annotated[int, typer.Option(min=0, help="Records that no worker can animate.")] = 20,
    large_mib: Annotated[int, typer.Option(min=1, help="Of zeros, in some of those.")] = 100,
    keys: Annotated[int, typer.Option(min=1, help="Over which the requests are spread.")] = 8,
    partitions: Annotated[int, typer.Option(min=1, help="Of the topics.")] = 8,
    workers: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    kill_s: Annotated[float, typer.Option(min=0.5, help="Seconds between two deaths of a worker.")] = 5.0,
    triton_kills: Annotated[int, typer.Option(min=0, help="Of the server's Triton.")] = 2,
    outage_s: Annotated[
        float, typer.Option(min=0.0, help="Seconds for which the broker stands still in the middle of the work.")
    ] = 30.0,
    minutes: Annotated[float, typer.Option(min=0.1, help="In which everything must be answered.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Of the clips and the kills.")] = 0,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Compare it with animate of the same files instead, with one worker.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="With --throughput, how often.")] = 3,
    memory: Annotated[
        bool, typer.Option("--memory", help="Watch one worker's memory through an hour of speech instead.")
    ] = False,
    hours: Annotated[float, typer.Option(min=0.01, help="With --memory, of speech.")] = 1.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")] = None,
    page: Page = None,
    block: Annotated[str | None, typer.Option(help="Name of that block. Default: queue….")] = None,
) -> None:
    """Kill the workers of a queue and their Triton, and judge every answer; exit status 1 where a limit is broken."""
    from emotalk_perf.queue import attack, report, soak
    from emotalk_perf.queue import throughput as paired

    if throughput and memory:
        raise typer.BadParameter("it is another measurement; accepted: one of the two", param_hint="--memory")
    name = block or ("queue-throughput" if throughput else "queue-memory" if memory else "queue")
    _check(page, name)
    speech = _speech(audio)
    ways = [False, True] if transactions is None else [transactions]
    if throughput:
        measured = [
            paired.run(
                speech, clips=clips, seconds=(shortest, longest), rounds=rounds, transactions=way,
                repository=repository, seed=seed, tell=_tell,
            )
            for way in ways
        ]  # fmt: skip
        text, broken = paired.markdown(measured), paired.broken(measured)
    elif memory:
        soaked = soak.run(speech, hours=hours, clip_s=longest, repository=repository, tell=_tell)
        text, broken = soak.markdown(soaked), soak.broken(soaked)
    else:
        plan = attack.Plan(
            clips, shortest, longest, poisonous, large_mib << 20, keys, partitions, workers, kill_s, triton_kills,
            outage_s, minutes, seed,
        )  # fmt: skip
        outcomes = [attack.run(speech, plan, transactions=way, repository=repository, tell=_tell) for way in ways]
        text, broken = report.markdown(outcomes), [line for one in outcomes for line in report.broken(one)]
        if json_file is not None:
            json_file.write_text(report.as_json(outcomes), "utf-8")
    _put(text, page, name)
    for line in broken:
        typer.echo(line, err=True)
    if broken:
        raise typer.Exit(1)


def _speech(audio: Sequence[Path]) -> NDArray[np.float32]:
    """Samples [n] of all files, joined."""
    return np.concatenate([load(path) for path in audio])


@app.command("say")
def by_text(
    url: Url = None,
    repository: Repository = None,
    texts: Annotated[int, typer.Option(min=1, help="How many texts are said.")] = 50,
    page: Page = None,
    block: Block = "say",
) -> None:
    """Measure text in: seconds to the first sound and frame, and closures of the lips at b, m and p."""
    _check(page, block)
    with _speaking(url, repository) as address:
        prompt = saying.promptness(address, texts)
        found = saying.closures(address, _tell)
    _put(saying.report(prompt, found), page, block)


@contextmanager
def _speaking(url: str | None, repository: Path | None) -> Iterator[str]:
    """The address of a server with voices."""
    if url is not None:
        yield url
    else:
        with EmbeddedServer(repository, groups=("core", "live", "speech"), supervised=False) as server:
            yield server.grpc_url


def _tell(text: str) -> None:
    """Say what happens now, for whoever waits."""
    typer.echo(text, err=True)


def _check(page: Path | None, block: str) -> None:
    """Say before a long measurement that its page could not be renewed."""
    if page is not None:
        check(page, block)


Item = TypeVar("Item")


def _list(text: str, kind: Callable[[str], Item], option: str) -> list[Item]:
    """``"1,5"`` as its parts."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r}; accepted: numbers with commas, such as 1,2,4", param_hint=option) from None


def _rates(given: Sequence[str]) -> dict[str, float]:
    """``["uploads=60"]`` as its numbers."""
    rates: dict[str, float] = {}
    for text in given:
        kind, equals, number = text.partition("=")
        if kind not in KINDS or not equals or not number.isdecimal() or not int(number):
            raise typer.BadParameter(
                f"{quoted(text)}; accepted: KIND=N, of {', '.join(KINDS)}, such as uploads=60", param_hint="--rate"
            )
        rates[kind] = float(number)
    return rates


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError(text)
    return count


def _protocols(text: str | None, given: dict[Protocol, str | None]) -> list[Protocol]:
    """Those that were asked for, or all that can be; each of them has an address, or a server is to be started."""
    names: tuple[Protocol, ...] = get_args(Protocol)
    possible = {str(name): name for name in names if given[name] or not any(given.values())}
    wanted = list(possible) if text is None else text.split(",")
    for name in wanted:
        if name not in possible:
            raise typer.BadParameter(
                f"{name!r}; accepted: {', '.join(possible)} (--url is for grpc, --http-url for http)",
                param_hint="--protocol",
            )
    return [possible[name] for name in wanted]


@contextmanager
def _endpoints(
    given: dict[Protocol, str | None], repository: Path | None, protocols: Sequence[Protocol]
) -> Iterator[list[Endpoint]]:
    """Yield the endpoints of the server that was named, or of one started now."""
    if any(given.values()):
        yield [Endpoint(name, given[name] or "") for name in protocols]
    else:
        with EmbeddedServer(repository, supervised=False) as server:
            started: dict[Protocol, str] = {"grpc": server.grpc_url, "http": server.http_url}
            yield [Endpoint(name, started[name]) for name in protocols]


def _pair(text: str) -> tuple[float | None, float | None]:
    """``"4,default"`` as (4.0, None)."""
    try:
        context, look_ahead = (None if part == "default" else float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r}; accepted: CONTEXT,LOOK_AHEAD", param_hint="--live") from None
    return context, look_ahead


@contextmanager
def _server(url: str | None, repository: Path | None) -> Iterator[str]:
    """The address of the server to measure."""
    with _process(url, repository) as (address, _):
        yield address


@contextmanager
def _process(url: str | None, repository: Path | None) -> Iterator[tuple[str, int | None]]:
    """The address of the server to measure, and its process where it was started for this."""
    if url is not None:
        yield url, None
    else:
        with EmbeddedServer(repository, supervised=False) as server:
            yield server.grpc_url, server.process.pid


def _put(text: str, page: Path | None, block: str) -> None:
    if page is None:
        typer.echo(text)
    else:
        renew(page, block, text)


def main() -> None:
    """Run the command; a mistake is one line and exit status 1."""
    try:
        app()
    except (EmoTalkError, GpuError, InvalidRequest, ServerStartError, ValueError) as error:
        typer.echo(f"emotalk-perf: {type(error).__name__}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""``emotalk live``: speech in as it is spoken, a JSON line a frame out."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from emotalk_cli.animate import by_name
from emotalk_cli.connection import Url, connect
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.formats import jsonl, writing
from emotalk_client.faces.outputs import Address, LiveLinkOutput, Output, Paced, VmcOutput
from emotalk_client.faces.outputs import livelink as livelink_format
from emotalk_client.faces.outputs import vmc as vmc_format
from emotalk_client.live.latency import LatencyMeter
from emotalk_client.live.session import LiveStatus
from emotalk_client.live.settings import LiveSettings
from emotalk_client.live.sources import PCM_TYPES, Block, file_blocks, microphone, paced, pcm_blocks
from emotalk_client.live.sync import LiveSession
from emotalk_contract import limits
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.timing import FPS, SAMPLE_RATE

SHOWN_EVERY_S = 0.25
DEFAULTS = LiveSettings()


def live(
    source: Annotated[
        str | None, typer.Argument(metavar="[IN]", help="An audio file, or - for raw PCM on standard input.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.jsonl", help="Default: standard output.")
    ] = None,
    url: Url = None,
    microphone_: Annotated[bool, typer.Option("--microphone", help="Listen to a sound device.")] = False,
    device: Annotated[str | None, typer.Option(help="Its name or number. Default: the system's.")] = None,
    pace: Annotated[bool, typer.Option("--pace", help="Send a file as if it were spoken now.")] = False,
    rate: Annotated[int, typer.Option(metavar="HERTZ", help="Of raw PCM, and of a microphone.")] = SAMPLE_RATE,
    channels: Annotated[int, typer.Option(min=1, help="Of raw PCM.")] = 1,
    pcm: Annotated[str, typer.Option("--format", help=f"Of raw PCM: {', '.join(PCM_TYPES)}.")] = "s16le",
    level: Annotated[float, typer.Option(help="Emotion level, 0..1.")] = limits.DEFAULT_LEVEL,
    person: Annotated[int, typer.Option(help="Speaking style, 0..23.")] = limits.DEFAULT_PERSON,
    seed: Annotated[int, typer.Option(help="Of the blinks.")] = limits.DEFAULT_SEED,
    emotion: Annotated[
        list[str] | None, typer.Option(metavar="NAME=AMOUNT", help=f"0..1 of {', '.join(EMOTIONS)}; repeatable.")
    ] = None,
    livelink: Annotated[
        str | None, typer.Option(metavar="HOST[:PORT]", help="Also send to Unreal's Live Link Face.")
    ] = None,
    vmc: Annotated[str | None, typer.Option(metavar="HOST[:PORT]", help="Also send by VMC (OSC).")] = None,
    hop: Annotated[float, typer.Option(help="Seconds between two windows.")] = DEFAULTS.hop,
    context: Annotated[float | None, typer.Option(help="Seconds of past. Default: what the model needs.")] = None,
    look_ahead: Annotated[float | None, typer.Option(help="Seconds to wait. Default: what the model needs.")] = None,
    min_fps: Annotated[float, typer.Option(help="Rate to fall to while the server is late.")] = DEFAULTS.min_fps,
    timeout: Annotated[float, typer.Option(help="Seconds that one window may take.")] = DEFAULTS.timeout_s,
) -> None:
    """Animate speech while it is spoken; Ctrl-C ends it."""
    if (source is None) != microphone_:
        raise typer.BadParameter("give a file, or -, or --microphone; one of them", param_hint="IN")
    if pcm not in PCM_TYPES:
        raise typer.BadParameter(f"{pcm!r} is none of {', '.join(PCM_TYPES)}", param_hint="--format")
    with ExitStack() as stack:
        client = stack.enter_context(connect(url))
        blocks: Iterator[Block]
        if microphone_:
            name = int(device) if device is not None and device.isdecimal() else device
            blocks = stack.enter_context(microphone(name, rate))
        elif source == "-":
            blocks = pcm_blocks(sys.stdin.buffer, pcm, rate, channels)
        else:
            blocks, rate = file_blocks(str(source)), SAMPLE_RATE
        if pace and not microphone_:
            blocks = paced(blocks, rate)
        session = stack.enter_context(
            client.live(
                sample_rate=rate,
                level=level,
                person=person,
                seed=seed,
                emotions=by_name(emotion or [], "--emotion"),
                hop=hop,
                context=context,
                look_ahead=look_ahead,
                min_fps=min_fps,
                timeout_s=timeout,
            )
        )
        outputs: list[Output] = [_Lines(stack.enter_context(_lines(output)))]
        if livelink is not None:
            outputs.append(Paced(LiveLinkOutput(Address.parse(livelink, livelink_format.DEFAULT_PORT))))
        if vmc is not None:
            outputs.append(Paced(VmcOutput(Address.parse(vmc, vmc_format.DEFAULT_PORT))))
        for one in outputs:
            stack.callback(one.close)
        run(session, blocks, rate, outputs)


@contextmanager
def _lines(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with writing(output):
        file = output.open("w", encoding="utf-8")
    with file:
        yield file


class _Lines:
    """JSON lines as an output."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def send(self, frame: Frame) -> None:
        self._file.write(jsonl.line(frame.timecode, frame.weights) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing to do: whoever opened the file closes it."""


def run(session: LiveSession, blocks: Iterator[Block], rate: int, outputs: Sequence[Output]) -> None:
    """Speak ``blocks`` into ``session`` here, and send its frames to ``outputs`` from a thread of their own."""
    listener = Listener(session, outputs)
    listener.start()
    spoken = 0
    try:
        for block in blocks:
            if listener.failed:
                break
            spoken += len(block)
            listener.meter.spoken(spoken / rate)
            session.feed(block)
    except KeyboardInterrupt:
        pass  # how a microphone is switched off
    except BaseException:
        session.close()
        listener.join()
        raise
    if not listener.failed:
        session.finish()
    listener.join()
    if listener.failed:
        raise listener.failed[0]


class Listener(threading.Thread):
    """Sends frames on as they come, and shows how the session is doing on a terminal."""

    def __init__(self, session: LiveSession, outputs: Sequence[Output]) -> None:
        super().__init__(name="emotalk-live", daemon=True)
        self.meter = LatencyMeter()
        self.failed: list[Exception] = []
        self._session = session
        self._outputs = outputs
        self._shown_at = 0.0
        self._worst = 0.0
        self._frames = 0

    def run(self) -> None:
        """Until there are no more frames."""
        try:
            while frames := self._session.receive():
                self._write(frames)
        except Exception as error:  # noqa: BLE001  # raised again where the command runs
            self.failed.append(error)
        if sys.stderr.isatty():
            sys.stderr.write("\n")

    def _write(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._worst = max(self._worst, self.meter.arrived(frame))
        for output in self._outputs:
            for frame in frames:
                output.send(frame)
        self._frames += len(frames)
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown_at >= SHOWN_EVERY_S:
            rate = self._frames / (now - self._shown_at) if self._shown_at else FPS
            sys.stderr.write("\r" + status_line(self._session.status, rate, self._worst) + "\x1b[K")
            sys.stderr.flush()
            self._shown_at, self._frames, self._worst = now, 0, 0.0


def status_line(status: LiveStatus, fps: float, latency_s: float) -> str:
    """What a terminal shows: frames per second that came, the latest of them, and what is still to come."""
    late = "  late" if status.late else ""
    left_out = f"  {status.left_out} frames left out" if status.left_out else ""
    return (
        f"{status.spoken_s:7.1f} s  {fps:5.1f} frames/s  latency {1000 * latency_s:4.0f} ms  "
        f"backlog {1000 * status.backlog_s:4.0f} ms{late}{left_out}"
    )

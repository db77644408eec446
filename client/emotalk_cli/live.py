"""``emotalk live``: speech in as it is spoken, frames out as soon as they are final."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from emotalk_cli.connection import Url, connect
from emotalk_cli.face_options import (
    Emotion,
    EmotionKeys,
    EmotionStrength,
    EmotionTransition,
    Region,
    by_name,
    read_keys,
)
from emotalk_cli.live_output import check_output, file_output
from emotalk_cli.live_source import Source
from emotalk_cli.look import Head, Lively, Look, Map, read_life
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.life import Life
from emotalk_client.faces.living import LivingFrames
from emotalk_client.faces.outputs import Address, LiveLinkOutput, Output, Paced, Together, VmcOutput
from emotalk_client.faces.outputs import livelink as livelink_format
from emotalk_client.faces.outputs import vmc as vmc_format
from emotalk_client.live.latency import LatencyMeter
from emotalk_client.live.microphone import Block
from emotalk_client.live.settings import LiveSettings
from emotalk_client.live.sources import PCM_TYPES
from emotalk_client.live.sync import LiveSession
from emotalk_client.live.utterance import LiveStatus
from emotalk_client.settings import FaceOptions
from emotalk_contract import limits
from emotalk_contract.timing import FPS, SAMPLE_RATE

SHOWN_EVERY_S = 0.25
DEFAULTS = LiveSettings()


def live(
    context_: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="[IN]", help="An audio file, or - for raw PCM on standard input.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help=".jsonl is written as frames come, other formats at the end. Default: lines to standard output.",
        ),
    ] = None,
    url: Url = None,
    microphone_: Annotated[bool, typer.Option("--microphone", help="Listen to a sound device.")] = False,
    device: Annotated[str | None, typer.Option(help="Its name or number. Default: the system's.")] = None,
    pace: Annotated[bool, typer.Option("--pace", help="Send a file as if it were spoken now.")] = False,
    rate: Annotated[int, typer.Option(metavar="HERTZ", help="Of raw PCM, and of a microphone.")] = SAMPLE_RATE,
    channels: Annotated[int, typer.Option(min=1, help="Of raw PCM.")] = 1,
    pcm: Annotated[str, typer.Option("--format", help=f"Of raw PCM: {', '.join(PCM_TYPES)}.")] = "s16le",
    level: Annotated[float, typer.Option(help="Emotion level, 0..1.")] = limits.DEFAULT_LEVEL,
    person: Annotated[
        int, typer.Option(help="Speaking style, from 0; the served model has so many.")
    ] = limits.DEFAULT_PERSON,
    seed: Annotated[int, typer.Option(help="Of the blinks.")] = limits.DEFAULT_SEED,
    emotion: Emotion = None,
    emotion_keys: EmotionKeys = None,
    emotion_transition: EmotionTransition = limits.DEFAULT_EMOTION_TRANSITION_S,
    emotion_strength: EmotionStrength = 1.0,
    region: Region = None,
    livelink: Annotated[
        str | None, typer.Option(metavar="HOST[:PORT]", help="Also send to Unreal's Live Link Face.")
    ] = None,
    vmc: Annotated[str | None, typer.Option(metavar="HOST[:PORT]", help="Also send by VMC (OSC).")] = None,
    life: Lively = None,
    head: Head = None,
    spoken: Map = None,
    hop: Annotated[float, typer.Option(help="Seconds between two requests.")] = DEFAULTS.hop,
    context: Annotated[float | None, typer.Option(help="Seconds of past. Default: what the model needs.")] = None,
    look_ahead: Annotated[float | None, typer.Option(help="Seconds to wait. Default: what the model needs.")] = None,
    prompt: Annotated[
        bool | None,
        typer.Option(help="Frames 33 ms sooner, off by up to 0.03. Default: where --hop is longer than two frames."),
    ] = DEFAULTS.prompt,
    min_fps: Annotated[float, typer.Option(help="Rate to fall to while the server is late.")] = DEFAULTS.min_fps,
    timeout: Annotated[float, typer.Option(help="Seconds that one request may take.")] = DEFAULTS.timeout_s,
) -> None:
    """Animate speech while it is spoken; Ctrl-C ends it."""
    del microphone_  # the context has it
    speech = Source.given(context_, source, device, pace, rate, channels, pcm)
    check_output(output, min_fps)
    look = Look.read(head, spoken)
    look.check([] if output is None else [output.suffix.lower()], outputs=vmc is not None)
    lives = read_life(life, seed)
    face: FaceOptions = {
        "level": level,
        "person": person,
        "seed": seed,
        "emotions": by_name(emotion, "--emotion"),
        "emotion_keys": read_keys(emotion_keys),
        "emotion_transition": emotion_transition,
        "emotion_strength": emotion_strength,
        "region": by_name(region, "--region"),
    }
    with ExitStack() as stack:
        senders = _senders(livelink, vmc, look, stack)
        client = stack.enter_context(connect(url))
        blocks, rate = stack.enter_context(speech.blocks())
        session = stack.enter_context(
            client.live(
                sample_rate=rate,
                **face,
                hop=hop,
                context=context,
                look_ahead=look_ahead,
                prompt=prompt,
                min_fps=min_fps,
                timeout_s=timeout,
            )
        )
        run(session, blocks, rate, [stack.enter_context(file_output(output, look)), *senders], lives)


def _senders(livelink: str | None, vmc: str | None, look: Look, stack: ExitStack) -> list[Output]:
    """Return what sends over the network: one output, on one clock; none if nothing was asked for."""
    senders: list[Output] = []
    if livelink is not None:
        senders.append(LiveLinkOutput(Address.parse(livelink, livelink_format.DEFAULT_PORT)))
        stack.callback(senders[-1].close)
    if vmc is not None:
        senders.append(VmcOutput(Address.parse(vmc, vmc_format.DEFAULT_PORT), look.vocabulary))
        stack.callback(senders[-1].close)
    return [Paced(Together(senders))] if senders else []


def run(
    session: LiveSession,
    blocks: Iterator[Block],
    rate: int,
    outputs: Sequence[Output],
    life: Life = Life(),  # noqa: B008  # it is frozen
) -> None:
    """Speak ``blocks`` into ``session`` here, and send its frames to ``outputs`` from a thread of their own."""
    writer = FrameWriter(session, outputs, life)
    writer.start()
    spoken = 0
    try:
        for block in blocks:
            if writer.failed:
                break
            spoken += len(block)
            writer.meter.spoken(spoken / rate)
            session.feed(block)
    except KeyboardInterrupt:
        pass  # how a microphone is switched off
    except BaseException:
        session.close()
        writer.join()
        raise
    if not writer.failed:
        session.finish()
    writer.join()
    if writer.failed:
        raise writer.failed[0]


class FrameWriter(threading.Thread):
    """Sends frames on as they come, and shows how the session is doing on a terminal."""

    def __init__(self, session: LiveSession, outputs: Sequence[Output], life: Life) -> None:
        super().__init__(name="emotalk-live", daemon=True)
        self.meter = LatencyMeter()
        self.failed: list[Exception] = []
        self._session = session
        self._outputs = outputs
        self._living = LivingFrames(life)
        self._shown_at = 0.0
        self._worst = 0.0
        self._frames = 0

    def run(self) -> None:
        """Send frames until there are no more."""
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
        lived = self._living.of(frames)
        for output in self._outputs:
            for frame in lived:
                output.send(frame)
        self._frames += len(frames)
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown_at >= SHOWN_EVERY_S:
            rate = self._frames / (now - self._shown_at) if self._shown_at else FPS
            sys.stderr.write("\r" + status_line(self._session.status, rate, self._worst) + "\x1b[K")
            sys.stderr.flush()
            self._shown_at, self._frames, self._worst = now, 0, 0.0


def status_line(status: LiveStatus, fps: float, latency_s: float) -> str:
    """Return the line for a terminal: frames per second that came, the latest of them, and what is still to come."""
    late = "  late" if status.late else ""
    left_out = f"  {status.left_out} frames left out" if status.left_out else ""
    return (
        f"{status.spoken_s:7.1f} s  {fps:5.1f} frames/s  latency {1000 * latency_s:4.0f} ms  "
        f"backlog {1000 * status.backlog_s:4.0f} ms{late}{left_out}"
    )

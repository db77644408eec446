"""``emotalk say``: a text becomes a voice and a face."""

from __future__ import annotations

import codecs
import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import numpy as np
import typer
from rich.console import Console

from emotalk_cli.connection import Url, connect
from emotalk_cli.face_options import by_name
from emotalk_cli.look import Head, Lively, Look, Map, read_life
from emotalk_cli.targets import plan_spoken
from emotalk_client.client import EmoTalkClient
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.closures import Lips, check_lips
from emotalk_client.faces.formats import make_folder_of, writing
from emotalk_client.faces.resampling import check_rate
from emotalk_client.saying import Speech, SpeechPart, Wanted, check_sound_path
from emotalk_client.settings import FaceOptions
from emotalk_contract import limits, speech
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.errors import EmptyText
from emotalk_contract.timing import FPS
from emotalk_speech.sentences import SentenceStream

logger = logging.getLogger(__name__)

STANDARD_INPUT = "-"
PAUSE_S = 1.0
"""Seconds without a word after which what has been written is said, though the sentence may not be complete."""


def say(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; -: standard input, said as it comes.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="The face: a file, a folder, or -: to standard output."),
    ],
    url: Url = None,
    audio: Annotated[Path | None, typer.Option(metavar="FILE", help="The voice: .wav, .flac or .ogg.")] = None,
    times: Annotated[Path | None, typer.Option(metavar="FILE", help="When words and phones are said, as JSON.")] = None,
    language: Annotated[str, typer.Option(help="Such as en or fa.")] = speech.DEFAULT_LANGUAGE,
    voice: Annotated[str | None, typer.Option(help="A name that the server knows. Default: hibari.")] = None,
    speed: Annotated[
        float, typer.Option(help=f"{speech.MIN_SPEED:g}..{speech.MAX_SPEED:g}; 1 is the voice's own pace.")
    ] = speech.DEFAULT_SPEED,
    voice_seed: Annotated[int, typer.Option(help="Of the voice's noise.")] = 0,
    lips: Annotated[
        str,
        typer.Option(metavar="auto|network|phones", help="Whom closing lips follow; auto: the phones, if told."),
    ] = "auto",
    format: Annotated[  # noqa: A002  # the option's name
        str | None, typer.Option(help="Formats for a folder, such as npy,csv,json,glb, or the one for -. Default: npy.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help=f"Frames a second of the files. Default: {FPS}, the network's own.")
    ] = None,
    level: Annotated[float, typer.Option(help="Emotion level, 0..1.")] = limits.DEFAULT_LEVEL,
    person: Annotated[
        int, typer.Option(help="Speaking style, from 0; the served model has so many.")
    ] = limits.DEFAULT_PERSON,
    seed: Annotated[int, typer.Option(help="Of the blinks.")] = limits.DEFAULT_SEED,
    emotion: Annotated[
        list[str] | None, typer.Option(metavar="NAME=AMOUNT", help=f"0..1 of {', '.join(EMOTIONS)}; repeatable.")
    ] = None,
    life: Lively = None,
    head: Head = None,
    spoken_map: Map = None,
) -> None:
    """Say a text: a voice, and the face that speaks it."""
    job = plan_spoken(output, format)
    look = Look.read(head, spoken_map)
    look.check(job.suffixes)
    lives = read_life(life, seed)
    if fps is not None:
        check_rate(fps)
    if audio is not None:
        check_sound_path(audio)
    options: FaceOptions = {
        "level": level,
        "person": person,
        "seed": seed,
        "emotions": by_name(emotion or [], "--emotion"),
    }
    check_lips(lips)
    wanted = Wanted(language, voice, speed, voice_seed)
    if text != STANDARD_INPUT:
        wanted.inputs(text)  # before a server is started
    said = Console(stderr=True, highlight=False)
    with connect(url, speech=True) as client:
        began = time.perf_counter()
        spoken = (
            _as_it_comes(client, wanted, cast("Lips", lips), options)
            if text == STANDARD_INPUT
            else _whole(client, text, wanted, cast("Lips", lips), options)
        )
        took = time.perf_counter() - began
    for warning in dict.fromkeys(spoken.warnings):
        said.print(f"emotalk: {warning}", markup=False, soft_wrap=True)
    job.write(spoken.animation.lively(lives), fps, look)
    written = job.written
    if audio is not None:
        make_folder_of(audio)
        spoken.save_sound(audio)
        written.append(str(audio))
    if times is not None:
        make_folder_of(times)
        with writing(times):
            times.write_text(json.dumps(spoken.times(), ensure_ascii=False, indent=1) + "\n", "utf-8")
        written.append(str(times))
    length = len(spoken.audio) / spoken.sample_rate
    said.print(
        f"{len(spoken.sentences)} sentences, {length:.2f} s, {len(spoken.animation)} frames in {took:.2f} s: "
        f"{', '.join(written)}",
        markup=False,
        soft_wrap=True,
    )


def _whole(client: EmoTalkClient, text: str, wanted: Wanted, lips: Lips, options: FaceOptions) -> Speech:
    return client.say(
        text,
        language=wanted.language,
        voice=wanted.voice,
        speed=wanted.speed,
        voice_seed=wanted.seed,
        lips=lips,
        **options,
    )


def _as_it_comes(client: EmoTalkClient, wanted: Wanted, lips: Lips, options: FaceOptions) -> Speech:
    """Say standard input while it is written."""
    parts: list[SpeechPart] = []
    for part in client.say_stream(
        written_sentences(sys.stdin.buffer, wanted.language),
        language=wanted.language,
        voice=wanted.voice,
        speed=wanted.speed,
        voice_seed=wanted.seed,
        lips=lips,
        **options,
    ):
        if part.sentence is not None:
            logger.info("%.2f s: %s", part.sentence.start_s, part.sentence.text)
        parts.append(part)
    sentences = tuple(part.sentence for part in parts if part.sentence is not None)
    if not sentences:
        raise EmptyText("standard input has no text; accepted: something to say")
    frames = [frame for part in parts for frame in part.frames]
    face = Animation(np.array([frame.weights for frame in frames]), np.array([frame.timecode for frame in frames]))
    audio = np.concatenate([sentence.audio for sentence in sentences])
    return Speech(audio, sentences[0].sample_rate, face, sentences)


def written_sentences(source: BinaryIO, language: str, pause_s: float = PAUSE_S) -> Iterator[str]:
    """Yield the sentences of ``source`` as they are written: each when the next begins, or after a pause."""
    pieces: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(source, pieces), daemon=True).start()
    stream = SentenceStream(language)
    while True:
        try:
            piece = pieces.get(timeout=pause_s)
        except queue.Empty:
            yield from stream.flush()
            continue
        if piece is None:
            yield from stream.flush()
            return
        yield from stream.push(piece)


def _read(source: BinaryIO, pieces: queue.Queue[str | None]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while content := source.read1(2**16):  # type: ignore[attr-defined]  # a buffered reader's
            pieces.put(decoder.decode(content))
    finally:
        pieces.put(None)

"""Callers whose clips are known, and whose answers are therefore known too.

Rule that this module guards: **every call ends in exactly one column**: right, refused in words, nobody listened, cut
off (the process that was asked has died), wrong, lost or doubled.
"""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient, EmoTalkError, Frame
from emotalk_client import aio as client_defaults
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_count

RIGHT, REFUSED, UNHEARD, CUT_OFF = "right", "refused in words", "nobody listened", "cut off"
WRONG, LOST, DOUBLED = "wrong", "lost", "doubled"
COLUMNS = (RIGHT, REFUSED, UNHEARD, CUT_OFF, WRONG, LOST, DOUBLED)
NEVER = (WRONG, LOST, DOUBLED)
"""Columns in which nothing may stand."""

TOLERANCE = 1e-4
"""Largest difference of a weight from the quiet server's: batches round differently, by about 1e-7."""
LIVE_OFF, LIVE_SHARE = 0.02, 0.005
"""A live stream's weights may differ from the whole clip's by the first, but for this share of them."""
CALL_S = 60.0
"""Seconds that a call may take."""
RETRIES = client_defaults.RETRIES
"""Of a caller of files: the client's own."""
OVERRUN_S = 5.0
"""Seconds after which a call that was to end is one that hangs."""
UPLOAD_PATH = "/api/v1/process-audio-stream"


class Judged(NamedTuple):
    """One answer, beside the right one."""

    column: str
    why: str = ""
    """Class of a refusal's error, or what was seen."""
    off: float = 0.0
    """Largest difference of a weight."""


@dataclass(frozen=True, slots=True)
class Known:
    """A clip and its face."""

    clip: NDArray[np.float32]
    """[samples], 16 kHz."""
    weights: NDArray[np.float32]
    """[F, 52] of a quiet server."""
    tolerance: float = TOLERANCE
    """Difference of a weight up to which a face is the same."""

    @classmethod
    def of(cls, client: EmoTalkClient, clip: NDArray[np.float32]) -> Known:
        """Ask a quiet server."""
        return cls(clip, client.animate(clip, sample_rate=SAMPLE_RATE).weights)

    def judge(self, weights: NDArray[np.float32]) -> Judged:
        """Return how the answer ``weights`` [F, 52] compares."""
        why = f"{len(weights)} of {len(self.weights)} frames"
        if len(weights) != len(self.weights):
            return Judged(LOST if len(weights) < len(self.weights) else DOUBLED, why)
        off = float(np.abs(weights - self.weights).max(initial=0.0))
        return Judged(RIGHT, why, off) if off <= self.tolerance else Judged(WRONG, f"off by {off:.1e}", off)

    def column(self, weights: NDArray[np.float32]) -> str:
        """Return the column in which the answer ``weights`` stands."""
        return self.judge(weights).column


@dataclass
class Tally:
    """Answers of one kind of caller."""

    caller: str
    callers: int = 0
    """That share it; each asks one thing at a time."""
    columns: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """By the error's class."""
    longest_s: float = 0.0
    """Of one call."""
    hung: int = 0
    """Calls that were not over :data:`OVERRUN_S` after their deadline."""
    remarks: list[str] = field(default_factory=list)
    """Details of what may never be."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, column: str, seconds: float = 0.0, why: str = "", allowed_s: float = CALL_S) -> None:
        """Count one answer."""
        with self.lock:
            self.columns[column] += 1
            self.longest_s = max(self.longest_s, seconds)
            self.hung += seconds > allowed_s + OVERRUN_S
            if column == REFUSED:
                self.refusals[why] += 1
            elif column in NEVER:
                self.remarks.append(f"{self.caller}: {column}: {why}")


class Callers:
    """Threads that ask again and again until they are stopped."""

    def __init__(self) -> None:
        self.tallies: list[Tally] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, tally: Tally, ask: Callable[[Tally, threading.Event], None]) -> None:
        """Start one that runs ``ask`` once; it returns soon after the event is set."""
        if not any(tally is one for one in self.tallies):
            self.tallies.append(tally)
        tally.callers += 1
        thread = threading.Thread(target=ask, args=(tally, self._stopping), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Ask all to end, and wait; one that does not is one that hangs."""
        self._stopping.set()
        until = time.monotonic() + CALL_S + OVERRUN_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        stuck = sum(thread.is_alive() for thread in self._threads)
        if stuck:
            self.tallies[0].hung += stuck


def files(url: str, known: Sequence[Known]) -> Callable[[Tally, threading.Event], None]:
    """Return a caller of the thin client that animates ``known`` clips in turn."""

    def ask(tally: Tally, stopping: threading.Event) -> None:
        with EmoTalkClient(url, timeout_s=CALL_S, retries=RETRIES) as client:
            while not stopping.is_set():
                for one in known:
                    began = time.monotonic()
                    try:
                        face = client.animate(one.clip, sample_rate=SAMPLE_RATE)
                    except EmoTalkError as error:
                        tally.note(REFUSED, time.monotonic() - began, type(error).__name__)
                    else:
                        tally.note(one.column(face.weights), time.monotonic() - began, f"{len(face)} frames")
                    if stopping.is_set():
                        return

    return ask


def live(url: str, known: Known, block: int = SAMPLE_RATE // 50) -> Callable[[Tally, threading.Event], None]:
    """Return a caller that speaks ``known`` as time goes by, session after session; a frame is an answer."""

    def ask(tally: Tally, stopping: threading.Event) -> None:
        with EmoTalkClient(url, timeout_s=CALL_S) as client:
            while not stopping.is_set():
                frames: list[Frame] = []
                began = time.monotonic()
                try:
                    with client.live(sample_rate=SAMPLE_RATE, min_fps=FPS, timeout_s=CALL_S) as session:
                        for end in range(block, len(known.clip) + block, block):
                            frames += session.push(known.clip[end - block : end])
                            if stopping.wait(max(0.0, began + end / SAMPLE_RATE - time.monotonic())):
                                break
                        frames += session.flush()
                        spoken = min(end, len(known.clip))
                except EmoTalkError as error:
                    tally.note(REFUSED, time.monotonic() - began, type(error).__name__, allowed_s=2 * CALL_S)
                    _judge_order(tally, frames, max((frame.index + 1 for frame in frames), default=0))
                    continue
                _judge_live(tally, known, frames, frame_count(spoken), time.monotonic() - began)

    return ask


def _judge_live(tally: Tally, known: Known, frames: Sequence[Frame], expected: int, seconds: float) -> None:
    """Count a session's frames: each must be there once, in order, and show what the whole clip shows."""
    if _judge_order(tally, frames, expected, seconds) and expected == len(known.weights):
        off = np.abs(np.stack([frame.weights for frame in frames]) - known.weights) > LIVE_OFF
        why = f"{100 * off.mean():.2f} % of the weights off by more than {LIVE_OFF}"
        tally.note(RIGHT if float(off.mean()) <= LIVE_SHARE else WRONG, seconds, why, allowed_s=2 * CALL_S)


def _judge_order(tally: Tally, frames: Sequence[Frame], expected: int, seconds: float = 0.0) -> bool:
    """Count what is lost, doubled or out of order of the frames 0 to ``expected``; return True where nothing is."""
    indices = [frame.index for frame in frames]
    doubled = len(indices) - len(set(indices))
    lost = len(set(range(expected)) - set(indices))
    for column, count in ((DOUBLED, doubled), (LOST, lost)):
        if count:
            tally.note(column, seconds, f"{count} of {expected} frames", allowed_s=2 * CALL_S)
    disordered = not doubled and indices != sorted(indices)
    if disordered:
        tally.note(WRONG, seconds, "frames out of order", allowed_s=2 * CALL_S)
    return not (doubled or lost or disordered)


def uploads(host: str, port: int, known: Sequence[Known]) -> Callable[[Tally, threading.Event], None]:
    """Return a caller of the gateway that uploads ``known`` clips in turn."""
    bodies = [(one, *form_of(one.clip)) for one in known]

    def ask(tally: Tally, stopping: threading.Event) -> None:
        while not stopping.is_set():
            for one, body, kind in bodies:
                began = time.monotonic()
                column, why, _ = uploaded(host, port, one, body, kind)
                tally.note(column, time.monotonic() - began, why)
                if column != RIGHT and stopping.wait(0.1):  # as people do who were refused
                    return
                if stopping.is_set():
                    return

    return ask


def uploaded(host: str, port: int, known: Known, body: bytes, kind: str) -> Judged:
    """Upload ``body`` of the content type ``kind``, and judge the answer."""
    connection = http.client.HTTPConnection(host, port, timeout=CALL_S + OVERRUN_S)
    try:
        connection.request("POST", UPLOAD_PATH, body, {"Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read().decode()
        if answer.status != http.client.OK:
            return Judged(REFUSED, json.loads(said)["error"])
        return _read_events(known, said)
    except ConnectionRefusedError as error:
        return Judged(UNHEARD, type(error).__name__)
    except (OSError, http.client.HTTPException) as error:
        return Judged(CUT_OFF, type(error).__name__)
    finally:
        connection.close()


def _read_events(known: Known, said: str) -> Judged:
    """Judge a stream of events: frames, then ``end``; or ``error``, whatever came before."""
    frames: list[list[float]] = []
    ended = False
    for event in said.split("\n\n"):
        lines = event.split("\n")
        name = next((line[7:] for line in lines if line.startswith("event: ")), "")
        data = next((line[6:] for line in lines if line.startswith("data: ")), "")
        if name == "error":
            return Judged(REFUSED, json.loads(data)["error"])
        if name == "end":
            ended = True
        elif data:
            frames += [frame["blendshapes"] for frame in json.loads(data)]
    if not ended:
        return Judged(CUT_OFF, "a stream without an end")
    return known.judge(np.array(frames, np.float32).reshape(len(frames), known.weights.shape[1]))


def form_of(clip: NDArray[np.float32]) -> tuple[bytes, str]:
    """Return a multipart form with ``clip`` as a WAV file in float, and its content type."""
    file = io.BytesIO()
    soundfile.write(file, clip, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    border = uuid.uuid4().hex
    head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
    body = head.encode() + file.getvalue() + f"\r\n--{border}--\r\n".encode()
    return body, f"multipart/form-data; boundary={border}"

"""Answers put together from their blocks.

Rule that this module guards: **a face is believed only whole.** Frames count when the final record of the same try says
how many there are, in how many blocks, with which checksum, and all of that fits. Anybody may write to a topic: records
that fit nothing cost a bounded amount of memory, and cost no other answer.

Theory of operation. Blocks are kept by (request, attempt), so that what a worker left half done when it died and what
its successor sent stay apart. An attempt that misses a block, or whose block overlaps another, is given up at once: its
final will say so. Where memory is short, the attempt that has waited the longest for its next block is given up. A
request that was answered stays known by its checksum, so that the same answer is told from another one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.animation import Animation
from emotalk_client.faces.track import MAX_FRAMES
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.quoting import quoted

MAX_BYTES = 512 << 20
"""Of all attempts that wait for their final: an hour of speech at 30 frames a second takes 22 MB."""
ATTEMPT_BYTES = 2048
"""That an attempt takes without its frames, generously."""
MAX_KNOWN = 100_000
"""Requests that are remembered as answered."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some frames of an answer."""

    request_id: str
    attempt: str
    first_frame: int
    fps: float
    weights: NDArray[np.float32]
    """[F, 52]"""


@dataclass(frozen=True, slots=True)
class Final:
    """The end of an answer."""

    request_id: str
    attempt: str
    frames: int
    blocks: int
    fps: float
    sha256: str
    """Of the bytes of all rows, little-endian float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A whole one."""

    request_id: str
    attempt: str
    face: Animation
    sha256: str
    again: bool = False
    """True: the same was there before."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An attempt that cannot be believed."""

    request_id: str
    attempt: str
    why: str

    def __str__(self) -> str:
        return f"request {quoted(self.request_id)}, attempt {quoted(self.attempt)}: {self.why}"


@dataclass(slots=True)
class _Attempt:
    size: int
    parts: list[NDArray[np.float32]] = field(default_factory=list)
    frames: int = 0
    blocks: int = 0
    fps: float = 0.0
    wrong: str = ""
    """Reason to believe nothing of it."""


class Assembler:
    """Blocks in, whole answers out.

    Args:
        max_bytes: of what waits for its final.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._open: OrderedDict[tuple[str, str], _Attempt] = OrderedDict()
        self._known: OrderedDict[str, str] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Of what waits, at most."""
        return self._bytes

    @property
    def waiting(self) -> dict[str, int]:
        """Frames by request of what is there and has no final yet; of several attempts the longest."""
        frames: dict[str, int] = {}
        for (request_id, _), attempt in self._open.items():
            frames[request_id] = max(frames.get(request_id, 0), attempt.frames)
        return frames

    def knows(self, request_id: str) -> bool:
        """True for a request whose answer was whole."""
        return request_id in self._known

    def add(self, block: Block) -> list[Trouble]:
        """Take a block; return the attempts that were given up to make room for it."""
        key = block.request_id, block.attempt
        attempt = self._open.get(key)
        if attempt is None:
            attempt = self._open[key] = _Attempt(ATTEMPT_BYTES + len(block.request_id) + len(block.attempt))
            self._bytes += attempt.size
        self._open.move_to_end(key)
        if not attempt.wrong:
            attempt.wrong = _unfit(attempt, block)
            if attempt.wrong:
                self._forget_frames(attempt)
            else:
                attempt.parts.append(block.weights)
                attempt.frames += len(block.weights)
                attempt.blocks += 1
                attempt.fps = block.fps
                self._grow(attempt, block.weights.nbytes)
        return self._make_room()

    def end(self, final: Final) -> Answer | Trouble:
        """Return the answer that ``final`` ends, or the reason that it is not believed."""
        key = final.request_id, final.attempt
        attempt = self._open.pop(key, None)
        if attempt is not None:
            self._bytes -= attempt.size
        wrong = _unbelievable(attempt, final)
        if wrong or attempt is None:
            return Trouble(*key, wrong)
        weights = np.concatenate(attempt.parts) if attempt.parts else np.zeros((0, len(BLENDSHAPES)), np.float32)
        before = self._known.get(final.request_id)
        if before not in (None, final.sha256):
            return Trouble(*key, "another answer to this request was there before; that one counts")
        self._remember(final)
        face = Animation(weights, np.arange(len(weights)) / final.fps, final.fps)
        return Answer(*key, face, final.sha256, again=before is not None)

    def _make_room(self) -> list[Trouble]:
        given_up = []
        while self._bytes > self._max_bytes:
            key, attempt = self._open.popitem(last=False)
            self._bytes -= attempt.size
            given_up.append(Trouble(*key, f"{attempt.frames} frames without a final record, given up for want of room"))
        return given_up

    def _grow(self, attempt: _Attempt, size: int) -> None:
        attempt.size += size
        self._bytes += size

    def _forget_frames(self, attempt: _Attempt) -> None:
        self._grow(attempt, -sum(part.nbytes for part in attempt.parts))
        attempt.parts.clear()

    def _remember(self, final: Final) -> None:
        self._known[final.request_id] = final.sha256
        self._known.move_to_end(final.request_id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def _unfit(attempt: _Attempt, block: Block) -> str:
    """Return the reason that ``block`` cannot follow what is there, or nothing."""
    if block.first_frame != attempt.frames:
        said = "are missing" if block.first_frame > attempt.frames else "come again"
        first, last = sorted((block.first_frame, attempt.frames))
        return f"frames {first} to {last - 1} {said}"
    if attempt.blocks and block.fps != attempt.fps:
        return f"{block.fps:g} frames a second after {attempt.fps:g}"
    if attempt.frames + len(block.weights) > MAX_FRAMES:
        return f"more than {MAX_FRAMES} frames"
    return ""


def _unbelievable(attempt: _Attempt | None, final: Final) -> str:
    """Return the reason that ``final`` does not end ``attempt``, or nothing."""
    if attempt is None:
        if final.frames or final.blocks:
            return f"{final.frames} frames are missing: none of its {final.blocks} blocks was there"
        return "an answer without a frame"
    if attempt.wrong:
        return attempt.wrong
    if (attempt.frames, attempt.blocks) != (final.frames, final.blocks):
        return (
            f"{attempt.frames} frames in {attempt.blocks} blocks are there; its final record says {final.frames} in "
            f"{final.blocks}"
        )
    if attempt.fps != final.fps:
        return f"{attempt.fps:g} frames a second; its final record says {final.fps:g}"
    digest = hashlib.sha256()
    for part in attempt.parts:
        digest.update(np.ascontiguousarray(part, "<f4").data)
    if digest.hexdigest() != final.sha256:
        return f"its frames have the checksum {digest.hexdigest()}; its final record says {quoted(final.sha256)}"
    return ""

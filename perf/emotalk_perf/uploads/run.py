"""Damaged uploads, one after another, through the decoder or through a gateway's door."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from emotalk_avatar.decoding.uploads import decode, decode_clip
from emotalk_avatar.errors import PictureRefused
from emotalk_perf.uploads.door import Door
from emotalk_perf.uploads.drawn import clips, pictures
from emotalk_perf.uploads.mutations import damaged

Tell: TypeAlias = Callable[[str], None]

READ, REFUSED, FAILED = "read", "refused", "the decoder failed"
FAILURE = "what decodes it failed"
"""Words of a refusal whose child did not end by itself."""
AT_ONCE = 2
"""Uploads that are decoded beside each other."""
EVERY = 500
"""Uploads after which it is told how far it got."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A damaged one."""

    number: int
    name: str
    """Of what was damaged."""
    data: bytes
    moving: bool
    """True of a clip."""


@dataclass
class Outcome:
    """All that came of them."""

    answers: dict[str, Counter[str]] = field(default_factory=dict)
    """By upload: how many had which answer."""
    wrong: list[str] = field(default_factory=list)
    """Whatever is neither a picture nor a refusal in words."""
    longest_s: float = 0.0
    longest: str = ""
    """Which upload took so long."""
    child_bytes: int = 0
    """Memory of the largest child; through a gateway, which has the children, 0."""


def run(count: int, seed: int, gateway: str | None, tell: Tell, photographs: Sequence[Path] = ()) -> Outcome:
    """Have ``count`` damaged uploads decoded, drawn by ``seed``.

    Args:
        gateway: its URL; None: decoded here.
        photographs: pictures with faces, to begin from beside the drawn ones.
    """
    outcome = Outcome()
    door = None if gateway is None else Door(gateway)

    def tried(upload: Upload) -> tuple[Upload, str, float]:
        began = time.monotonic()
        try:
            answer = door.asked(upload.data) if door is not None else _decoded(upload.data, upload.moving)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is wrong
            answer = f"{type(error).__name__}: {str(error)[:200]}"
        return upload, answer, time.monotonic() - began

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done, (upload, answer, seconds) in enumerate(pool.map(tried, _uploads(count, seed, photographs)), 1):
            named = f"upload {upload.number} of seed {seed}, {upload.name}"
            if seconds > outcome.longest_s:
                outcome.longest_s, outcome.longest = seconds, named
            outcome.answers.setdefault(upload.name, Counter())[answer] += 1
            if not (answer in (READ, REFUSED, FAILED) or answer in Door.ACCEPTED):
                outcome.wrong.append(f"{named}: {answer}")
            if done % EVERY == 0:
                tell(f"{done} of {count}; longest {outcome.longest_s:.1f} s; {len(outcome.wrong)} wrong")
    if door is None:
        outcome.child_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    elif (said := door.health()) is not None:
        outcome.wrong.append(f"the gateway is not healthy afterwards: {said}")
    return outcome


def _uploads(count: int, seed: int, photographs: Sequence[Path] = ()) -> Iterator[Upload]:
    still, moving = pictures(photographs), clips()
    wholes = [(name, data, False) for name, data in still.items()]
    wholes += [(name, data, True) for name, data in moving.items()]
    generator = random.Random(seed)  # noqa: S311  # not a secret
    for number in range(count):
        name, data, is_clip = wholes[number % len(wholes)]
        other = generator.choice(wholes)[1]
        yield Upload(number, name, damaged(data, other, generator), is_clip)


def _decoded(data: bytes, moving: bool) -> str:
    try:
        if moving:
            with decode_clip(data) as clip:
                for _ in clip:
                    pass
        else:
            decode(data)
    except PictureRefused as error:
        return FAILED if FAILURE in str(error) else REFUSED
    return READ

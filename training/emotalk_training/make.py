"""Making a corpus: asks sources for speech until each has given its minutes; stops and goes on anywhere."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from subprocess import SubprocessError

import numpy as np
import soundfile

from emotalk_training.corpus import SAMPLE_RATE
from emotalk_training.sources import Source

log = logging.getLogger(__name__)


def make(
    folder: Path,
    name: str,
    source: Source,
    minutes: float,
    seed: int,
    test: bool = False,
    progress: Callable[[float], None] | None = None,
) -> float:
    """Fill ``folder`` with ``minutes`` of speech of a source; returns the minutes that are there.

    Utterance i depends on (seed, name, i) alone, and the index is written after its audio, so a run that was
    interrupted goes on where it stopped and gives what an uninterrupted one gives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.jsonl"
    prefix = f"{name}_{seed}_"
    lines = index.read_text(encoding="utf-8").splitlines() if index.is_file() else []
    mine = [r for r in map(json.loads, lines) if r["name"].startswith(prefix)]
    seconds = float(sum(r["dur"] for r in mine))
    i = 1 + max((int(r["name"].rsplit("_", 1)[1]) for r in mine), default=-1)
    failures = 0
    while seconds < minutes * 60:
        rng = random.Random(f"{prefix}{i}")  # noqa: S311 - repeatable on purpose
        try:
            spoken = source.speak(rng, test)
            failures = 0
        except (ValueError, IndexError, RuntimeError, OSError, SubprocessError) as error:
            failures += 1
            log.warning("%s, utterance %d: %s", name, i, error)
            if failures >= 20:
                raise
            i += 1
            continue
        if len(spoken.audio) >= SAMPLE_RATE // 2 and spoken.tokens:
            stem = f"{prefix}{i:05d}"
            # Ogg would be smaller, but its encoder's delay differs between versions; labels need exact times.
            soundfile.write(folder / f"{stem}.flac", np.clip(spoken.audio, -1, 1), SAMPLE_RATE)
            record = {
                "name": stem, "ph": [[s, round(a, 4), round(b, 4)] for s, a, b in spoken.tokens],
                "dur": len(spoken.audio) / SAMPLE_RATE, "eng": spoken.engine, "voice": spoken.voice,
                "text": spoken.text,
            }  # fmt: skip
            with index.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            seconds += len(spoken.audio) / SAMPLE_RATE
            if progress:
                progress(seconds / 60)
        i += 1
    return seconds / 60

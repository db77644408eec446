"""The evaluation: every figure that the bundled model is held to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_export.compact import CompactFace
from emotalk_training import baselines, checks
from emotalk_training.articulation import Phone
from emotalk_training.ceilings import SecondAligner, ceiling
from emotalk_training.corpus import MUSIC, Utterance, utterances
from emotalk_training.metrics import Accuracy, Weights, accuracy
from emotalk_training.predict import rules
from emotalk_training.readers import part

log = logging.getLogger(__name__)

SNR_DB = 10.0
LONG_CLIP_S = 60.0


ESPEAK_LANGUAGES = {"en": "English", "fa": "Persian", "de": "German", "es": "Spanish", "fr": "French"}


def _spoken_in(language: str, utterance: Utterance) -> bool:
    return utterance.engine == "espeak" and utterance.voice.startswith(language)


@dataclass(frozen=True, slots=True)
class TestSet:
    """Clips with their phones and the curves that the rules give for them."""

    title: str
    clips: tuple[NDArray[np.float32], ...]
    phones: tuple[tuple[Phone, ...], ...]
    truth: tuple[Weights, ...]


def test_sets(folders: Sequence[Path]) -> list[TestSet]:
    """The sets that are present in corpus folders, in a fixed order."""
    chosen: list[tuple[str, Callable[[Utterance], bool]]] = [
        ("held-out Kokoro voices", lambda u: u.engine == "kokoro"),
        ("held-out engine (Piper joe)", lambda u: u.engine == "joe"),
        ("held-out flite voice (awb)", lambda u: u.engine == "flite-awb"),
        *((f"espeak-ng, {name}", partial(_spoken_in, code)) for code, name in ESPEAK_LANGUAGES.items()),
        ("real speech (LibriVox, cards)", lambda u: u.engine == "real" and u.voice != "prompt"),
        ("real speech (telephone prompts)", lambda u: u.engine == "real" and u.voice == "prompt"),
        ("real speech (readers kept back)", lambda u: u.engine == "people" and part(u.voice) == "test"),
    ]
    everything = [u for folder in folders for u in utterances(folder)]
    sets = []
    for title, belongs in chosen:
        mine = [u for u in everything if belongs(u)]
        if mine:
            clips = tuple(u.audio() for u in mine)
            phones = tuple(u.phones for u in mine)
            truth = tuple(rules(p, c) for p, c in zip(phones, clips, strict=True))
            sets.append(TestSet(title, clips, phones, truth))
    return sets


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a face."""

    sets: dict[str, Accuracy]
    ceilings: dict[str, Accuracy]
    """A second aligner's face against the first's: no model can be held to more. Empty where no teacher was given."""
    others: dict[str, dict[str, Accuracy]]
    """Loudness alone and, where they were given, the peers, on the same sets."""
    noisy: dict[str, Accuracy]
    """The sets at 10 dB SNR."""
    onsets: dict[str, checks.Onsets]
    releases: dict[str, checks.Release]
    quiet: dict[str, checks.Quiet]
    rest: checks.Rest
    windowed: dict[str, checks.Windowed]
    real_time_factor: float
    """Of 25 s: of graphs on one core, without a server; of a repository, as its caller waits."""
    provenance: dict[str, Any]

    def to_json(self) -> str:
        """Indented, digits as they matter."""
        return json.dumps(_rounded(asdict(self)), indent=2, ensure_ascii=False) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def evaluate(
    face: checks.Predict,
    folders: Sequence[Path],
    provenance: dict[str, Any],
    peers: dict[str, Path] | None = None,
    aligner: SecondAligner | None = None,
) -> Report:
    """Score a face on the corpora in ``folders``.

    Args:
        face: a :class:`~emotalk_training.graphs.GraphFace` or a :class:`~emotalk_training.served.ServedFace`.
        provenance: what is known of it, for the report.
        peers: kind to unpacked package, to be scored beside it.
        aligner: says how sure each truth is.
    """
    sets = test_sets(folders)
    figures, noisy, onsets, releases, quiet, ceilings = {}, {}, {}, {}, {}, {}
    others: dict[str, dict[str, Accuracy]] = {}
    for each in sets:
        log.info("%s: %d clips", each.title, len(each.clips))
        figures[each.title] = accuracy(each.truth, [face(c) for c in each.clips])
        others[each.title] = _others(each, peers or {})
        rough = checks.with_noise(each.clips, SNR_DB)
        noisy[each.title] = accuracy(each.truth, [face(c) for c in rough])
        onsets[each.title] = checks.onsets(each.clips, each.phones, face)
        releases[each.title] = checks.releases(each.clips, each.phones, face)
        quiet[each.title] = checks.quiet(each.clips, face)
        if aligner is not None and (highest := ceiling(each.clips, each.phones, aligner)) is not None:
            ceilings[each.title] = highest
    long_clip = np.concatenate([c for s in sets for c in s.clips])[: int(LONG_CLIP_S * 16000)]
    past, ahead = CompactFace.PAST_SAMPLES / 16000, CompactFace.LOOK_AHEAD_SAMPLES / 16000
    windows = {
        "25 s windows": checks.windowed(long_clip, face, 25.0, past, ahead),
        "live, 4 s windows": checks.windowed(long_clip, face, 4.0, past, ahead),
        "live, 2.4 s windows": checks.windowed(long_clip, face, 2.4, past, ahead),
    }
    speed = checks.real_time_factor(face)
    rest = checks.rest(face, [u.audio() for folder in folders for u in utterances(folder) if u.engine == MUSIC])
    return Report(figures, ceilings, others, noisy, onsets, releases, quiet, rest, windows, speed, provenance)


PEER_ADVANCES = (0, 3)
"""Frames by which peers' results are moved earlier: as they are, and against their usual delay."""
_SCRIPT = Path(__file__).parents[1] / "peers" / "run.mjs"


def _others(each: TestSet, peers: dict[str, Path]) -> dict[str, Accuracy]:
    channels = ("jawOpen", "mouthPressLeft", "mouthFunnel", "mouthPucker")
    results = {"loudness alone": accuracy(each.truth, [baselines.loudness_face(c) for c in each.clips], channels)}
    for kind, package in peers.items():
        visemes = baselines.peer_visemes(kind, package, _SCRIPT, each.clips)
        for advance in PEER_ADVANCES:
            found = [baselines.peer_face(v, advance) for v in visemes]
            name = f"npm {kind}" + (f", {advance} frames early" if advance else "")
            results[name] = accuracy(each.truth, found, channels)
    return results

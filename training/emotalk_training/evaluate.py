"""The evaluation: every figure that the bundled model is held to, as a table, as JSON and as plots."""

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
from emotalk_training.corpus import Utterance, utterances
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
    return Report(
        figures, ceilings, others, noisy, onsets, releases, quiet, checks.rest(face), windows, speed, provenance
    )


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


JOE = (
    "Piper joe was tuned from the voice lessac, whose recordings are for research only: it was used for tests, and "
    "nothing of it is here."
)


def table(report: Report) -> str:
    """The figures as Markdown."""
    return "\n".join([*_sets(report), "", JOE, "", *_others_table(report), "", *_duties(report)]) + "\n"


def _sets(report: Report) -> list[str]:
    lines = [
        "| set | clips, min | jawOpen r | press r | funnel / pucker r | closure recall / precision ±2 |"
        " lag jaw / closures | initial p b recall (n) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, a in report.sets.items():
        o = report.onsets[title]
        initial = f"{o.natural:.2f} ({o.natural_count}), cut {o.cut:.2f} ({o.cut_count})"
        lines.append(_row(title, a, f" {initial} |"))
        if (highest := report.ceilings.get(title)) is not None:
            lines.append(_row("its truth's ceiling", highest, " |"))
    return lines


def _row(title: str, a: Accuracy, end: str) -> str:
    r = a.correlation
    return (
        f"| {title} | {a.clips}, {a.minutes:.1f} | {r['jawOpen']:.3f} | {r['mouthPressLeft']:.3f} "
        f"| {r['mouthFunnel']:.2f} / {r['mouthPucker']:.2f} | {a.recall:.2f} / {a.precision:.2f} "
        f"({a.closures}) | {a.jaw_lag_ms:+.0f} / {a.closure_lag_ms:+.0f} ms |{end}"
    )


def _others_table(report: Report) -> list[str]:
    lines = [
        "| others, same sets | set | jawOpen r | press r | closure recall / precision ±2 | lag jaw |",
        "|---|---|---|---|---|---|",
    ]
    for title, results in report.others.items():
        for name, a in results.items():
            r = a.correlation
            lines.append(
                f"| {name} | {title} | {r['jawOpen']:.3f} | {r['mouthPressLeft']:.3f} "
                f"| {a.recall:.2f} / {a.precision:.2f} | {a.jaw_lag_ms:+.0f} ms |"
            )
    return lines


def _duties(report: Report) -> list[str]:
    lines = [
        f"| set | at {SNR_DB:.0f} dB SNR: jawOpen r, press r | {checks.SOFTER_DB:.0f} dB softer: jaw, press "
        f"| press after a last b m p (n): median, longest, over {1000 * checks.LINGERING_S:.0f} ms |",
        "|---|---|---|---|",
    ]
    for title, noisy in report.noisy.items():
        r, q, e = noisy.correlation, report.quiet[title], report.releases[title]
        held = f"({e.count}) {1000 * e.median_s:.0f} ms, {1000 * e.worst_s:.0f} ms, {100 * e.lingering:.0f} %"
        lines.append(
            f"| {title} | {r['jawOpen']:.3f}, {r['mouthPressLeft']:.3f} | {q.jaw:.2f}, {q.press:.2f} "
            f"| {held if e.count else '-'} |"
        )
    lines += ["", "| nobody speaks, -60 … -20 dB | worst mouth channel's mean | largest weight |", "|---|---|---|"]
    lines += [f"| {name} | {mean:.4f} | {report.rest.peak[name]:.3f} |" for name, mean in report.rest.mean.items()]
    lines += ["", "| check | figure |", "|---|---|"]
    lines += [
        f"| {name} against whole: weights off by more than 0.02 | {100 * w.share:.3f} % (largest {w.largest:.1e}) |"
        for name, w in report.windowed.items()
    ]
    return [*lines, f"| real-time factor of 25 s | {report.real_time_factor:.4f} |"]


def plots(face: checks.Predict, folders: Sequence[Path], out: Path) -> list[Path]:
    """A clip of every set, ``<set>.png``."""
    made = []
    for each in test_sets(folders):
        name = "".join(c if c.isalnum() else "-" for c in each.title.lower()).strip("-")
        while "--" in name:
            name = name.replace("--", "-")
        longest = max(range(len(each.clips)), key=lambda i: min(len(each.clips[i]), 80_000))
        made.append(out / f"{name}.png")
        plot(each, longest, face, made[-1])
    return made


def plot(each: TestSet, index: int, face: checks.Predict, path: Path, seconds: float = 5.0) -> None:
    """Spectrogram, prediction (solid) and rules (dashed) of one clip, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from emotalk_contract.arkit import INDEX

    clip, truth = each.clips[index], each.truth[index]
    weights = face(clip)
    figure, axes = pyplot.subplots(
        3, 1, figsize=(13, 7), sharex=True, gridspec_kw={"height_ratios": [1.6, 1.2, 1.2], "hspace": 0.06}
    )
    axes[0].specgram(
        np.append(clip[0], clip[1:] - 0.95 * clip[:-1]) + 1e-6, 256, 16000, noverlap=192, cmap="magma",
        vmin=-140, vmax=-50,
    )  # fmt: skip
    axes[0].set_ylim(0, 7500)
    axes[0].set_title(f"{each.title}: network solid, rules dashed")
    for phone in each.phones[index]:
        if phone.start < seconds and phone.symbol != "sil":
            axes[0].text((phone.start + phone.end) / 2, 6800, phone.symbol, color="w", ha="center", fontsize=8)
    rows = (
        (1, "jawOpen", "tab:blue"), (1, "mouthPressLeft", "tab:red"), (1, "mouthRollLower", "tab:green"),
        (2, "mouthFunnel", "tab:purple"), (2, "mouthPucker", "tab:orange"), (2, "mouthStretchLeft", "tab:cyan"),
        (2, "browInnerUp", "k"),
    )  # fmt: skip
    for row, name, colour in rows:
        for values, style, width in ((weights, "-", 1.4), (truth, "--", 0.8)):
            label = name if style == "-" else None
            axes[row].plot(
                np.arange(len(values)) / 30, values[:, INDEX[name]], style, color=colour, lw=width, label=label
            )
    for axis in axes[1:]:
        axis.legend(loc="upper right", fontsize=7)
        axis.set_ylim(0, 0.8)
        axis.grid(alpha=0.3)
    axes[2].set_xlim(0, seconds)
    figure.savefig(path, dpi=60, bbox_inches="tight")
    pyplot.close(figure)

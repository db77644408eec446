"""The figures of an evaluation as pages show them: tables, the short one of a front page, and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emotalk_training import checks
from emotalk_training.corpus import CorpusError
from emotalk_training.evaluate import SNR_DB, Report, TestSet, test_sets
from emotalk_training.metrics import Accuracy

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


SUMMARY_BLOCK = ("<!-- face -->", "<!-- /face -->")


def summary(report: Report) -> str:
    """Return the figures that a reader of the front page looks for, as Markdown."""
    lines = [
        "| | jaw r | lips pressed r | closures: recall / precision, ± 2 frames |",
        "|---|---|---|---|",
    ]
    for title, a in report.sets.items():
        for name, one in ((title, a), ("its truth's ceiling", report.ceilings.get(title))):
            if one is not None and (name == title or title.startswith("real")):
                r, contacts = one.correlation, f"{one.recall:.2f} / {one.precision:.2f}"
                lines.append(f"| {name} | {r['jawOpen']:.3f} | {r['mouthPressLeft']:.3f} | {contacts} |")
    alone = [results["loudness alone"] for results in report.others.values()]
    jaw, press = ([a.correlation[name] for a in alone] for name in ("jawOpen", "mouthPressLeft"))
    recall, precision = [a.recall for a in alone], [a.precision for a in alone]
    spans = [f"{min(found):.2f} to {max(found):.2f}" for found in (jaw, press, recall, precision)]
    return "\n".join([*lines, f"| loudness alone, same sets | {spans[0]} | {spans[1]} | {spans[2]} / {spans[3]} |"])


def put_summary(page: Path, report: Report) -> None:
    """Renew the summary on a page, between the lines of :data:`SUMMARY_BLOCK`.

    Raises:
        CorpusError: the page has no such lines.
    """
    begin, end = SUMMARY_BLOCK
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise CorpusError(f"{page} has no place for the summary; accepted: a page with the lines {begin} and {end}")
    page.write_text(f"{before}{begin}\n{summary(report)}\n{end}{after}", encoding="utf-8")


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
    hiss = 1e-6 * np.random.default_rng(0).standard_normal(len(clip))  # digital silence has no logarithm
    axes[0].specgram(
        np.append(clip[0], clip[1:] - 0.95 * clip[:-1]) + hiss, NFFT=256, Fs=16000, noverlap=192, cmap="magma",
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

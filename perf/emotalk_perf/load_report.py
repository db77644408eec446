"""The ensemble under load: a table, Triton's breakdown by step, a CSV, a picture, and how to repeat it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from emotalk_client.errors import MissingExtra
from emotalk_client.faces.formats import writing
from emotalk_client.faces.plot import COLOURS, check_image
from emotalk_contract import tensors
from emotalk_perf.load import PERCENTILES, Row
from emotalk_perf.report import table

PARTS = ("queue", "input", "infer", "output")
"""Of a step's time, as Triton splits it."""
MARKERS = ("o", "s", "^", "D")
"""Of the precisions in the picture; colours are the windows', dashes the protocols'."""


def markdown(rows: Sequence[Row], remark: str) -> str:
    """The tables, ``remark`` under them, and every command line."""
    parts = [
        table(
            [*_NAMES, "windows a second", "speech a second", *(f"p{p}" for p in PERCENTILES), "requests", "errors"],
            (_line(row) for row in rows),
        )
    ]
    if failures := [f"- {_name(row)}: {row.failure}" for row in rows if row.failure]:
        parts.append("Without figures:\n\n" + "\n".join(failures))
    steps = _seen(rows)
    parts += [
        "Milliseconds of one request in each step, waiting + computing, by Triton's own clock. The two encoders run "
        "side by side, and a step begins while the one before still hands out its result, so that the sum may be more "
        "than the latency:",
        table([*_NAMES, *(f"`{name}`" for name in steps)], (_steps(row, steps) for row in rows if row.figures)),
        remark,
        "<details><summary>The command lines</summary>\n\n```bash\n"
        + "\n".join(row.command for row in rows)
        + "\n```\n\n</details>",
    ]
    return "\n\n".join(parts)


_NAMES = ("precision", "window", "protocol", "at once")


def _head(row: Row) -> list[str]:
    asked = row.asked
    return [row.served.precision, f"{asked.seconds:g} s", asked.endpoint.protocol, str(asked.concurrency)]


def _name(row: Row) -> str:
    return ", ".join(_head(row)) + " at once"


def _line(row: Row) -> list[str]:
    errors = "?" if row.errors is None else str(row.errors)
    figures = row.figures
    if figures is None:
        return [*_head(row), *[""] * (3 + len(PERCENTILES)), errors]
    return [
        *_head(row),
        f"{figures.windows_per_s:.3g}",
        f"{row.speech_per_s:.3g} s",
        *(f"{value:.0f} ms" for value in figures.percentiles),
        str(figures.requests),
        errors,
    ]


def _steps(row: Row, names: Iterable[str]) -> list[str]:
    assert row.figures is not None  # noqa: S101  # the caller's filter
    steps = (row.figures.steps.get(name) for name in names)
    return [*_head(row), *(f"{step.queue:.1f} + {step.compute:.1f}" if step else "" for step in steps)]


def _seen(rows: Sequence[Row]) -> list[str]:
    """Names of the steps that ran in any row, in the order in which they run; all where nothing did."""
    seen = {name for row in rows if row.figures for name in row.figures.steps}
    return [model.name for model in tensors.STEPS if model.name in seen or not seen]


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Every figure, one combination a line; milliseconds, but for the two rates.

    Raises:
        UnwritableFile: ``path`` cannot be written.
    """
    steps = _seen(rows)
    head = ["model", "precision", "protocol", "window_s", "concurrency", "requests", "errors"]
    head += ["windows_per_s", "speech_s_per_s", "average_ms", *(f"p{share}_ms" for share in PERCENTILES)]
    head += [f"{name}_{part}_ms" for name in steps for part in PARTS]
    with writing(path), path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, [*head, "failure", "command"])
        out.writeheader()
        out.writerows(_fields(row) for row in rows)


def _fields(row: Row) -> dict[str, object]:
    fields: dict[str, object] = {
        "model": row.served.model,
        "precision": row.served.precision,
        "protocol": row.asked.endpoint.protocol,
        "window_s": row.asked.seconds,
        "concurrency": row.asked.concurrency,
        "errors": row.errors,
        "failure": row.failure,
        "command": row.command,
    }
    if (figures := row.figures) is not None:
        fields |= {"requests": figures.requests, "windows_per_s": figures.windows_per_s}
        fields |= {"speech_s_per_s": row.speech_per_s, "average_ms": figures.average}
        fields |= {f"p{share}_ms": ms for share, ms in zip(PERCENTILES, figures.percentiles, strict=True)}
        fields |= {f"{name}_{part}_ms": getattr(step, part) for name, step in figures.steps.items() for part in PARTS}
    return fields


def check_plot(path: Path) -> None:
    """Say before the measurement what would keep :func:`plot` from drawing ``path``.

    Raises:
        MissingExtra: matplotlib is not installed.
        UnknownFormat: the suffix is none of an image.
    """
    check_image(path)
    try:
        import matplotlib.figure  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise MissingExtra("plots need matplotlib; install `emotalk-triton[plot]`") from error


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw throughput and latency (p50, p95) against the number of requests at once into the image ``path``.

    Raises:
        UnwritableFile: ``path`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    throughput, latency = figure.subplots(1, 2)
    curves: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.figures is not None:
            curves.setdefault(tuple(_head(row)[:-1]), []).append(row)
    precisions, lengths = (list(dict.fromkeys(name[axis] for name in curves)) for axis in (0, 1))
    for name, points in curves.items():
        precision, length, protocol = name
        look = {
            "color": COLOURS[lengths.index(length) % len(COLOURS)],
            "linestyle": "-" if protocol == "grpc" else "--",
            "marker": MARKERS[precisions.index(precision) % len(MARKERS)],
            "markersize": 4,
        }
        at_once = [row.asked.concurrency for row in points]
        throughput.plot(at_once, [row.speech_per_s for row in points], label=", ".join(name), **look)
        for share, width in ((50, 1.5), (95, 0.6)):
            values = [row.figures.percentiles[PERCENTILES.index(share)] for row in points if row.figures]
            latency.plot(at_once, values, linewidth=width, **look)
    throughput.set_ylabel("seconds of speech a second")
    throughput.set_ylim(bottom=0)
    latency.set_ylabel("latency of a window, ms: p50 (bold) and p95")
    latency.set_yscale("log")
    for axis in (throughput, latency):
        axis.set_xlabel("requests at once")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(color="#e6e6e6", linewidth=0.7)
    figure.legend(loc="outside lower center", ncols=max(len(lengths), 1), frameon=False, fontsize=8)
    with writing(path):
        figure.savefig(path)

"""Tables of what was measured on a device."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from emotalk_contract.timing import FPS
from emotalk_perf.gpu.measure import Figures, Measured, Shape
from emotalk_perf.gpu.ways import Way
from emotalk_perf.report import table

HOPS_S = (2 / FPS, 4 / FPS)
"""67 and 133 ms: the hops at which streams are counted."""
ABSENT = "-"


def markdown(measured: Measured) -> str:
    """All tables, after a line that names the device and the day."""
    return "\n\n".join(_parts(measured))


def _parts(measured: Measured) -> Iterator[str]:
    machine = measured.machine
    about = [machine.name]
    if machine.memory_bytes:
        about.append(f"{machine.memory_bytes / 2**30:.0f} GiB")
    if machine.driver:
        about.append(f"driver {machine.driver}")
    yield f"{', '.join(about)}; PyTorch {machine.torch}; {date.today().isoformat()}. Large products:"
    rates = [_figure(rate / 1e12) if rate else ABSENT for rate in measured.rates.values()]
    yield table(["", *measured.rates], [["TFLOP/s", *rates]])
    for figures in measured.networks:
        lengths = sorted({shape.seconds for shape in figures.seconds})
        costs = ", ".join(f"{_figure(figures.flops(seconds) / 1e9)} for {seconds:g} s" for seconds in lengths)
        yield (
            f"{figures.name[0].upper()}{figures.name[1:]} (GFLOP a window: {costs}); milliseconds of a batch, "
            "and the share of the bf16 rate above:"
        )
        yield _shares(figures, measured.rates["bf16"])
        yield f"Live windows of {figures.live_s:g} s, each batch in its fastest way:"
        yield _live(figures)
        if figures.notes:
            yield "\n".join(f"- {note}" for note in figures.notes)


def _shares(figures: Figures, most: float) -> str:
    rows = []
    for shape in sorted(figures.seconds):
        row = [f"{shape.batch} x {shape.seconds:g} s"]
        for way in figures.ways:
            seconds = figures.seconds[shape].get(way)
            if seconds is None:
                row.append(ABSENT)
            else:
                share = f"{100 * figures.rate(shape, way) / most:.3g} %" if most else ABSENT
                row.append(f"{_figure(1000 * seconds)} ms, {share}")
        rows.append(row)
    differences = [f"{figures.differences[way]:.1e}" if way in figures.differences else ABSENT for way in figures.ways]
    rows.append(["mean difference of the weights from the first", *differences])
    return table(["windows", *(way.name for way in figures.ways)], rows)


def _live(figures: Figures) -> str:
    rows = []
    for shape in sorted(figures.seconds):
        if shape.seconds == figures.live_s:
            way, seconds = fastest(figures, shape)
            rate = shape.batch / seconds
            streams = [f"{int(rate * hop)}" for hop in HOPS_S]
            rows.append([str(shape.batch), way.name, f"{_figure(1000 * seconds)} ms", _figure(rate), *streams])
    heads = [f"streams at hops of {1000 * hop:.0f} ms" for hop in HOPS_S]
    return table(["windows at once", "way", "a batch", "windows a second", *heads], rows)


def fastest(figures: Figures, shape: Shape) -> tuple[Way, float]:
    """The fastest way of ``shape``, and the seconds of a batch."""
    return min(figures.seconds[shape].items(), key=lambda found: found[1])


def _figure(value: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"

"""The ensemble under load: perf_analyzer, for every window length, protocol and number of requests at once.

Why windows of counted requests (``count_windows``) and not ``--request-count``: the latter divides by whole seconds in
perf_analyzer 2.50, so that what takes 0.4 s seems to have taken one. A figure is of the three measurements that were
within :data:`STABILITY_PERCENT` of each other, so warming up does not count.
"""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import ServerError
from emotalk_client.faces.formats import writing
from emotalk_contract import tensors
from emotalk_contract.pipeline import OPTIONAL_STEPS
from emotalk_perf import windows
from emotalk_perf.analyzer import NAME, Analyzer
from emotalk_perf.endpoint import Endpoint
from emotalk_perf.errors import AnalyzerFailed, UnexpectedReport

REQUESTS = 30
"""At least so many in each of the three measurements."""
STABILITY_PERCENT = 25
"""Largest distance between them: a busy laptop is not quieter."""
TRIALS = 10
"""Measurements after which it gives up."""
TIMEOUT_S = 900.0
"""Seconds of one combination."""
PERCENTILES = (50, 90, 95, 99)
"""That perf_analyzer reports."""


@dataclass(frozen=True, slots=True)
class Served:
    """The server that answers."""

    model: str
    precision: str
    """As the manifest or the ensemble's parameters say; ``unknown`` where they do not."""


@dataclass(frozen=True, slots=True)
class Combination:
    """The requests of one measurement."""

    endpoint: Endpoint
    seconds: float
    """Of speech in one request."""
    concurrency: int
    """Requests at once."""


@dataclass(frozen=True, slots=True)
class Step:
    """Milliseconds that one model took for one request, by Triton's own clock."""

    queue: float
    input: float
    infer: float
    output: float

    @property
    def compute(self) -> float:
        """All but waiting."""
        return self.input + self.infer + self.output


@dataclass(frozen=True, slots=True)
class Figures:
    """Findings of perf_analyzer."""

    requests: int
    """That were measured."""
    windows_per_s: float
    average: float
    """Milliseconds from sending a request to its answer."""
    percentiles: tuple[float, ...]
    """Milliseconds, at :data:`PERCENTILES`."""
    steps: dict[str, Step]
    """By the model's name, in the ensemble's order. Their sum may be more than the latency: the two encoders run
    side by side, and a step begins while the one before still hands out its result (``output``).
    """


@dataclass(frozen=True, slots=True)
class Row:
    """One combination, and what came of it."""

    served: Served
    asked: Combination
    command: str
    """As it was run, with files named from the folder that it ran in."""
    errors: int | None
    """Requests that failed meanwhile, by Triton's own count; None: it could no longer be asked."""
    figures: Figures | None
    """None: perf_analyzer gave none, because a request failed or its measurements were not stable."""
    failure: str = ""
    """Why, then."""

    @property
    def speech_per_s(self) -> float:
        """Seconds of speech that became a face in a second."""
        return float("nan") if self.figures is None else self.figures.windows_per_s * self.asked.seconds


def run(
    analyzer: Analyzer,
    endpoints: Sequence[Endpoint],
    clip: NDArray[np.float32],
    folder: Path,
    *,
    served: Served,
    seconds: Sequence[float],
    concurrency: Sequence[int],
    requests: int = REQUESTS,
    timeout_s: float = TIMEOUT_S,
    show: Callable[[str], object] | None = None,
) -> Iterator[Row]:
    """Measure every combination, one after the other.

    Args:
        analyzer: from :func:`emotalk_perf.install.find`.
        endpoints: of one server.
        clip: speech [samples, 16 kHz], which is cut into windows.
        folder: where perf_analyzer's input and its own reports go, and stay.
        served: what ``endpoints`` serve; see :func:`describe`.
        seconds: lengths of windows.
        concurrency: numbers of requests at once.
        requests: at least so many in each measurement.
        timeout_s: seconds of one combination.
        show: is told each command line before it runs.

    Raises:
        AudioTooShort, AudioTooLong: a window that no request can carry.
        UnexpectedReport: perf_analyzer's files lack what is needed.
        UnwritableFile: ``folder`` cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for length in seconds:
        windows.write(windows.cut(clip, length), folder / _input_name(length))
    for length in seconds:
        for endpoint in endpoints:
            for at_once in concurrency:
                combination = Combination(endpoint, length, at_once)
                arguments = _arguments(combination, requests)
                if show is not None:
                    show(shlex.join([NAME, *arguments]))
                yield _measured(analyzer, served, combination, arguments, folder, timeout_s)


def describe(endpoint: Endpoint) -> Served:
    """Ask a running server what it is.

    Raises:
        ServerError: the subclass that says why it says nothing.
    """
    parameters = endpoint.parameters()
    return Served(parameters.get("model", "unknown"), parameters.get("precision", "unknown"))


def _measured(
    analyzer: Analyzer,
    served: Served,
    combination: Combination,
    arguments: list[str],
    folder: Path,
    timeout_s: float,
) -> Row:
    command = shlex.join([NAME, *arguments])
    report = folder / _report_name(combination)
    for old in (report, *_step_reports(report)):  # they must not pass for this run's
        old.unlink(missing_ok=True)
    before = _failed(combination.endpoint)
    try:
        said = analyzer.run(arguments, folder, timeout_s)
    except AnalyzerFailed as error:
        failure = f"{type(error).__name__}: {error}"
        return Row(served, combination, command, _since(before, combination.endpoint), None, failure)
    return Row(served, combination, command, _since(before, combination.endpoint), read(report, said))


def _failed(endpoint: Endpoint) -> int | None:
    try:
        return endpoint.counts().failed
    except ServerError:
        return None


def _since(before: int | None, endpoint: Endpoint) -> int | None:
    after = _failed(endpoint)
    return None if before is None or after is None else after - before


def _arguments(combination: Combination, requests: int) -> list[str]:
    options = {
        "-m": tensors.ENSEMBLE.name,
        "-i": combination.endpoint.protocol,
        "-u": combination.endpoint.address,
        "--input-data": _input_name(combination.seconds),
        "--concurrency-range": str(combination.concurrency),
        "--measurement-mode": "count_windows",
        "--measurement-request-count": str(requests),
        "--stability-percentage": str(STABILITY_PERCENT),
        "--max-trials": str(TRIALS),
        "-f": _report_name(combination),
    }
    return [word for option in options.items() for word in option] + ["--verbose-csv"]


def _input_name(seconds: float) -> str:
    return f"{seconds:g}s.json"


def _report_name(combination: Combination) -> str:
    return f"{combination.endpoint.protocol}-{combination.seconds:g}s-{combination.concurrency}.csv"


def read(report: Path, said: str) -> Figures:
    """Read what perf_analyzer wrote to ``report`` (``-f``) and, one file a model, beside it; ``said`` is its output,
    which alone has the number of requests.

    Raises:
        UnexpectedReport: a file, a column or a step of the ensemble is missing.
    """
    count = re.search(r"Client:\s+Request count: (\d+)", said)
    if count is None:
        raise UnexpectedReport(f"{NAME} printed no 'Request count'; accepted: the output of version 2.50 or like it")
    whole = _numbers(report)
    try:
        return Figures(
            requests=int(count[1]),
            windows_per_s=whole["Inferences/Second"],
            average=whole["Avg latency"] / 1000,
            percentiles=tuple(whole[f"p{share} latency"] / 1000 for share in PERCENTILES),
            steps=_steps(report),
        )
    except KeyError as error:
        raise UnexpectedReport(f"{report.name} has no column {error}; it has {', '.join(whole)}") from error


def _steps(report: Path) -> dict[str, Step]:
    names = [model.name for model in tensors.STEPS]
    seen = {path.name.partition("_v")[0] for path in _step_reports(report)}
    return {name: _step(report, name) for name in names if name in seen or name not in OPTIONAL_STEPS}


def _step(report: Path, model: str) -> Step:
    found = [path for path in _step_reports(report) if path.name.startswith(f"{model}_v")]
    if not found:
        raise UnexpectedReport(f"{NAME} wrote no report of the step {model}; it writes one for every step it sees")
    numbers = _numbers(found[0])
    kinds = ("Queue", "Compute Input", "Compute Infer", "Compute Output")
    return Step(*(numbers[f"Server {kind}"] / 1000 for kind in kinds))


def _step_reports(report: Path) -> list[Path]:
    """The files that perf_analyzer writes beside ``report``: MODEL_vVERSION.REPORT."""
    return sorted(report.parent.glob(f"*_v*.{report.name}"))


def _numbers(path: Path) -> dict[str, float]:
    """The one line of a report by column."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            (line,) = csv.DictReader(file)
        return {name: float(value) for name, value in line.items()}
    except (OSError, ValueError, TypeError) as error:
        raise UnexpectedReport(f"{path.name} is not a report of one measurement: {error}") from error

"""Comma-separated values of any making: separators, byte-order marks and names of columns are what they are.

The header is the first row. Commas, semicolons (with decimal commas, as a German Excel writes) and tabs separate;
text is UTF-8, or UTF-16 with its mark. Rows are counted as a spreadsheet counts them: the header is row 1.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats import names
from emotalk_client.faces.formats.faults import Fault, check_finite, shortened
from emotalk_client.faces.formats.files import MAX_BYTES
from emotalk_client.faces.spelling import key
from emotalk_client.faces.track import MAX_FRAMES
from emotalk_contract.arkit import HEAD_AND_EYE_ROTATIONS

TIMES = ("timecode", "time")
"""Keys (:func:`emotalk_client.faces.spelling.key`) of the column that says when a row is."""
OTHERS = ("", "index", "frame", "blendshapecount")
"""Keys of columns that say nothing new."""
ROTATION = ("yaw", "pitch", "roll")
"""Ends of the keys of columns that are not weights."""
SEPARATORS = ",;\t"
MAX_LINE = 1 << 16
"""Characters."""
FIRST_ROW = 2
"""The row below the header."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows."""

    times: list[str]
    """[F] as they stand there."""
    names: list[str]
    """Of the columns of weights."""
    weights: NDArray[np.float32]
    """[F, len(names)], finite."""
    rotations: NDArray[np.float32]
    """[F, 9], finite: :data:`~emotalk_contract.arkit.HEAD_AND_EYE_ROTATIONS`, 0 without such a column."""


def read(path: Path) -> Table:
    """The times and weights in ``path``; :class:`Fault` if there is something else."""
    if path.stat().st_size > MAX_BYTES:
        raise Fault(f"it is larger than {MAX_BYTES >> 20} MiB, which is the most that is read")
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        lines = _lines(file, encoding)
        head = next((line for line in lines if line.strip()), None)
        if head is None:
            raise Fault("it is empty")
        separator = max(SEPARATORS, key=head.count)
        try:
            header = [cell.strip() for cell in next(csv.reader([head], delimiter=separator))]
            return _Reader(header, separator).table(csv.reader(lines, delimiter=separator))
        except csv.Error as error:
            raise Fault(f"it is not CSV ({error})") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _lines(file: TextIO, encoding: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(MAX_LINE)
        except UnicodeError as error:
            name = encoding.removesuffix("-sig").upper()
            raise Fault(f"row {number} or one soon after it is not {name} text") from error
        if not line:
            return
        if len(line) == MAX_LINE:
            raise Fault(f"row {number} has more than {MAX_LINE} characters")
        yield line


class _Reader:
    """Rows below one header."""

    def __init__(self, header: Sequence[str], separator: str) -> None:
        self._header = header
        self._decimal = "," if separator != "," else "."
        times = [place for place, cell in enumerate(header) if key(cell) in TIMES]
        if len(times) != 1:
            found = f"{len(times)} columns of timecodes" if times else f"no column Timecode ({names.listed(header)})"
            raise Fault(f"its header has {found}; accepted: one")
        self._time = times[0]
        self._columns = [place for place, cell in enumerate(header) if place != self._time and not _is_other(key(cell))]
        names.sources([header[place] for place in self._columns])  # before a long file is read
        for cell in {cell for cell in header if header.count(cell) > 1 and names.known(cell) is not None}:
            raise Fault(f"column {shortened(cell)} stands twice in its header")

    def table(self, rows: Iterator[list[str]]) -> Table:
        """Read the rows."""
        weighing = [place for place in self._columns if names.known(self._header[place]) is not None]
        turning = {key(cell): place for place, cell in enumerate(self._header)}
        turned = [axis for axis, name in enumerate(HEAD_AND_EYE_ROTATIONS) if name.casefold() in turning]
        chosen = weighing + [turning[HEAD_AND_EYE_ROTATIONS[axis].casefold()] for axis in turned]
        labels = [self._header[place] for place in chosen]
        times, values = [], array("d")
        for number, row in enumerate(rows, FIRST_ROW):
            if not any(cell.strip() for cell in row):
                if row:
                    raise Fault(f"row {number} has empty cells only")
                continue
            self._check_width(row, number)
            times.append(row[self._time])
            cells = [row[place] for place in chosen]
            try:
                values.extend([float(cell) for cell in self._decimals(cells)])
            except ValueError as error:
                raise self._not_a_number(labels, cells, number) from error
            if len(times) > MAX_FRAMES:
                raise Fault(f"it has more than {MAX_FRAMES} rows, which is the most that is read")
        with np.errstate(over="ignore"):  # what overflows is infinite, which is refused
            found = np.array(values, np.float64).astype(np.float32).reshape(len(times), len(chosen))
        check_finite(found, labels, first=FIRST_ROW)
        rotations = np.zeros((len(times), len(HEAD_AND_EYE_ROTATIONS)), np.float32)
        rotations[:, turned] = found[:, len(weighing) :]
        return Table(times, labels[: len(weighing)], found[:, : len(weighing)], rotations)

    def _check_width(self, row: Sequence[str], number: int) -> None:
        width = len(self._header)
        if len(row) < width:
            raise Fault(
                f"row {number} ends before column {len(row) + 1}, {shortened(self._header[len(row)])}; "
                f"accepted: {width} cells, as the header has"
            )
        if any(cell.strip() for cell in row[width:]):
            raise Fault(f"row {number} has {len(row)} cells; accepted: {width}, as the header has")

    def _decimals(self, cells: list[str]) -> list[str]:
        return cells if self._decimal == "." else [cell.replace(",", ".") for cell in cells]

    def _not_a_number(self, labels: Sequence[str], cells: list[str], number: int) -> Fault:
        for label, cell, decimal in zip(labels, cells, self._decimals(cells), strict=True):
            try:
                float(decimal)
            except ValueError:
                place = list(self._header).index(label) + 1
                return Fault(
                    f"row {number}, column {place}, {shortened(label)}, is {shortened(cell)}; accepted: a finite number"
                )
        return Fault(f"row {number} is not a row of numbers")


def _is_other(key: str) -> bool:
    return key in OTHERS or key.endswith(ROTATION)

"""Columns by name: which blendshape each column of a file is.

Names are compared by :func:`emotalk_client.faces.spelling.key`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats.faults import Fault, shortened
from emotalk_client.faces.spelling import key
from emotalk_contract.arkit import BLENDSHAPE_COUNT, BLENDSHAPES

log = logging.getLogger(__name__)

LISTED = 5
"""Names that a message lists."""
_KNOWN = {name.casefold(): i for i, name in enumerate(BLENDSHAPES)}


def known(name: str) -> int | None:
    """The column in EmoTalk order of the blendshape ``name``; None if it is not one of the 52."""
    return _KNOWN.get(key(name))


def listed(names: Sequence[str]) -> str:
    """``names`` for a message: the first few, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(shortened(name) for name in names[:LISTED]) + more


def sources(names: Sequence[object]) -> list[int | None]:
    """For each of the 52 blendshapes the place in ``names`` that has it, None where none does (a warning says so).

    Raises:
        Fault: none of the 52 is there, or one of them twice, or a name is not text.
    """
    found: list[int | None] = [None] * BLENDSHAPE_COUNT
    unknown = []
    for place, name in enumerate(names):
        if not isinstance(name, str):
            raise Fault(f"the name of column {place + 1} is {shortened(name)}; accepted: text")
        column = known(name)
        if column is None:
            unknown.append(name)
            continue
        if (first := found[column]) is not None:
            raise Fault(f"{BLENDSHAPES[column]} stands twice, in columns {first + 1} and {place + 1}")
        found[column] = place
    missing = [name for name, place in zip(BLENDSHAPES, found, strict=True) if place is None]
    if len(missing) == BLENDSHAPE_COUNT:
        raise Fault(f"none of its columns ({listed(unknown) or 'it has none'}) is one of ARKit's 52 blendshapes")
    if missing:
        log.warning("%d blendshapes are missing and stay 0: %s", len(missing), listed(missing))
    if unknown:
        log.warning("%d columns are not blendshapes and are left out: %s", len(unknown), listed(unknown))
    return found


def arranged(weights: NDArray[np.float32], names: Sequence[object]) -> NDArray[np.float32]:
    """``weights`` [F, len(names)] as [F, 52] in EmoTalk order; see :func:`sources`."""
    out = np.zeros((len(weights), BLENDSHAPE_COUNT), np.float32)
    for column, place in enumerate(sources(names)):
        if place is not None:
            out[:, column] = weights[:, place]
    return out

"""A long input in short tiles, for a network of which each step hears a stretch of fixed length.

Theory of operation. Output step ``t`` of a convolutional frontend hears the samples ``[t hop, t hop + span)`` and no
others. So some steps at a time give what all at once would, and the numbers between the layers (6.5 MB a second of
sound in the first of them) stay in the processor's cache and in memory that is used again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emotalk_ensemble.exchange import Arrays


@dataclass(frozen=True, slots=True)
class Tiling:
    """The cut of an input; all other inputs are of the whole and go with every tile."""

    input: str
    """Name of the input that is cut, along its axis after the batch."""
    hop: int
    """Its samples from one output step to the next."""
    span: int
    """Its samples that an output step hears."""
    steps: int
    """Output steps of a tile, at most."""

    @classmethod
    def from_json(cls, text: str) -> Tiling:
        """Read a config's parameter."""
        return cls(**json.loads(text))

    def pieces(self, inputs: Arrays) -> Iterator[Arrays]:
        """Yield ``inputs`` tile by tile, in order; the tiles are of one length, or a step shorter."""
        whole = inputs[self.input]
        count = max(1, (whole.shape[1] - self.span) // self.hop + 1)
        tiles = -(-count // self.steps)
        bounds = [i * count // tiles for i in range(tiles + 1)]
        for first, end in pairwise(bounds):
            # What is left at the end is no step's, and is the network's to ignore or to refuse.
            stop = None if end == count else (end - 1) * self.hop + self.span
            yield inputs | {self.input: whole[:, first * self.hop : stop]}

    def run(self, network: Callable[[Arrays], Arrays], inputs: Arrays) -> Arrays:
        """Return what ``network`` gives for ``inputs``, computed tile by tile.

        Every output has its steps on its axis after the batch.
        """
        parts = [network(piece) for piece in self.pieces(inputs)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts], 1) for name in parts[0]}

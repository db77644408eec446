"""``--head``, ``--map`` and ``--life``: whom files and outputs show, in whose words, and how lively."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emotalk_cli.face_options import by_name
from emotalk_client.faces.formats import FORMATS
from emotalk_client.faces.head.own import OwnHead
from emotalk_client.faces.life import AMOUNTS, Life
from emotalk_client.faces.vocabularies import VOCABULARIES, Vocabulary, vocabulary_of
from emotalk_contract.quoting import quoted

Head = Annotated[
    Path | None,
    typer.Option("--head", metavar="FILE", help="A .glb or .vrm to show in .glb files, with its own names."),
]
Map = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="NAME|FILE",
        help=f"Names of the columns of .csv files, and of VMC: {', '.join(VOCABULARIES)}, or a .json.",
    ),
]
Lively = Annotated[
    list[str] | None,
    typer.Option("--life", metavar="NAME=AMOUNT", help=f"0..1 of {', '.join(AMOUNTS)}; repeatable. Default: none."),
]


@dataclass(frozen=True, slots=True)
class Look:
    """The head and the vocabulary that files have, where they are not the usual ones."""

    head: OwnHead | None = None
    vocabulary: Vocabulary | None = None

    @classmethod
    def read(cls, head: Path | None, spoken: str | None) -> Look:
        """Return what ``--head`` and ``--map`` ask for; raises UnreadableHead, InvalidMap."""
        return cls(
            None if head is None else OwnHead.load(head),
            None if spoken is None else vocabulary_of(spoken),
        )

    def check(self, suffixes: Sequence[str], *, outputs: bool = False) -> None:
        """Refuse an option that none of the files that are written, nor an output, takes.

        Raises:
            typer.BadParameter: there is one.
        """
        for option, kind, given in (("--head", "head", self.head), ("--map", "vocabulary", self.vocabulary)):
            takers = [suffix for suffix, one in FORMATS.items() if one.takes == kind]
            if given is None or (outputs and kind == "vocabulary") or set(takers) & set(suffixes):
                continue
            also = ", --vmc" if kind == "vocabulary" else ""
            raise typer.BadParameter(
                f"nothing that is written takes it; accepted with: {', '.join(takers)}{also}", param_hint=option
            )

    def of(self, suffix: str) -> tuple[OwnHead | None, Vocabulary | None]:
        """Return the head and the vocabulary of a file with ``suffix``, as far as it has them."""
        takes = FORMATS[suffix.lower()].takes
        return self.head if takes == "head" else None, self.vocabulary if takes == "vocabulary" else None


def read_life(pairs: list[str] | None, seed: int) -> Life:
    """Return the life that ``--life`` asks for.

    Raises:
        typer.BadParameter: one is not NAME=NUMBER, or of no name that is known.
        InvalidOption: an amount is out of range.
    """
    amounts = by_name(pairs, "--life")
    for name in amounts:
        if name not in AMOUNTS:
            raise typer.BadParameter(f"{quoted(name)}; accepted: {', '.join(AMOUNTS)}", param_hint="--life")
    return Life(**amounts, seed=seed)

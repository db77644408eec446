"""The speech of ``emotalk live``: a file, raw samples on standard input, or a microphone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from emotalk_cli.given import is_given, refuse_given
from emotalk_cli.inputs import opened
from emotalk_client.live.microphone import Block, microphone
from emotalk_client.live.sources import PCM_TYPES, file_blocks, paced, pcm_blocks
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import SAMPLE_RATE

RAW = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """The source of speech that the command line asks for."""

    path: str | None
    """A file, or ``-`` for raw samples; None: a microphone."""
    device: str | None
    pace: bool
    rate: int | None
    """Hertz of raw samples or of a microphone; None: not given."""
    channels: int
    pcm: str

    @classmethod
    def given(
        cls,
        context: typer.Context,
        path: str | None,
        device: str | None,
        pace: bool,
        rate: int,
        channels: int,
        pcm: str,
    ) -> Source:
        """Return the source that ``context`` asks for.

        Raises:
            typer.BadParameter: there is none, there are two, or an option is for another.
        """
        listens = bool(context.params["microphone_"])
        if (path is None) != listens:
            raise typer.BadParameter("give a file, or -, or --microphone; one of them", param_hint="IN")
        if pcm not in PCM_TYPES:
            raise typer.BadParameter(f"{quoted(pcm)} is none of {', '.join(PCM_TYPES)}", param_hint="--format")
        if listens:
            refuse_given(context, ["channels", "pcm"], "it is for raw PCM, which - reads, and not for a microphone")
            refuse_given(context, ["pace"], "a microphone has its own pace; accepted: --pace with a file or -")
        else:
            refuse_given(context, ["device"], "it is for --microphone")
        if path is not None and path != RAW:
            refuse_given(context, ["rate", "channels", "pcm"], "it is for raw PCM, which - reads; a file knows its own")
        return cls(path, device, pace, rate if is_given(context, "rate") else None, channels, pcm)

    @contextmanager
    def blocks(self) -> Iterator[tuple[Iterator[Block], int]]:
        """Yield blocks of speech and their rate in Hertz."""
        if self.path is None:
            name = int(self.device) if self.device is not None and self.device.isdecimal() else self.device
            with microphone(name, self.rate) as heard:
                yield heard, heard.rate
        elif self.path == RAW:
            rate = SAMPLE_RATE if self.rate is None else self.rate
            yield self._paced(pcm_blocks(sys.stdin.buffer, self.pcm, rate, self.channels), rate), rate
        else:
            with opened(Path(self.path)) as file:
                yield self._paced(file_blocks(file), SAMPLE_RATE), SAMPLE_RATE

    def _paced(self, blocks: Iterator[Block], rate: int) -> Iterator[Block]:
        return paced(blocks, rate) if self.pace else blocks

"""Readers: who is trained on, who is chosen with, and who is only ever scored."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Part: TypeAlias = Literal["train", "choose", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
TEST_DIGIT, CHOOSE_DIGIT = "7", "3"
"""Last digit of a reader's number in LibriSpeech: of those that are only ever scored, and of those to choose on."""
LIBRISPEECH = "libri-"
"""Beginning of the voices of its readers."""


def part(voice: str) -> Part:
    """Return what a voice is for."""
    if not voice.startswith(LIBRISPEECH):
        return "train"
    parts: dict[str, Part] = {TEST_DIGIT: "test", CHOOSE_DIGIT: "choose"}
    return parts.get(voice[-1], "train")

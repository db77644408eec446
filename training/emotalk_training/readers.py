"""Voices and readers: who is trained on, who is chosen with, and who is only ever scored."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Part: TypeAlias = Literal["train", "choose", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
TEST_DIGIT, CHOOSE_DIGIT = "7", "3"
"""Last digit of a reader's number in LibriSpeech: of those that are only ever scored, and of those to choose on."""
VALIDATION_VOICES = frozenset({"am_eric", "bf_lily", "ef_dora", "af_sky"})
"""Training voices (and blends with them) that are held back for choices: checkpoints, thresholds."""
LIBRISPEECH = "libri-"
"""Beginning of the voices of its readers."""


def part(voice: str) -> Part:
    """Return what a voice is for."""
    if not voice.startswith(LIBRISPEECH):
        return "train"
    parts: dict[str, Part] = {TEST_DIGIT: "test", CHOOSE_DIGIT: "choose"}
    return parts.get(voice[-1], "train")


def is_validation(voice: str) -> bool:
    """Tell whether a (blended) voice, or a reader, is held back for choices."""
    return bool(VALIDATION_VOICES & set(voice.split("+"))) or part(voice) == "choose"

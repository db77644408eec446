"""A text becomes utterances: normalised, cut into sentences, said, and trimmed to the pauses of a speaker."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.errors import (
    EmptyText,
    InvalidOption,
    SpeedOutOfRange,
    TextTooLong,
    UnknownLanguage,
    UnspeakableText,
)
from emotalk_contract.limits import MAX_SEED
from emotalk_contract.quoting import quoted
from emotalk_contract.speech import MAX_SPEED, MAX_TEXT_CHARACTERS, MIN_SPEED
from emotalk_contract.utterance import Timed, Utterance
from emotalk_speech.engines import Voices
from emotalk_speech.normalisation import Speakable, speakable
from emotalk_speech.sentences import sentences
from emotalk_speech.voice import Sound, Voice

LEAD_S, TAIL_S = 0.06, 0.30
"""Seconds of quiet that stay before and behind a sentence: together the pause between two."""
QUIET = 0.01
"""Share of a sentence's peak below which it is quiet."""
QUIET_HOP_S = 0.005
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][A-Za-z0-9]{2,8})*", re.IGNORECASE)


def speak(
    text: str, language: str, voices: Voices, voice: str | None = None, speed: float = 1.0, seed: int = 0
) -> Iterator[Utterance]:
    """Yield the sentences of ``text`` as they are said.

    A sentence that has nothing to say (``…``, an emoji) is passed over, and named in a warning of another.

    Raises:
        EmptyText, TextTooLong, UnspeakableText, UnknownLanguage, UnknownVoice, SpeedOutOfRange: what cannot be said.
        VoiceNotInstalled: the voice lacks something on this machine.
    """
    language = base(language)
    check(text, speed, seed)
    speaker = voices.find(voice, language)
    said = False
    carried: tuple[str, ...] = ()
    for sentence, ready in _speakable(text, language):
        carried += ready.warnings
        pieces = sentences(ready.text, language)  # numbers in words are longer
        silent = True
        for piece in pieces:
            if (sound := _said(speaker, piece, language, speed, seed)) is not None:
                yield utterance(sentence if len(pieces) == 1 else piece, trimmed(sound), carried)
                silent, carried, said = False, (), True
        if silent:
            carried += (_left_out(sentence),)
    if not said:
        raise UnspeakableText(f"the voice has no sound for {quoted(text)} in {language!r}")


def _speakable(text: str, language: str) -> Iterator[tuple[str, Speakable]]:
    """Yield the sentences of ``text`` that have something to say; what the others say of themselves goes with the one
    before, or with the first.

    Raises:
        UnspeakableText: there are none.
    """
    held: tuple[str, Speakable] | None = None
    before: tuple[str, ...] = ()
    for sentence in sentences(text, language):
        try:
            ready = speakable(sentence, language)
        except UnspeakableText:
            if held is None:
                before = (*before, _left_out(sentence))
            else:
                held = held[0], Speakable(held[1].text, (*held[1].warnings, _left_out(sentence)))
            continue
        if held is not None:
            yield held
        held, before = (sentence, Speakable(ready.text, before + ready.warnings)), ()
    if held is None:
        speakable(text, language)
        raise EmptyText(f"the text is {quoted(text)}; accepted: something to say")
    yield held


def _left_out(sentence: str) -> str:
    return f"{quoted(sentence)} was left out: it has no sound"


def _said(speaker: Voice, piece: str, language: str, speed: float, seed: int) -> Sound | None:
    """Return ``piece`` as ``speaker`` says it; None where it has no sound."""
    try:
        sound = speaker.say(piece, language, speed, seed)
    except UnspeakableText:
        return None
    return sound if len(sound.audio) and np.abs(sound.audio).max() > 0 else None


def check(text: str, speed: float, seed: int) -> None:
    """Raise for what no voice can say."""
    if not text.strip():
        raise EmptyText(f"the text is {quoted(text)}; accepted: something to say")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise TextTooLong(f"the text has {len(text)} characters; accepted: at most {MAX_TEXT_CHARACTERS}")
    if not MIN_SPEED <= speed <= MAX_SPEED:  # NaN fails too
        raise SpeedOutOfRange(f"speed is {quoted(speed)}; accepted: {MIN_SPEED:g}..{MAX_SPEED:g}")
    if not 0 <= seed <= MAX_SEED:
        raise InvalidOption(f"seed is {quoted(seed)}; accepted: an integer in 0..{MAX_SEED}")


def base(language: str) -> str:
    """Return ``en`` for ``en-US``.

    Raises:
        UnknownLanguage: it is not a language's tag.
    """
    match = _LANGUAGE.fullmatch(language)
    if match is None:
        raise UnknownLanguage(f"language is {quoted(language)}; accepted: a tag such as 'en' or 'fa'")
    return match[1].lower()


def trimmed(sound: Sound) -> Sound:
    """Return ``sound`` with :data:`LEAD_S` before its first sound and :data:`TAIL_S` behind its last one."""
    rate = sound.sample_rate
    first, end = _loud(sound.audio, max(1, round(QUIET_HOP_S * rate)))
    start, stop = first - round(LEAD_S * rate), end + round(TAIL_S * rate)
    before, behind = max(0, -start), max(0, stop - len(sound.audio))
    audio = np.pad(sound.audio[max(0, start) : stop], (before, behind))
    length = len(audio) / rate

    def moved(timed: Timed) -> Timed:
        begin, finish = (min(max(0.0, at - start / rate), length) for at in (timed.start, timed.end))
        return Timed(timed.text, begin, finish)

    return Sound(audio, rate, tuple(map(moved, sound.words)), tuple(map(moved, sound.phones)))


def _loud(audio: NDArray[np.float32], hop: int) -> tuple[int, int]:
    """Return the first sample that is not quiet, and the one after the last."""
    blocks = np.abs(np.pad(audio, (0, -len(audio) % hop))).reshape(-1, hop).max(axis=1)
    loud = np.flatnonzero(blocks > QUIET * blocks.max())
    if not len(loud):
        return 0, len(audio)
    return int(loud[0]) * hop, min(len(audio), (int(loud[-1]) + 1) * hop)


def utterance(text: str, sound: Sound, warnings: tuple[str, ...]) -> Utterance:
    """Return ``sound`` as it is sent."""
    pcm = np.round(np.clip(sound.audio, -1.0, 1.0) * 32767).astype(np.int16)
    return Utterance(text, pcm, sound.sample_rate, sound.words, sound.phones, warnings)

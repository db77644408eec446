"""Written text made speakable: one form of each letter, and nothing in it that a voice cannot read.

Rule that this module guards: **nothing is left out without a word.** Whatever goes is named in a warning; a text of
which nothing is left is an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from emotalk_contract.errors import UnspeakableText
from emotalk_contract.quoting import quoted
from emotalk_speech import persian

ZWNJ = "\N{ZERO WIDTH NON-JOINER}"
_MARKUP = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_BLANKS = re.compile(r"[^\S\n]+")
_LONG_NUMBER = re.compile(r"\d(?:,?\d){15,}")
"""A number that is read digit by digit: no voice has a name for it."""
_REPEATS = re.compile(r"([^\w\s])\1{3,}")


@dataclass(frozen=True, slots=True)
class Script:
    """The letters of a language."""

    name: str
    """For people."""
    of: Callable[[str], bool]
    """True for its letters and marks."""


def _latin(character: str) -> bool:
    return unicodedata.name(character, "").startswith("LATIN ")


def _arabic_or_latin(character: str) -> bool:
    return unicodedata.name(character, "").startswith(("ARABIC ", "LATIN "))


SCRIPTS = {"en": Script("Latin", _latin), "fa": Script("Arabic or Latin", _arabic_or_latin)}


@dataclass(frozen=True, slots=True)
class Speakable:
    """A text that a voice can read."""

    text: str
    warnings: tuple[str, ...] = ()


def normalise(text: str, language: str) -> str:
    """Return ``text`` in the one form in which its language is written; see :mod:`emotalk_speech.persian`.

    Compatibility forms are as they were, and so are numbers: :func:`speakable` reads those.
    """
    text = unicodedata.normalize("NFC", text)
    return persian.normalise(text) if language == "fa" else _tidy(text)


def speakable(text: str, language: str) -> Speakable:
    """Return what a voice of ``language`` is to say for ``text``, and what was left out.

    A language without a :class:`Script` of ours keeps all letters. Kept are letters, digits, punctuation and signs
    that have a name in speech; left out are markup, emoji, control characters and letters of other scripts.

    Raises:
        UnspeakableText: nothing is left.
    """
    text = unicodedata.normalize("NFC", text)
    warnings = []
    text, tags = _MARKUP.subn(" ", text)
    if tags:
        warnings.append(f"{tags} marks such as <speak> were left out")
    script = SCRIPTS.get(language)
    kept: list[str] = []
    strange: list[str] = []
    signs: list[str] = []
    for character in text:
        form = _form(character, script, language)
        if form is None:
            (strange if character.isalpha() else signs).append(character)
            kept.append(" ")
        else:
            kept.append(form)
    if strange and script is not None:
        warnings.append(f"{_named(strange)} was left out: the voice reads {script.name} letters")
    if signs:
        warnings.append(f"{_named(signs)} was left out: it has no sound")
    joined = "".join(kept)
    spoken = persian.spoken(joined) if language == "fa" else _LONG_NUMBER.sub(_digits, _tidy(joined))
    if not any(character.isalnum() for character in spoken):
        accepted = f"{script.name} letters" if script is not None else "letters"
        raise UnspeakableText(f"{quoted(text)} has nothing that a voice can say in {language!r}; accepted: {accepted}")
    return Speakable(spoken, tuple(warnings))


def _form(character: str, script: Script | None, language: str) -> str | None:
    """Return what stands for ``character``; None where it is to be left out."""
    if character.isspace():
        return "\n" if character in "\n\u2029" else " "
    category = unicodedata.category(character)
    if character == ZWNJ:
        return ZWNJ if language == "fa" else ""
    if category == "Cf" or character == "\N{VARIATION SELECTOR-16}":  # bidi marks and joiners, soft hyphens
        return ""
    if category[0] == "N":
        return str(unicodedata.decimal(character)) if category == "Nd" and language != "fa" else _compatible(character)
    if category[0] in "LM":
        if script is None or script.of(character) or (category[0] == "M" and character.isprintable()):
            return character
        form = _compatible(character)
        return form if form != character and all(script.of(c) for c in form) else None
    if category[0] == "P" or category in ("Sm", "Sc") or character in "°^`":
        return character
    return None


def _compatible(character: str) -> str:
    return unicodedata.normalize("NFKC", character)


def _tidy(text: str) -> str:
    return _BLANKS.sub(" ", _REPEATS.sub(r"\1\1\1", text)).strip()


def _digits(match: re.Match[str]) -> str:
    return " " + " ".join(match[0].replace(",", "")) + " "


def _named(characters: list[str]) -> str:
    seen = "".join(dict.fromkeys(characters))
    return quoted(seen if len(seen) <= 10 else f"{seen[:10]}…")

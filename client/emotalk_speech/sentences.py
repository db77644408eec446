"""Ends of sentences: in a text, and in one that is still being written.

Theory of operation. A sentence ends behind ``. ! ? ؟ …`` and what closes them, before white space, and at the end of a
line. A period does not end one behind a title or an initial, before a small letter, or in a number; behind an
abbreviation that may stand last (Inc., U.S., a.m.) it does where the next word often opens a sentence. A sentence
longer than :data:`~emotalk_contract.speech.MAX_SENTENCE_CHARACTERS` is cut at its commas, then between words, then
anywhere, so that the time of one piece has a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from emotalk_contract.speech import MAX_SENTENCE_CHARACTERS

_END = re.compile(r"(?P<mark>[.!?؟…۔。！？]+)(?P<closers>[\"'”’»)\]]*)(?P<gap>\s+|$)|(?P<line>\s*\n\s*)")
_CLAUSE = re.compile(r"(?<=[,;:،؛—])\s+")
_WORD = re.compile(r"\S+$")
_SIGNS = re.compile(r"(?:[^\w\s\"'“”‘’«»(\[<@#$€£¥&+*/\\=~^%°{|_`-]+(?:\s+|$))*")
"""Signs in front of a sentence that have no sound."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


TITLES = _set(
    "mr mrs ms dr prof rev hon st sr jr gen col capt lt sgt maj cmdr adm gov sen rep pres mt ft ave blvd no nos vol "
    "fig figs eq ch pp ed eds vs cf approx est dept "
    "jan feb mar apr jun jul aug sep sept oct nov dec e.g i.e viz al ca"
)
"""Abbreviations that something follows."""
MAY_END = _set("inc ltd co corp llc etc a.m p.m u.s u.k u.n e.u d.c ph.d m.d b.a m.a bros")
"""Those that may stand last."""
OPENERS = _set(
    "the a an he she it i we you they this that these those there here but and so then if when what who why how where "
    "my his her our your their its in on at for with after before as no yes now one some many"
)
"""Words with which sentences often begin."""


def sentences(text: str, language: str) -> list[str]:
    """Return the sentences of ``text``, in order, none longer than a voice takes at once."""
    return [piece for sentence in _spoken(text, language) for piece in _pieces(sentence)]


class SentenceStream:
    """A text that comes in pieces, such as a language model's: sentences go out as soon as the next begins."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._text = ""

    def push(self, piece: str) -> list[str]:
        """Take in ``piece``; return the sentences that are complete by now."""
        self._text += piece
        complete = _spoken(self._text, self._language)
        open_ended = not self._text.endswith("\n")
        if not complete or (open_ended and len(complete) == 1 and len(self._text) <= MAX_SENTENCE_CHARACTERS):
            return []
        self._text = complete.pop() + _trailing(self._text) if open_ended else ""
        out = [piece for sentence in complete for piece in _pieces(sentence)]
        pieces = list(_pieces(self._text))
        if len(pieces) > 1:
            self._text = pieces.pop() + _trailing(self._text)
            out += pieces
        return out

    def flush(self) -> list[str]:
        """Return what is left: at the end, or where the writer pauses."""
        text, self._text = self._text, ""
        return sentences(text, self._language)


def _trailing(text: str) -> str:
    return text[len(text.rstrip()) :]


def _spoken(text: str, language: str) -> list[str]:
    """Return the sentences; signs without a sound between two, such as an emoji, go with the one before."""
    found: list[str] = []
    for sentence in _split(text, language):
        signs = _SIGNS.match(sentence)
        assert signs is not None  # noqa: S101  # it may be empty
        if found and (signs[0].strip() or signs.end() == len(sentence)):
            found[-1] = f"{found[-1]} {signs[0].strip()}"
            sentence = sentence[signs.end() :]
        if sentence:
            found.append(sentence)
    return found


def _split(text: str, language: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(text):
        if match["line"] is None and not _ends(text, match, language):
            continue
        if sentence := text[start : match.end()].strip():
            yield sentence
        start = match.end()
    if rest := text[start:].strip():
        yield rest


def _ends(text: str, match: re.Match[str], language: str) -> bool:
    """Return whether the mark of ``match`` ends a sentence."""
    following = text[match.end() :].lstrip("\"'“‘«([")
    if not following:
        return True
    if following[0].islower():
        return False
    if match["mark"] != ".":
        return True
    before = _WORD.search(text, max(0, match.start() - 40), match.start())
    word = before[0].lstrip("\"'“‘«([").casefold() if before else ""
    if len(word) == 1 and (language == "fa" or before is None or before[0][-1].isupper()):
        return word == "i"
    if word in TITLES and language != "fa":
        return word == "no" and _opens(following)
    if word in MAY_END or re.fullmatch(r"(?:\w\.)+\w", word):
        return _opens(following)
    return True


def _opens(following: str) -> bool:
    return re.split(r"\W", following, maxsplit=1)[0].casefold() in OPENERS


def _pieces(sentence: str) -> Iterator[str]:
    """Yield ``sentence``, or parts of it that are short enough."""
    if len(sentence) <= MAX_SENTENCE_CHARACTERS:
        if sentence.strip():
            yield sentence
        return
    piece = ""
    for part in _shorter(sentence):
        joined = f"{piece} {part}" if piece else part
        if len(joined) > MAX_SENTENCE_CHARACTERS:
            yield piece
            piece = part
        else:
            piece = joined
    if piece:
        yield piece


def _shorter(sentence: str) -> Iterator[str]:
    for clause in _CLAUSE.split(sentence):
        if len(clause) <= MAX_SENTENCE_CHARACTERS:
            yield clause
            continue
        for word in clause.split():
            for start in range(0, len(word), MAX_SENTENCE_CHARACTERS):
                yield word[start : start + MAX_SENTENCE_CHARACTERS]

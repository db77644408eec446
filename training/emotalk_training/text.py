"""Sentences to read aloud.

English: the example sentences of WordNet (Debian ``wordnet-base``). Other languages: word lists (Debian ``wngerman``,
``wspanish``, …, ``aspell-fa``), strung together: nonsense, but in that language's sounds.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import zlib
from functools import cache
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
WORD_LISTS: dict[str, str] = {
    "de": "ngerman", "es": "spanish", "fr": "french", "it": "italian", "pt": "portuguese", "nl": "dutch",
    "sv": "swedish", "pl": "polish",
}  # fmt: skip
"""espeak-ng's language to the file in /usr/share/dict."""

TEST_PERCENT = 4


class MissingTextError(RuntimeError):
    """No text to read: names the package that brings it."""


def is_test(sentence: str) -> bool:
    """Tell whether a sentence belongs to the test sets: decided by the sentence alone, for ever."""
    return zlib.crc32(sentence.encode()) % 100 < TEST_PERCENT


@cache
def english() -> tuple[str, ...]:
    """All usable WordNet examples: quoted, 4 to 22 words, plain letters.

    Raises:
        MissingTextError: WordNet is not installed.
    """
    if not WORDNET.is_dir():
        raise MissingTextError(f"{WORDNET} is missing; install the Debian package wordnet-base")
    found: dict[str, None] = {}
    for part in ("adj", "adv", "noun", "verb"):
        for line in (WORDNET / f"data.{part}").read_text(encoding="latin-1").splitlines():
            for sentence in re.findall(r'"([^"]+)"', line.partition("|")[2]):
                if re.fullmatch(r"[A-Za-z][A-Za-z ,.'?!;-]+", sentence) and 4 <= len(sentence.split()) <= 22:
                    found[sentence] = None
    return tuple(found)


@cache
def _words(language: str) -> tuple[str, ...]:
    if language == "fa":
        aspell = shutil.which("aspell")
        if not aspell:
            raise MissingTextError("aspell is missing; install the Debian packages aspell and aspell-fa")
        dump = subprocess.run([aspell, "-l", "fa", "dump", "master"], capture_output=True, check=True, text=True).stdout
        words = [w.partition("/")[0] for w in dump.split()]
    else:
        path = Path("/usr/share/dict") / WORD_LISTS[language]
        if not path.is_file():
            raise MissingTextError(f"{path} is missing; install that language's Debian word list")
        raw = path.read_bytes()
        try:
            words = raw.decode("utf-8").split()
        except UnicodeDecodeError:  # Debian's Swedish list
            words = raw.decode("latin-1").split()
    return tuple(w for w in words if 2 <= len(w) <= 14 and w.isalpha())


def sentence(rng: random.Random, test: bool = False) -> str:
    """One or two English sentences of the test or the training part."""
    pool = english()
    chosen: list[str] = []
    while len(chosen) < rng.choice([1, 1, 2]):
        candidate = rng.choice(pool)
        if is_test(candidate) == test:
            chosen.append(candidate[0].upper() + candidate[1:].rstrip(".") + ("" if candidate[-1] in "?!" else "."))
    return " ".join(chosen)


@cache
def _part(language: str, test: bool) -> tuple[str, ...]:
    return tuple(w for w in _words(language) if is_test(w) == test)


def nonsense(rng: random.Random, language: str, test: bool = False) -> str:
    """Four to eleven words of a language, of the test or the training part, with a comma now and then."""
    words = [rng.choice(_part(language, test)) for _ in range(rng.randint(4, 11))]
    if len(words) > 6:
        words[3] += ","
    return " ".join(words) + "."


_SYLLABLES = ("{v}", "{v}", "m{v}", "b{v}", "p{v}", "w{v}", "n{v}", "d{v}", "l{v}", "f{v}", "{v}m")
_VOWELS = ("A:", "i:", "u:", "O:", "E", "oU", "@", "I")


def syllables(rng: random.Random) -> str:
    """One to three vowels or syllables, said again and again, in espeak-ng's own letters for English.

    Read sentences have no "oo oo oo", and a network that was shown music takes it for an instrument.
    """
    said = [rng.choice(_SYLLABLES).format(v=rng.choice(_VOWELS)) for _ in range(rng.randint(1, 3))]
    pause = rng.choice([",", ".", ""])
    return " ".join(f"[[{rng.choice(said)}]]{pause}" for _ in range(rng.randint(4, 10)))

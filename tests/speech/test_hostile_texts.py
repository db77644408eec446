"""Texts that nobody would write: each becomes sound or a typed error, in time. As a program it tries more."""

import random
import sys
import time

import pytest

from emotalk_contract.errors import InvalidRequest
from emotalk_speech import speak
from emotalk_speech.engines import Voices

pytestmark = pytest.mark.unit

TEXTS = 20
MOST_S = 2.0
"""Of processor time for one sentence."""
SENTENCES = 2
"""Of one text that are said."""
WORDS = [
    "hello",
    "pumpkin",
    "Dr.",
    "3.50",
    "$1,000",
    "1/2/2024",
    "10:30",
    "U.S.",
    "naïve",
    "Ω",
    "½",
    "m²",
    "a@b.c",
    "&amp;",
]
CONTROLS = "\u202e\u202d\u2066\u2069\u200b\u200c\u200d\ufeff\u0300\u0489"
MARKUP = "<speak><break time='1s'/></speak><say-as interpret-as='cardinal'>"


def a_text(draw):
    """Return a text of up to four kinds of pieces."""
    kinds = [
        lambda: chr(draw.randrange(0x20)),
        lambda: draw.choice(CONTROLS),
        lambda: chr(draw.randrange(0x600, 0x700)),
        lambda: chr(draw.randrange(0x1F300, 0x1FAFF)),
        lambda: draw.choice(MARKUP),
        lambda: chr(draw.choice([draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)])),
        lambda: draw.choice(WORDS) + " ",
        lambda: str(draw.randrange(10 ** draw.choice([1, 4, 20, 400]))) + " ",
        lambda: draw.choice("!?.,;:—…\"'()[]{}#$%^&*~`|\\/"),
        lambda: "a" * draw.randrange(1, 400),
        lambda: draw.choice(["سلام ", "می روم ", "۱۲۳۴ ", "۳.۵ ", "\u200c"]),
        lambda: "1," * draw.randrange(200),
        lambda: "$" + "9" * draw.randrange(1, 300) + ".99 million ",
    ]
    chosen = draw.sample(kinds, draw.randrange(1, 5))
    return "".join(draw.choice(chosen)() for _ in range(draw.choice([1, 3, 10, 40, 120])))


def outcome(text, voices):
    """Return the class of what came of ``text``, and the longest time of a sentence."""
    longest, began = 0.0, time.process_time()
    kind = "sound"
    try:
        for number, said in enumerate(speak(text, "en", voices)):
            assert len(said.audio)
            longest, began = max(longest, time.process_time() - began), time.process_time()
            if number == SENTENCES:
                break
    except InvalidRequest as error:
        kind = type(error).__name__
    return kind, max(longest, time.process_time() - began)


@pytest.fixture(scope="module")
def voices():
    pytest.importorskip("hibari", reason="the voice is not installed: pip install '.[text]'")
    voices = Voices()
    voices.find(None, "en")
    return voices


def test_hostile_texts_become_sound_or_a_typed_error(voices):
    draw = random.Random(7)
    for _ in range(TEXTS):
        text = a_text(draw)
        _, longest = outcome(text, voices)
        assert longest < MOST_S, text


def test_a_million_characters_are_refused(voices):
    assert outcome("word " * 200_000, voices)[0] == "TextTooLong"


if __name__ == "__main__":
    many, drawn, made = int(sys.argv[1]), random.Random(int(sys.argv[2])), Voices()
    found = [outcome(a_text(drawn), made) for _ in range(many)]
    counts = {kind: sum(k == kind for k, _ in found) for kind in {kind for kind, _ in found}}
    sys.stdout.write(f"{many} texts: {counts}; longest sentence {max(longest for _, longest in found):.2f} s\n")

"""Ends of sentences: English, Persian, and a text that is still being written."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_contract.speech import MAX_SENTENCE_CHARACTERS
from emotalk_speech.sentences import SentenceStream, sentences

pytestmark = pytest.mark.unit

ENGLISH = [
    ["Hello there.", "How are you?"],
    ["Dr. Smith met Mrs. Jones at 5 p.m. on Monday.", "They talked!"],
    ["It costs $3.50 in the U.S. Government shops.", "Nobody buys it."],
    ["J. R. R. Tolkien wrote it.", "Did he?"],
    ["He works at Apple Inc.", "She does not."],
    ["We left at 7 a.m.", "It was cold."],
    ["See fig. 3 and No. 7, e.g. the red one."],
    ["“Stop!” he said.", "She did not…", "Why not?"],
    ["Version 3.11.4 is out.", "Get it at example.com today."],
    ["Wait... what?", "Yes."],
]
PERSIAN = [
    ["سلام.", "حال شما چطور است؟", "من خوبم!"],
    ["دکتر ا. احمدی آمد.", "او رفت."],
    ["عدد ۳.۵ بزرگ است.", "بله."],
    ["ساعت ۱۰:۳۰ بود.", "هوا سرد بود."],
]


@pytest.mark.parametrize("expected", ENGLISH, ids=lambda e: e[0][:20])
def test_english(expected):
    assert sentences(" ".join(expected), "en") == expected


@pytest.mark.parametrize("expected", PERSIAN, ids=range(len(PERSIAN)))
def test_persian(expected):
    assert sentences(" ".join(expected), "fa") == expected


def test_a_line_ends_a_sentence():
    assert sentences("A heading\n\nand a text", "en") == ["A heading", "and a text"]


def test_signs_without_a_sound_go_with_the_sentence_before():
    assert sentences("Hello! 😀 How are you?", "en") == ["Hello! 😀", "How are you?"]


@given(st.text(st.characters(codec="utf-8"), max_size=2000))
def test_nothing_is_lost_and_no_piece_is_too_long(text):
    pieces = sentences(text, "en")
    assert all(0 < len(piece) <= MAX_SENTENCE_CHARACTERS for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize("expected", [ENGLISH[0], ENGLISH[1], ENGLISH[9], PERSIAN[0]], ids=range(4))
def test_a_stream_gives_the_same_sentences_wherever_it_is_cut(expected):
    text = " ".join(expected)
    for seed in range(20):
        cuts = random.Random(seed)
        stream, out, at = SentenceStream("en"), [], 0
        while at < len(text):
            step = cuts.randint(1, 7)
            out += stream.push(text[at : at + step])
            at += step
        assert out + stream.flush() == expected


def test_a_stream_gives_a_sentence_when_the_next_begins():
    stream = SentenceStream("en")
    assert stream.push("Hello there. ") == []
    assert stream.push("H") == ["Hello there."]
    assert stream.flush() == ["H"]


def test_a_stream_without_ends_gives_pieces():
    stream = SentenceStream("en")
    out = [piece for _ in range(300) for piece in stream.push("word, ")]
    assert out
    assert all(len(piece) <= MAX_SENTENCE_CHARACTERS for piece in out)
    assert "".join("".join([*out, *stream.flush()]).split()) == "word," * 300

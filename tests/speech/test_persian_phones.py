"""Persian words through espeak-ng, and what the voice makes of its phones."""

import shutil
from pathlib import Path

import pytest

from emotalk_speech.engines import espeak
from emotalk_speech.engines.hibari import TRAINED, as_trained
from emotalk_speech.persian import spoken

pytestmark = pytest.mark.unit

WORDS = [
    line.split() for line in (Path(__file__).parents[1] / "data/text/fa_words.txt").read_text("utf-8").splitlines()
]
PLAIN = {"tʃ": "C", "dʒ": "J", "ʃ": "S", "ɑ": "A", "j": "y", "ɹ": "r", "ɡ": "g", "ˈ": "", "ˌ": "", "ː": "", "ʔ": ""}
"""IPA to the letters in which the words' phones are written."""


def plain(phones):
    for ipa, letter in PLAIN.items():
        phones = phones.replace(ipa, letter)
    return phones.replace(" ", "")


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_words_have_their_phones():
    told = {word: plain("".join(espeak.phones(spoken(word), "fa"))) for word, _ in WORDS}
    wrong = {word: told[word] for word, phones in WORDS if told[word] != phones}
    assert len(wrong) <= 0.05 * len(WORDS), wrong


def test_only_symbols_that_the_voice_knows_are_left():
    said = as_trained("tʃˈɑːj dʒaˈvɑn xˈɑne q1ˈoɹ ʒɣʔ")
    assert said == "ʧˈɑj ʤæˈvɑn hˈɑnɛ ɡˈOɹ ʒɡʔ"
    assert set(said) <= TRAINED

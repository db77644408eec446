"""The model without Triton: inputs and outputs by name, and a bound on what waits."""

import threading

import numpy as np
import pytest

from emotalk_contract import speech
from emotalk_contract.errors import EmptyText, InvalidShape, SpeedOutOfRange, UnknownVoice, UnspeakableText
from emotalk_speech.serving import AT_ONCE, MOST_WAITING, Speakers
from emotalk_speech.voice import Sound

pytestmark = pytest.mark.unit


class Tones:
    """A voice of our own, for tests: a tenth of a second a word."""

    languages = frozenset({"en"})

    def find(self, name, language):  # noqa: ARG002  # a set of voices' own
        if name not in (None, "tones"):
            raise UnknownVoice(name)
        return self

    def say(self, sentence, language, speed, seed):  # noqa: ARG002  # the protocol's
        length = round(800 * len(sentence.split()) / speed)
        return Sound(np.sin(np.arange(length) / 5 + seed).astype(np.float32), 8000)


def texts(*items):
    return np.array([item if isinstance(item, bytes) else item.encode() for item in items], np.object_)


@pytest.fixture
def speakers():
    speakers = Speakers(Tones())
    yield speakers
    speakers.close()


def test_each_sentence_is_an_answer(speakers):
    answers = list(speakers.sentences({"TEXT": texts("One. Two words.")}))
    assert [answer["SENTENCE"][0] for answer in answers] == [b"One.", b"Two words."]
    assert set(answers[0]) == {tensor.name for tensor in speech.SPEECH.outputs}
    assert answers[0]["AUDIO"].dtype == np.int16
    assert answers[0]["SAMPLE_RATE"].tolist() == [8000]
    assert answers[0]["WORD_TIMES"].shape == (0, 2)


def test_options_are_taken(speakers):
    slow, fast = (
        next(speakers.sentences({"TEXT": texts("One two three four."), "SPEED": np.array([speed], np.float32)}))
        for speed in (0.5, 2.0)
    )
    assert len(slow["AUDIO"]) - len(fast["AUDIO"]) == pytest.approx(4800, abs=100)


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({"TEXT": texts("")}, EmptyText),
        ({"TEXT": texts(b"\xff\xfe")}, UnspeakableText),
        ({"TEXT": texts("a", "b")}, InvalidShape),
        ({"TEXT": texts("a"), "SPEED": np.array([np.nan], np.float32)}, SpeedOutOfRange),
        ({"TEXT": texts("a"), "VOICE": texts("other")}, UnknownVoice),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_said(speakers, inputs, error):
    with pytest.raises(error):
        next(speakers.sentences(inputs))


def test_one_text_too_many_is_refused_and_room_comes_back(speakers):
    go = threading.Event()
    done = [threading.Event() for _ in range(MOST_WAITING)]

    def work(number):
        go.wait()
        done[number].set()

    assert all(speakers.submit(lambda n=number: work(n)) for number in range(MOST_WAITING))
    assert not speakers.submit(lambda: None)
    go.set()
    for event in done:
        event.wait()
    free = threading.Event()
    while not speakers.submit(free.set):
        pass
    free.wait()


def test_a_mistake_ends_one_text_only(speakers, caplog):
    for _ in range(2 * AT_ONCE):
        speakers.submit(lambda: 1 / 0)
    after = threading.Event()
    assert speakers.submit(after.set)
    assert after.wait(10)


def test_closing_ends_a_text_after_its_sentence():
    speakers = Speakers(Tones())
    said = speakers.sentences({"TEXT": texts("One. Two. Three.")})
    next(said)
    speakers.close()
    assert list(said) == []

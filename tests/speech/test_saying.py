"""The client's side of text in, against a transport that makes everything up."""

import asyncio

import numpy as np
import pytest
from fake import FakeTransport

from emotalk_client import AsyncEmoTalkClient
from emotalk_client.errors import ModelMissing, ServerUnavailable, UnexpectedResponse
from emotalk_client.saying import SOUNDS, Speech, Wanted, check_sound_path
from emotalk_contract import errors, speech
from emotalk_contract.utterance import Timed, Utterance

pytestmark = pytest.mark.unit

RATE = 16_000


def utterance(text, seconds=0.5):
    tone = (1000 * np.sin(np.arange(round(seconds * RATE)) / 5)).astype(np.int16)
    return Utterance(text, tone, RATE, (Timed(text, 0.25, 0.375),), (Timed("b", 0.25, 0.3125),), ("a warning",))


class SpeakingTransport(FakeTransport):
    """Says each sentence as half a second; ``script`` has an exception or an event for the number of a request."""

    def __init__(self, said=None, rates=None):
        super().__init__()
        self.said, self.rates = said or {}, rates or {}
        self.asked = []
        self.left = 0

    async def answers(self, inputs, timeout_s, model):  # noqa: ARG002  # the protocol's
        number = len(self.asked)
        self.asked.append(inputs)
        assert model is speech.SPEECH
        try:
            act = self.said.get(number)
            if isinstance(act, Exception):
                raise act
            for text in inputs["TEXT"][0].decode().split("|"):
                if isinstance(act, asyncio.Event) and text == "wait":
                    await act.wait()
                out = utterance(text, 5.0 if text == "long" else 0.5).tensors()
                if text in self.rates:
                    out["SAMPLE_RATE"] = np.array([self.rates[text]], np.int32)
                yield out
        finally:
            self.left += 1


def speaking(*arguments):
    transport = SpeakingTransport(*arguments)
    return AsyncEmoTalkClient("made-up", transport=transport), transport


async def test_sentences_lie_one_behind_the_other():
    made, _ = speaking()
    said = await made.say("one|two")
    assert len(said.audio) == RATE
    assert len(said.animation) == 30
    assert [word.start for word in said.words] == [0.25, 0.75]
    assert said.times()["words"][1] == {"word": "two", "start": 0.75, "end": 0.875}
    assert said.times()["phones"][0] == {"phone": "b", "start": 0.25, "end": 0.3125}
    assert said.warnings == ("a warning", "a warning")
    await made.close()


async def test_what_was_asked_for_is_sent():
    made, transport = speaking()
    await made.say("one", language="fa", voice="amir", speed=1.25, voice_seed=4)
    sent = transport.asked[0]
    assert sent["LANGUAGE"][0] == b"fa"
    assert sent["VOICE"][0] == b"amir"
    assert sent["SPEED"][0] == 1.25
    assert sent["SEED"][0] == 4
    await made.close()


async def test_a_stream_tells_of_a_sentence_before_the_next_is_said():
    waits = asyncio.Event()
    made, _ = speaking({0: waits})
    parts = made.say_stream("long|wait")
    assert (await anext(parts)).sentence.text == "long"
    frames = await asyncio.wait_for(anext(parts), 10)
    assert frames.frames[0].index == 0
    waits.set()
    rest = [part async for part in parts]
    assert sum(len(part.frames) for part in [frames, *rest]) == 165
    await made.close()


async def test_leaving_a_stream_ends_it():
    made, transport = speaking({0: asyncio.Event()})
    parts = made.say_stream("one|wait")
    await anext(parts)
    await asyncio.wait_for(parts.aclose(), 1)
    assert transport.left == 1
    await made.close()


async def test_a_failure_that_passes_is_tried_again_and_nothing_is_said_twice():
    made, transport = speaking({0: ServerUnavailable("gone")})
    assert [s.text for s in (await made.say("one|two")).sentences] == ["one", "two"]
    assert len(transport.asked) == 2
    await made.close()


async def test_a_server_without_voices_is_not_asked_again():
    made, transport = speaking({0: ModelMissing("no such model")})
    with pytest.raises(ModelMissing, match="--models core,live,speech"):
        await made.say("one")
    assert len(transport.asked) == 1
    await made.close()


@pytest.mark.parametrize("rate", [8000, 0, -1])
async def test_a_rate_that_cannot_be_is_an_error(rate):
    made, _ = speaking({}, {"two": rate})
    with pytest.raises(UnexpectedResponse):
        await made.say("one|two")
    with pytest.raises(UnexpectedResponse):
        _ = [part async for part in made.say_stream("one|two")]
    await made.close()


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"language": 3}, errors.UnknownLanguage),
        ({"voice": 3}, errors.UnknownVoice),
        ({"speed": "1"}, errors.SpeedOutOfRange),
        ({"speed": float("nan")}, errors.SpeedOutOfRange),
        ({"seed": 1.5}, errors.InvalidOption),
        ({"seed": True}, errors.InvalidOption),
    ],
)
def test_what_cannot_be_wanted(keywords, error):
    with pytest.raises(error):
        Wanted(**keywords)


@pytest.mark.parametrize("text", ["", "  \n", None, 7])
def test_a_text_without_anything_to_say(text):
    with pytest.raises(errors.EmptyText):
        Wanted().inputs(text)


def test_utterances_survive_the_wire():
    sent = utterance("سلام")
    back = Utterance.from_tensors(sent.tensors())
    assert (back.text, back.words, back.phones, back.warnings) == (sent.text, sent.words, sent.phones, sent.warnings)
    np.testing.assert_array_equal(back.audio, sent.audio)


@pytest.mark.parametrize(
    "broken",
    [
        {"WORD_TIMES": np.zeros((3, 2), np.float32)},
        {"PHONE_TIMES": np.full((1, 2), np.nan, np.float32)},
        {"AUDIO": np.zeros(0, np.int16)},
        {"SENTENCE": np.array([b"\xff"], np.object_)},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_what_no_model_would_send_is_refused(broken):
    with pytest.raises(ValueError, match=r"."):
        Utterance.from_tensors(utterance("one").tensors() | broken)


@pytest.mark.parametrize("suffix", SOUNDS)
def test_sound_is_written(suffix, tmp_path):
    import soundfile

    one = utterance("one")
    Speech(one.audio, RATE, None, (one,)).save_sound(tmp_path / f"voice{suffix}")
    audio, rate = soundfile.read(tmp_path / f"voice{suffix}")
    assert (len(audio), rate) == (len(one.audio), RATE)


def test_a_format_of_sound_that_is_not_written():
    from emotalk_client.errors import UnknownFormat

    with pytest.raises(UnknownFormat, match=r"\.mp3"):
        check_sound_path("voice.mp3")

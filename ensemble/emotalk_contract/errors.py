"""The mistakes a request can make. Each has its class; each message has the value and what is accepted.

::

    InvalidRequest (ValueError)
    ├── InvalidShape          a tensor of the wrong rank or length
    ├── AudioTooShort         fewer than 720 samples (what the model's recipe says)
    ├── AudioTooLong          more than 5000 frames
    ├── AudioNotFinite        NaN or infinity
    ├── AudioOutOfRange       samples far outside -1..1
    ├── LevelOutOfRange       level outside 0..1
    ├── PersonOutOfRange      a person that the model does not have
    ├── InvalidStyle          not a blend of the model's persons
    ├── InputWithoutMeaning   a level or an emotion clip for a model that has neither
    ├── InvalidWindow         a window that does not lie in its clip
    ├── InvalidStatistics     statistics that no clip has
    ├── InvalidTicket         a TICKET that the server did not give
    ├── InvalidState          a STATE that no step of a live stream gave
    ├── StaleState            a STATE of other weights than those that are served
    ├── UnknownOption         a parameter that is not an option
    ├── InvalidOption         an option's value of the wrong type or range
    ├── UnknownBlendshape     a name that is none of the 52
    ├── UnknownFaceParameter  a name that is none of Audio2Face's face_params
    ├── UnknownEmotion        a name that is none of the ten
    ├── InvalidEmotionKey     an emotion key without a time or emotions
    ├── EmotionOutOfRange     an amount of an emotion outside 0..1
    ├── EmptyText             a text without anything to say
    ├── TextTooLong           more characters than one request may have
    ├── UnspeakableText       a text in a script that the voice cannot read
    ├── UnknownLanguage       a language that no voice speaks
    ├── UnknownVoice          a voice that the server does not have
    ├── SpeedOutOfRange       a speed of speech that no voice has
    └── VoiceNotInstalled     a voice that lacks a program or a library where the server runs

The server sends ``[ClassName] message``, and :func:`from_message` finds the class again on the other side.
"""

from __future__ import annotations

import re


class InvalidRequest(ValueError):
    """A request that cannot be served as it stands; others are not affected."""

    def tagged(self) -> str:
        """Return the message with its class in front, as it travels."""
        return f"[{type(self).__name__}] {self}"


class InvalidShape(InvalidRequest):
    """A tensor of the wrong rank or length."""


class AudioTooShort(InvalidRequest):
    """Fewer samples than the convolutional frontend needs."""


class AudioTooLong(InvalidRequest):
    """More frames than one request may have."""


class AudioNotFinite(InvalidRequest):
    """A sample that is NaN or infinite."""


class AudioOutOfRange(InvalidRequest):
    """Samples far outside -1..1: integers that were not scaled."""


class LevelOutOfRange(InvalidRequest):
    """An emotion level outside 0..1."""


class PersonOutOfRange(InvalidRequest):
    """A speaking style that does not exist."""


class InvalidStyle(InvalidRequest):
    """Weights that are not a blend of the persons."""


class InputWithoutMeaning(InvalidRequest):
    """An input that the served model has no use for: a level or an emotion clip where there are no emotions."""


class InvalidWindow(InvalidRequest):
    """A window that does not lie in its clip or on the grid."""


class InvalidStatistics(InvalidRequest):
    """Statistics that no clip has: not finite, or a negative variance."""


class InvalidTicket(InvalidRequest):
    """A TICKET, sent to an inner model, that the server did not give or that came back before."""


class InvalidState(InvalidRequest):
    """A STATE that no step of a live stream gave, or that does not fit this one."""


class StaleState(InvalidRequest):
    """A STATE of other weights than those that are served: the stream is to be started again."""


class UnknownOption(InvalidRequest):
    """A request parameter that is not a post-processing option."""


class InvalidOption(InvalidRequest):
    """A post-processing option of the wrong type or out of range."""


class UnknownBlendshape(InvalidRequest):
    """A name that is none of the 52."""


class UnknownFaceParameter(InvalidRequest):
    """A name that is none of Audio2Face's face parameters."""


class UnknownEmotion(InvalidRequest):
    """An emotion's name that is none of the ten."""


class InvalidEmotionKey(InvalidRequest):
    """An entry of ``emotion_keys`` that does not have a time and emotions."""


class EmotionOutOfRange(InvalidRequest):
    """An amount of an emotion outside 0..1."""


class EmptyText(InvalidRequest):
    """A text without anything to say."""


class TextTooLong(InvalidRequest):
    """More characters than one request may have."""


class UnspeakableText(InvalidRequest):
    """A text in a script that the voice cannot read, or of nothing but signs."""


class UnknownLanguage(InvalidRequest):
    """A language that no voice of the server speaks."""


class UnknownVoice(InvalidRequest):
    """A voice that the server does not have."""


class SpeedOutOfRange(InvalidRequest):
    """A speed of speech that no voice has."""


class VoiceNotInstalled(InvalidRequest):
    """A voice that lacks a program or a library where the server runs."""


_CLASSES = {cls.__name__: cls for cls in InvalidRequest.__subclasses__()}
_TAG = re.compile(r"\[(\w+)\] (.*)", re.DOTALL)


def from_message(message: str) -> InvalidRequest | None:
    """Return the error that a server's message carries, or None if it carries none of these."""
    for match in _TAG.finditer(message):
        if cls := _CLASSES.get(match[1]):
            return cls(match[2])
    return None

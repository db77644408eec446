"""Text in: what is written becomes what is said, sentence by sentence, behind a small :class:`Voice`."""

from emotalk_speech.normalisation import normalise
from emotalk_speech.sentences import sentences
from emotalk_speech.speaking import speak
from emotalk_speech.voice import Sound, Voice

__all__ = ["Sound", "Voice", "normalise", "sentences", "speak"]

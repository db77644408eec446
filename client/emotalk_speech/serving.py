"""The model ``speech`` without Triton: tensors in, an iterator of tensors out, and the threads that it runs on."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from emotalk_contract import speech
from emotalk_contract.errors import InvalidRequest, InvalidShape, UnspeakableText
from emotalk_contract.limits import QUEUE_SIZE
from emotalk_contract.quoting import quoted
from emotalk_speech.engines import DEFAULT, Voices
from emotalk_speech.speaking import speak

logger = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
AT_ONCE = 4
"""Texts that are said at once; the others wait for a thread. A sentence takes hundredths of a second."""
MOST_WAITING = QUEUE_SIZE
"""Texts that are said and wait; one more is refused at once."""


class Speakers:
    """The voices of one server, and the threads that speak."""

    def __init__(self, voices: Voices) -> None:
        self._voices = voices
        self._closed = threading.Event()
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="speech")

    @classmethod
    def from_environment(cls) -> Speakers:
        """Return those of :data:`emotalk_contract.speech.VOICES_VARIABLE`, the default voice loaded where it can be."""
        voices = Voices(named(os.environ.get(speech.VOICES_VARIABLE, "")))
        try:
            voices.find(DEFAULT, speech.DEFAULT_LANGUAGE).say("Ready.", speech.DEFAULT_LANGUAGE, 1.0, 0)
        except InvalidRequest as error:  # said to whoever asks for it; others have voices of their own
            logger.warning("%s", error)
        return cls(voices)

    def submit(self, work: Callable[[], None]) -> bool:
        """Run ``work`` on one of the threads; False where :data:`MOST_WAITING` wait already."""
        if not self._room.acquire(blocking=False):
            return False
        self._threads.submit(work).add_done_callback(self._done)
        return True

    def _done(self, future: Future[None]) -> None:
        self._room.release()
        if not future.cancelled() and (error := future.exception()) is not None:
            logger.error("a text could not be answered", exc_info=error)

    def close(self) -> None:
        """Let the sentences that are being said end, and nothing begin any more."""
        self._closed.set()
        self._threads.shutdown(cancel_futures=True)

    def sentences(self, inputs: Mapping[str, NDArray[Any]]) -> Iterator[Arrays]:
        """Yield the outputs for each sentence of a request; raises as :func:`~emotalk_speech.speaking.speak`."""
        language = _text(inputs, speech.LANGUAGE.name) or speech.DEFAULT_LANGUAGE
        speed = float(_one(inputs, speech.SPEED.name, speech.DEFAULT_SPEED))
        seed = int(_one(inputs, speech.SEED.name, 0))
        voice = _text(inputs, speech.VOICE.name)
        text = _text(inputs, speech.TEXT.name) or ""
        for utterance in speak(text, language, self._voices, voice, speed, seed):
            yield utterance.tensors()
            if self._closed.is_set():
                return


def named(said: str) -> dict[str, str]:
    """Return ``"amir=piper:/voices/amir.onnx;…"`` as a mapping."""
    pairs = (entry.partition("=") for entry in said.split(";") if entry.strip())
    return {name.strip(): engine.strip() for name, _, engine in pairs}


def _one(inputs: Mapping[str, NDArray[Any]], name: str, default: float) -> Any:
    if name not in inputs:
        return default
    if inputs[name].size != 1:
        raise InvalidShape(f"{name} has shape {list(inputs[name].shape)}; accepted: [1]")
    return inputs[name].ravel()[0]


def _text(inputs: Mapping[str, NDArray[Any]], name: str) -> str | None:
    value = _one(inputs, name, 0)
    if not isinstance(value, bytes):
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UnspeakableText(f"{name} is {quoted(value[:40])}; accepted: UTF-8") from None

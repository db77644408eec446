"""The model ``speech``: text in; sentence by sentence, sound and the times of what is said.

It is decoupled: one request has as many responses as the text has sentences, over Triton's gRPC stream or
``/v2/models/speech/generate_stream``. It belongs to no network of faces, and is served where it was asked for
(``emotalk-server --models core,live,speech``). Its tensors have no batch axis.
"""

from __future__ import annotations

from emotalk_contract.protobuf_text import Enum, Value, dumps
from emotalk_contract.tensors import Model, Tensor

GROUP = "speech"
"""Of models, as ``--models`` names it."""
VOICES_VARIABLE = "EMOTALK_VOICES"
"""Of the server's environment: voices beside its own, ``NAME=ENGINE:WHERE`` separated by ``;``."""

DEFAULT_LANGUAGE = "en"
DEFAULT_SPEED = 1.0
MIN_SPEED, MAX_SPEED = 0.5, 2.0
MAX_TEXT_CHARACTERS = 20_000
"""Of one request: about 20 minutes of speech."""
MAX_SENTENCE_CHARACTERS = 300
"""A longer one is said in pieces, cut at its commas."""

TEXT = Tensor("TEXT", "BYTES", (1,), f"UTF-8, at most {MAX_TEXT_CHARACTERS} characters")
LANGUAGE = Tensor("LANGUAGE", "BYTES", (1,), f"such as `en` or `fa`; default `{DEFAULT_LANGUAGE}`", optional=True)
VOICE = Tensor("VOICE", "BYTES", (1,), "a name that the server knows; default: the language's own", optional=True)
SPEED = Tensor("SPEED", "FP32", (1,), f"{MIN_SPEED:g}..{MAX_SPEED:g}; default {DEFAULT_SPEED:g}", optional=True)
SEED = Tensor(
    "SEED", "INT64", (1,), "of the voice's noise; default 0: the same text gives the same bytes", optional=True
)

SENTENCE = Tensor("SENTENCE", "BYTES", (1,), "what is said, as it was written")
SOUND = Tensor("AUDIO", "INT16", ("samples",), "mono, full scale")
SOUND_RATE = Tensor("SAMPLE_RATE", "INT32", (1,), "Hertz")
WORDS = Tensor("WORDS", "BYTES", ("words",), "in order; none from a voice that does not tell times")
WORD_TIMES = Tensor("WORD_TIMES", "FP32", ("words", 2), "seconds from AUDIO's first sample: start and end")
PHONES = Tensor("PHONES", "BYTES", ("phones",), "likewise, in the voice's own alphabet of IPA")
PHONE_TIMES = Tensor("PHONE_TIMES", "FP32", ("phones", 2), "likewise")
WARNINGS = Tensor("WARNINGS", "BYTES", ("warnings",), "what was left out of the sentence, in words")

SPEECH = Model(
    "speech",
    (TEXT, LANGUAGE, VOICE, SPEED, SEED),
    (SENTENCE, SOUND, SOUND_RATE, WORDS, WORD_TIMES, PHONES, PHONE_TIMES, WARNINGS),
)

_TYPES = {
    "BYTES": "TYPE_STRING",
    "INT16": "TYPE_INT16",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
    "FP32": "TYPE_FP32",
}


def config() -> str:
    """Return the model's ``config.pbtxt``, without a header."""
    return dumps(
        {
            "name": SPEECH.name,
            "backend": "python",
            "max_batch_size": 0,
            "input": [_entry(tensor) for tensor in SPEECH.inputs],
            "output": [_entry(tensor) for tensor in SPEECH.outputs],
            "model_transaction_policy": {"decoupled": True},
            "instance_group": [{"count": 1, "kind": Enum("KIND_CPU")}],
        }
    )


def _entry(tensor: Tensor) -> dict[str, Value]:
    dims = [axis if isinstance(axis, int) else -1 for axis in tensor.axes]
    message: dict[str, Value] = {"name": tensor.name, "data_type": Enum(_TYPES[tensor.datatype]), "dims": dims}
    return message | {"optional": True} if tensor.optional else message

"""Names, types and shapes of every tensor, model by model, and how the ensemble joins them.

Axes that vary are written as words (``samples``, ``features``, ``frames``, ``steps``); widths that a checkpoint decides
are words too, and :class:`~emotalk_ensemble.contract.recipe.Widths` has their numbers. The batch axis comes first and
is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emotalk_ensemble.arkit import BLENDSHAPE_COUNT
from emotalk_ensemble.contract.limits import LEVELS, PERSONS

DataType = Literal["FP32", "FP64", "INT32", "INT64"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a model."""

    name: str
    datatype: DataType
    axes: tuple[int | str, ...]
    """Sizes, or the name of an axis that varies."""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the repository."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def tensor(self, name: str) -> Tensor:
        """The input or output called ``name``."""
        return next(t for t in (*self.inputs, *self.outputs) if t.name == name)


# What a caller sends and gets ------------------------------------------------------------------

AUDIO = Tensor("AUDIO", "FP32", ("samples",))
"""Mono, 16 kHz, -1..1."""
LEVEL = Tensor("LEVEL", "FP32", (1,), optional=True)
"""Emotion level 0..1, continuous; default 1."""
PERSON = Tensor("PERSON", "INT32", (1,), optional=True)
"""Speaking style 0..23; default 0."""
STYLE = Tensor("STYLE", "FP32", (PERSONS,), optional=True)
"""A blend of persons, instead of PERSON: 24 weights >= 0 that sum to 1."""
EMOTION_AUDIO = Tensor("EMOTION_AUDIO", "FP32", ("emotion_samples",), optional=True)
"""Another clip to take the emotion from."""
START_FRAME = Tensor("START_FRAME", "INT64", (1,), optional=True)
"""Absolute frame at which this window starts: a multiple of 3; default 0."""
CLIP_SAMPLES = Tensor("CLIP_SAMPLES", "INT64", (1,), optional=True)
"""Samples of the whole clip. Left out with START_FRAME: a live stream, whose end is not known."""
CLIP_STATS = Tensor("CLIP_STATS", "FP32", (2,), optional=True)
"""Mean and population variance of the whole clip; default: the window's own."""

BLENDSHAPES = Tensor("BLENDSHAPES", "FP32", ("frames", BLENDSHAPE_COUNT))
"""Weights in EmoTalk order."""
TIMECODES = Tensor("TIMECODES", "FP64", ("frames",))
"""Seconds: absolute frame / 30."""

# What the models hand to each other --------------------------------------------------------------

NETWORK_AUDIO = Tensor("NETWORK_AUDIO", "FP32", ("network_samples",))
"""Normalised audio; where an emotion clip was given, it follows the speech (see ``preprocess``)."""
CONTENT_FEATURES = Tensor("CONTENT_FEATURES", "FP32", ("features", "content_features"))
EMOTION_FEATURES = Tensor("EMOTION_FEATURES", "FP32", ("features", "emotion_features"))
CONTENT_POSITIONS = Tensor("CONTENT_POSITIONS", "FP32", ("frames",))
EMOTION_POSITIONS = Tensor("EMOTION_POSITIONS", "FP32", ("steps",))
EMOTION_FRAME_POSITIONS = Tensor("EMOTION_FRAME_POSITIONS", "FP32", ("frames",))
CONTENT = Tensor("CONTENT", "FP32", ("frames", "content"))
EMOTION = Tensor("EMOTION", "FP32", ("frames", "emotion"))
LEVEL_CODE = Tensor("LEVEL_CODE", "FP32", (LEVELS,))
"""``[1 - level, level]``."""
STYLE_CODE = Tensor("STYLE_CODE", "FP32", (PERSONS,))
"""One-hot of the person, or the blend."""
RAW_BLENDSHAPES = Tensor("RAW_BLENDSHAPES", "FP32", ("frames", BLENDSHAPE_COUNT))

# The models ------------------------------------------------------------------------------------

PREPROCESS = Model(
    "emotalk_preprocess",
    (AUDIO, LEVEL, PERSON, STYLE, EMOTION_AUDIO, START_FRAME, CLIP_SAMPLES, CLIP_STATS),
    (NETWORK_AUDIO, CONTENT_POSITIONS, EMOTION_POSITIONS, EMOTION_FRAME_POSITIONS, LEVEL_CODE, STYLE_CODE),
)
FRONTEND = Model("wav2vec_frontend", (NETWORK_AUDIO,), (CONTENT_FEATURES, EMOTION_FEATURES))
CONTENT_ENCODER = Model("wav2vec_content", (CONTENT_FEATURES, CONTENT_POSITIONS), (CONTENT,))
EMOTION_ENCODER = Model("wav2vec_emotion", (EMOTION_FEATURES, EMOTION_POSITIONS, EMOTION_FRAME_POSITIONS), (EMOTION,))
DECODER = Model("emotalk_decoder", (CONTENT, EMOTION, LEVEL_CODE, STYLE_CODE), (RAW_BLENDSHAPES,))
POSTPROCESS = Model("emotalk_postprocess", (RAW_BLENDSHAPES, START_FRAME), (BLENDSHAPES, TIMECODES))
ENSEMBLE = Model("emotalk", PREPROCESS.inputs, POSTPROCESS.outputs)

GRAPHS: tuple[Model, ...] = (FRONTEND, CONTENT_ENCODER, EMOTION_ENCODER, DECODER)
"""The networks, which an export writes as ONNX."""
STEPS: tuple[Model, ...] = (PREPROCESS, *GRAPHS, POSTPROCESS)
"""What the ensemble runs; tensors of one name are joined."""

"""Names, types and shapes of every tensor, model by model, and how the ensemble joins them.

Axes that vary are written as words (``samples``, ``features``, ``frames``, ``steps``); widths that a checkpoint decides
are words too, and :class:`~emotalk_contract.recipe.Widths` has their numbers. The batch axis comes first and
is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.limits import LEVELS

DataType = Literal["FP32", "FP64", "INT16", "INT32", "INT64", "UINT8", "BYTES"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a model."""

    name: str
    datatype: DataType
    axes: tuple[int | str, ...]
    """Sizes, or the name of an axis that varies."""
    meaning: str
    """Unit, range and default, for people."""
    optional: bool = False
    """Of an input: it may be left out. Of an output: not every model has it."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the repository."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def tensor(self, name: str) -> Tensor:
        """The input or output called ``name``."""
        return next(t for t in (*self.inputs, *self.outputs) if t.name == name)


# Tensors of the ensemble: sent and received by callers --------------------------------------------

AUDIO = Tensor("AUDIO", "FP32", ("samples",), "mono, 16 kHz, -1..1")
LEVEL = Tensor(
    "LEVEL", "FP32", (1,), "emotion level 0..1, continuous; default 1; only where the model has levels", optional=True
)
PERSON = Tensor(
    "PERSON",
    "INT32",
    (1,),
    "speaking style, from 0 to one less than the model has (EmoTalk: 24); default 0",
    optional=True,
)
STYLE = Tensor(
    "STYLE",
    "FP32",
    ("styles",),
    "a blend of persons, instead of PERSON: a weight >= 0 for each, that sum to 1",
    optional=True,
)
EMOTION_AUDIO = Tensor(
    "EMOTION_AUDIO",
    "FP32",
    ("emotion_samples",),
    "another clip to take the emotion from, like AUDIO; only where the model has emotions",
    optional=True,
)
START_FRAME = Tensor(
    "START_FRAME",
    "INT64",
    (1,),
    "absolute frame at which this window of a longer clip starts, a multiple of 3; default 0",
    optional=True,
)
CLIP_SAMPLES = Tensor(
    "CLIP_SAMPLES",
    "INT64",
    (1,),
    "samples of the whole clip; left out beside START_FRAME: a live stream, whose end is not known",
    optional=True,
)
CLIP_STATS = Tensor(
    "CLIP_STATS",
    "FP32",
    ("statistics",),
    "of the whole clip, as the recipe's normalisation says: mean and population variance, or mean and root of the "
    "covariance of the first convolution's patches (emotalk_contract.clip_statistics); default: this window's own",
    optional=True,
)

BLENDSHAPES = Tensor(
    "BLENDSHAPES",
    "FP32",
    ("frames", BLENDSHAPE_COUNT),
    "weights of the 52 ARKit blendshapes, names in ASCII order, 0..1 unless `clamp` is false",
)
TIMECODES = Tensor("TIMECODES", "FP64", ("frames",), "seconds: absolute frame / 30")
EMOTIONS = Tensor(
    "EMOTIONS",
    "FP32",
    ("detected_emotions",),
    "the emotion that is heard: a probability for each of the recipe's `detected_emotions`, sum 1, over all frames; "
    "left out by a model that detects none",
    optional=True,
)

# Tensors of a live stream's steps -----------------------------------------------------------------

STEP_AUDIO = Tensor(
    "AUDIO",
    "FP32",
    ("step_samples",),
    "mono, 16 kHz, -1..1: the samples of the new features and `step_lead` (in the config) to either side of them",
)
STATE = Tensor(
    "STATE", "UINT8", ("state",), "what the step before gave, unchanged; left out: a stream begins", optional=True
)
STREAM_START = Tensor(
    "START_FRAME",
    "INT64",
    (1,),
    "without STATE: absolute frame at which the stream begins, a multiple of 3; default 0",
    optional=True,
)
STREAM_SAMPLES = Tensor(
    "CLIP_SAMPLES",
    "INT64",
    (1,),
    "with the last step: samples of the whole stream, from its START_FRAME on",
    optional=True,
)
NEXT_STATE = Tensor("STATE", "UINT8", ("state",), "what the next step is to bring")
STEP_BLENDSHAPES = Tensor(
    "BLENDSHAPES",
    "FP32",
    ("step_frames", BLENDSHAPE_COUNT),
    "weights of the frames that are final now; there may be none",
)
STEP_TIMECODES = Tensor("TIMECODES", "FP64", ("step_frames",), "seconds: absolute frame / 30")

# Tensors between the models -----------------------------------------------------------------------

NETWORK_AUDIO = Tensor(
    "NETWORK_AUDIO", "FP32", ("network_samples",), "normalised audio; an emotion clip, if any, follows the speech"
)
STATISTICS = Tensor("STATISTICS", "FP32", ("statistics",), "of the clip: CLIP_STATS, or this window's own")
TICKET = Tensor(
    "TICKET", "INT64", (1,), "number of the request, as emotalk_preprocess gave it: emotalk_postprocess takes each once"
)
CONTENT_FEATURES = Tensor(
    "CONTENT_FEATURES", "FP32", ("features", "content_features"), "the content encoder's convolutional features, 50 Hz"
)
EMOTION_FEATURES = Tensor(
    "EMOTION_FEATURES", "FP32", ("features", "emotion_features"), "the emotion encoder's convolutional features, 50 Hz"
)
CONTENT_POSITIONS = Tensor("CONTENT_POSITIONS", "FP32", ("frames",), "fractional feature index of each frame")
EMOTION_POSITIONS = Tensor(
    "EMOTION_POSITIONS", "FP32", ("steps",), "fractional feature index of each step of the emotion encoder"
)
EMOTION_FRAME_POSITIONS = Tensor(
    "EMOTION_FRAME_POSITIONS", "FP32", ("frames",), "fractional emotion step of each frame"
)
CONTENT = Tensor("CONTENT", "FP32", ("frames", "content"), "what is said, a vector a frame")
EMOTION = Tensor("EMOTION", "FP32", ("frames", "emotion"), "how it is felt, a vector a frame")
LEVEL_CODE = Tensor("LEVEL_CODE", "FP32", (LEVELS,), "[1 - level, level]")
STYLE_CODE = Tensor("STYLE_CODE", "FP32", ("styles",), "one-hot of the person, or the blend")
RAW_BLENDSHAPES = Tensor(
    "RAW_BLENDSHAPES", "FP32", ("frames", BLENDSHAPE_COUNT), "the decoder's own weights, unclamped"
)

# The graph of a step ------------------------------------------------------------------------------

CACHE = Tensor("CACHE", "FP32", ("cache",), "what the layers keep of the steps before; zeros at a beginning")
BOUNDS = Tensor(
    "BOUNDS",
    "FP32",
    (4,),
    "first and end of the stream's features, relative to the step's first; of its frames, to the first not final",
)
DRAIN = Tensor("DRAIN", "FP32", ("drain",), "zeros: as many features as are computed beyond the step's own")
STEP_POSITIONS = Tensor(
    "STEP_POSITIONS", "FP32", ("final",), "feature of each frame that becomes final, from the step's first on"
)
DRAIN_POSITIONS = Tensor("DRAIN_POSITIONS", "FP32", ("provisional",), "likewise, of the frames beyond")
STEP_EMOTION_POSITIONS = Tensor(
    "STEP_EMOTION_POSITIONS",
    "FP32",
    ("rows",),
    "likewise, of the frames that the emotion's layers take in: as many, and later by what they look ahead",
)
STEP_ROWS = Tensor("STEP_ROWS", "FP32", ("rows", BLENDSHAPE_COUNT), "raw weights, the provisional ones last")
NEXT_CACHE = Tensor("NEXT_CACHE", "FP32", ("cache",), "the CACHE of the next step")

# The models, as a recipe that asks for nothing else has them; emotalk_contract.pipeline has the others' --

PREPROCESS = Model(
    "emotalk_preprocess",
    (AUDIO, LEVEL, PERSON, STYLE, EMOTION_AUDIO, START_FRAME, CLIP_SAMPLES, CLIP_STATS),
    (NETWORK_AUDIO, CONTENT_POSITIONS, EMOTION_POSITIONS, EMOTION_FRAME_POSITIONS, LEVEL_CODE, STYLE_CODE, TICKET),
)
FRONTEND = Model("wav2vec_frontend", (NETWORK_AUDIO,), (CONTENT_FEATURES, EMOTION_FEATURES))
CONTENT_ENCODER = Model("wav2vec_content", (CONTENT_FEATURES, CONTENT_POSITIONS), (CONTENT,))
EMOTION_ENCODER = Model("wav2vec_emotion", (EMOTION_FEATURES, EMOTION_POSITIONS, EMOTION_FRAME_POSITIONS), (EMOTION,))
DECODER = Model("emotalk_decoder", (CONTENT, EMOTION, LEVEL_CODE, STYLE_CODE), (RAW_BLENDSHAPES,))
POSTPROCESS = Model("emotalk_postprocess", (RAW_BLENDSHAPES, START_FRAME, TICKET), (BLENDSHAPES, TIMECODES))
ENSEMBLE = Model("emotalk", PREPROCESS.inputs, (*POSTPROCESS.outputs, EMOTIONS))

LIVE = Model(
    "emotalk_live",
    (STEP_AUDIO, STATE, LEVEL, PERSON, STYLE, STREAM_START, STREAM_SAMPLES),
    (STEP_BLENDSHAPES, STEP_TIMECODES, NEXT_STATE),
)
"""A step of a live stream, of a network that streams: stateless as the rest, for the state travels with the caller."""

LIVE_GRAPH = Model(
    LIVE.name,
    (
        STEP_AUDIO,
        CACHE,
        BOUNDS,
        DRAIN,
        STEP_POSITIONS,
        DRAIN_POSITIONS,
        STEP_EMOTION_POSITIONS,
        LEVEL_CODE,
        STYLE_CODE,
    ),
    (STEP_ROWS, NEXT_CACHE),
)
"""The network in :data:`LIVE`, which runs in that model's own process."""

GRAPHS: tuple[Model, ...] = (FRONTEND, CONTENT_ENCODER, EMOTION_ENCODER, DECODER)
"""The networks, which an export writes as ONNX."""
STEPS: tuple[Model, ...] = (PREPROCESS, *GRAPHS, POSTPROCESS)
"""The models that the ensemble runs; tensors of one name are joined."""

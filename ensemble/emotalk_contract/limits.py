"""Limits of a request, and its defaults."""

from __future__ import annotations

from emotalk_contract.timing import FPS, SAMPLE_RATE

MIN_SAMPLES = 720
"""Samples (45 ms): the shortest input for which the frontend gives the two features that a frame grid needs."""
MAX_FRAMES = 5_000
"""Frames (166.7 s) of one request: the length of EmoTalk's own attention bias; memory grows with its square."""
MAX_SAMPLES = MAX_FRAMES * SAMPLE_RATE // FPS
"""Samples of one request."""
MAX_AMPLITUDE = 8.0
"""Audio is -1..1; resampling and mixing overshoot a little, unscaled integers by far."""
MAX_CLIP_SAMPLES = 2**40
"""Samples of a clip that a window may lie in (over two years): keeps absolute positions exact in 64 bits."""
MAX_START_FRAME = MAX_CLIP_SAMPLES * FPS // SAMPLE_RATE
"""Last absolute frame at which a window may start."""

PERSONS = 24
"""Speaking styles of a model whose recipe does not say."""
MAX_PERSONS = 10_000
"""Speaking styles of any model."""
LEVELS = 2
"""Width of the emotion level's code: ``[1 - level, level]``."""

DEFAULT_LEVEL = 1.0
DEFAULT_PERSON = 0
DEFAULT_SEED = 0
MAX_SEED = 2**63 - 1
MAX_GAIN = 1000.0
"""Largest factor or offset of a blendshape, either sign."""

MAX_OPTION_CHARACTERS = 2**16
"""Characters of an option that travels as JSON; all 52 names with full doubles are 3 kB."""
MAX_EMOTION_KEYS = 9000
"""Of one clip; five minutes with one a frame."""
MAX_EMOTION_KEYS_CHARACTERS = 2**20
"""As JSON; a key with ten full doubles is 0.3 kB."""
DEFAULT_EMOTION_TRANSITION_S = 0.5
MAX_EMOTION_TRANSITION_S = 10.0
MAX_EMOTION_STRENGTH = 2.0

MIN_EXPORT_FPS = 1
MAX_EXPORT_FPS = 240
"""Frames per second that a client may resample to."""

NORMALISATION_EPSILON = 1e-7
"""Added to the variance: (x - mean) / sqrt(var + 1e-7), as wav2vec 2.0 was trained."""

MAX_BATCH = 8
"""Items of one batch, on every model."""
MAX_STATE_BYTES = 69_632
"""Of a live stream's state."""
MAX_STEP_BATCH = 64
"""Steps of live streams that are computed together."""
QUEUE_SIZE = 100
"""Requests that compute and wait in the ensemble; one more is refused at once."""

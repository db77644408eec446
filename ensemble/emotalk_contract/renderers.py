"""Neural renderers: a user's own Wav2Lip or UNet-328, and the audio encoder that the latter listens through.

No weights of theirs come with this project. ``emotalk-export renderer`` writes a folder of them, and ``emotalk-server
--renderers DIR`` serves it beside the other models. Rule that this module guards: **their traps end at the export.**
Released networks differ in the order of their channels, in colours and in how sound is laid out; a served one never
does: RGB, 0..1, the picture with its mouth blacked out first, then the picture.

The sound of both is Wav2Lip's mel spectrogram at 25 windows a second (docs/renderers.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from emotalk_contract.protobuf_text import Enum, dumps
from emotalk_contract.quoting import quoted
from emotalk_contract.tensors import Model, Tensor
from emotalk_contract.timing import SAMPLE_RATE

VARIABLE = "EMOTALK_RENDERERS"
"""Of the environment: a folder of renderers, for a server that is started."""
NETWORK_FPS = 25
"""Pictures a second with which these networks were trained."""

# The mel spectrogram, in the order in which it is computed ----------------------------------------

PRE_EMPHASIS = 0.97
FFT_SAMPLES = 800
"""50 ms; so is the window."""
HOP_SAMPLES = 200
"""12.5 ms from one column to the next."""
MEL_RATE = SAMPLE_RATE // HOP_SAMPLES
"""Columns a second: 80."""
MELS = 80
"""Bands, on Slaney's scale."""
LOWEST_HZ, HIGHEST_HZ = 55.0, 7600.0
SMALLEST_MAGNITUDE = 1e-5
"""Below which a band counts as silent: -100 dB."""
REFERENCE_DB = 20.0
FLOOR_DB = -100.0
MEL_LIMIT = 4.0
"""Decibels from the floor to 0 are laid over -4..4, and clipped there."""
MEL_COLUMNS = 16
"""Of one window: 0.2 s."""

# Pictures ------------------------------------------------------------------------------------------

WAV2LIP_SIDE = 96
WAV2LIP_MASK_TOP = 48
"""First row that is blacked out."""
UNET_SIDE = 320
UNET_CROP_SIDE = 328
"""Of the crop, of which the network sees the inner 320: a rim of 4 stays as it is."""
UNET_RIM = (UNET_CROP_SIDE - UNET_SIDE) // 2
UNET_MASK = (5, 5, 314, 309)
"""Left, top, right, bottom of what is blacked out, both ends included."""
FEATURE_WIDTH = 512
"""Of the audio encoder."""
FEATURE_WINDOW = 16
"""Features that the UNet hears: eight pictures before, the picture's own, seven after."""
FEATURES_BEFORE = 8

# Models --------------------------------------------------------------------------------------------

MEL = Tensor("MEL", "FP32", (1, MELS, MEL_COLUMNS), "a window of the mel spectrogram, -4..4")
FACE = Tensor(
    "FACE",
    "FP32",
    (6, WAV2LIP_SIDE, WAV2LIP_SIDE),
    "RGB 0..1: the face with its lower half blacked out, then the face",
)
SMALL_IMAGE = Tensor("IMAGE", "FP32", (3, WAV2LIP_SIDE, WAV2LIP_SIDE), "RGB 0..1: the face with another mouth")
CROP = Tensor("CROP", "FP32", (6, UNET_SIDE, UNET_SIDE), "RGB 0..1: the crop with its mouth blacked out, then the crop")
FEATURES = Tensor("FEATURES", "FP32", (FEATURE_WINDOW, FEATURE_WIDTH), "what was heard around the picture, 25 a second")
LARGE_IMAGE = Tensor("IMAGE", "FP32", (3, UNET_SIDE, UNET_SIDE), "RGB 0..1: the crop with another mouth")
FEATURE = Tensor("FEATURE", "FP32", (FEATURE_WIDTH,), "what is heard in a window")

WAV2LIP = Model("wav2lip", (MEL, FACE), (SMALL_IMAGE,))
UNET328 = Model("unet328", (CROP, FEATURES), (LARGE_IMAGE,))
AVE = Model("ave", (MEL,), (FEATURE,))
MODELS: dict[str, Model] = {model.name: model for model in (WAV2LIP, UNET328, AVE)}

Renderer: TypeAlias = Literal["wav2lip", "unet328"]
"""Of which one is chosen; ``ave`` only listens."""
RENDERERS: tuple[Renderer, ...] = get_args(Renderer)
MAX_BATCHES = {WAV2LIP.name: 8, UNET328.name: 8, AVE.name: 64}
"""Items that are computed together, at most; a graph may have been fixed at 1 by whoever exported it."""

QUEUE_SIZES = {WAV2LIP.name: 64, UNET328.name: 64, AVE.name: 1024}
"""Requests that wait in a model, at most; one more is refused as busy. A crop has 2.5 MB."""

MANIFEST_NAME = "RENDERERS.json"
"""Beside the models."""
FORMAT = "emotalk-renderers"
FORMAT_VERSION = 1


class RenderersError(ValueError):
    """A RENDERERS.json that is missing, or is not what the export writes."""


@dataclass(frozen=True, slots=True)
class ServedRenderer:
    """A model as RENDERERS.json describes it."""

    sha256: str
    """Of the served graph."""
    bytes: int
    """Likewise."""
    batch: int
    """Most items at once."""
    source: str
    """Name of the user's file."""
    source_sha256: str
    """Of it."""
    channels: str = ""
    """The order that the user's network has: ``masked-first`` or ``crop-first``."""
    colours: str = ""
    """Likewise: ``bgr`` or ``rgb``."""
    audio: str = ""
    """The layout in which a ``unet328`` takes its features: ``window`` or ``tiled``."""
    licence: str = ""
    """In the user's words."""


def load_manifest(folder: Path) -> dict[str, ServedRenderer]:
    """Return what the folder's RENDERERS.json says, by model.

    Raises:
        RenderersError: it is missing, damaged, or another version's.
    """
    path = folder / MANIFEST_NAME
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT or content["version"] != FORMAT_VERSION:
            raise RenderersError(
                f"{path} is {quoted(content['format'])} of version {quoted(content['version'])}; accepted: "
                f"{FORMAT} of version {FORMAT_VERSION}"
            )
        found = {name: ServedRenderer(**facts) for name, facts in content["models"].items()}
    except OSError as error:
        raise RenderersError(
            f"{path} cannot be read ({error.strerror or error}); `emotalk-export renderer --output DIR` writes it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, RenderersError):
            raise
        raise RenderersError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    if unknown := [name for name in found if name not in MODELS]:
        raise RenderersError(f"{path} has the model {quoted(unknown[0])}; accepted: {', '.join(MODELS)}")
    return found


def save_manifest(folder: Path, models: Mapping[str, ServedRenderer]) -> None:
    """Write the folder's RENDERERS.json."""
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "models": {name: asdict(facts) for name, facts in sorted(models.items())},
    }
    (folder / MANIFEST_NAME).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def config(model: Model, batch: int, *, gpu: bool = False) -> str:
    """Return the ``config.pbtxt`` of ``model``, without a header; ``batch`` is the most that it computes at once."""
    session = {
        "intra_op_thread_count": "0",  # all cores
        "inter_op_thread_count": "1",
        "session.intra_op.allow_spinning": "0",  # idle threads must not eat the cores of the next model
    }
    return dumps(
        {
            "name": model.name,
            "backend": "onnxruntime",
            "default_model_filename": "model.onnx",
            "max_batch_size": batch,
            "input": [_entry(tensor) for tensor in model.inputs],
            "output": [_entry(tensor) for tensor in model.outputs],
            "instance_group": [{"count": 1, "kind": Enum("KIND_GPU" if gpu else "KIND_CPU")}],
            "dynamic_batching": {
                "max_queue_delay_microseconds": 0,
                "default_queue_policy": {"max_queue_size": QUEUE_SIZES[model.name]},
            },
            "parameters": [] if gpu else [{"key": k, "value": {"string_value": v}} for k, v in session.items()],
        }
    )


def _entry(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "data_type": Enum("TYPE_FP32"), "dims": list(tensor.axes)}

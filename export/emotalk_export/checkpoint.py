"""Checkpoint files: opening them safely, and EmoTalk's released layout.

Rule that this module guards: **nothing is loaded in silence.** Every key of a checkpoint is either used, known to be
of no use (and reported), or named in an error.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.limits import LEVELS, PERSONS
from emotalk_contract.timing import CONV_KERNELS
from emotalk_export.errors import (
    CheckpointMismatch,
    CheckpointNotFinite,
    CheckpointUnreadable,
    InvalidAttentionHeads,
    NotACheckpoint,
)
from emotalk_export.unpacking import unpacked

CONTENT_PREFIX = "audio_encoder_cont."
EMOTION_PREFIX = "audio_encoder_emo.wav2vec2."
CLASSIFIER_PREFIX = "audio_encoder_emo.classifier."
DECODER_PREFIX = "transformer_decoder.layers.0."

LEVEL_WIDTH = 32
"""Width of the level's and of the person's embedding in the released network."""

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Names under which training scripts keep the state_dict beside optimiser state."""
_PARALLEL = "module."
"""The prefix that torch's DataParallel puts before every key."""
_WEIGHT_NORM = {
    ".parametrizations.weight.original0": ".weight_g",
    ".parametrizations.weight.original1": ".weight_v",
}
"""The newer spelling of weight norm, and the released one."""
_UNNEEDED = re.compile(
    "|".join((rf"({re.escape(CONTENT_PREFIX)}|{re.escape(EMOTION_PREFIX)})(masked_spec_embed|lm_head\.(weight|bias))",))
)
"""Parts of the released checkpoint that no output depends on: leftovers of the pre-training."""


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A checkpoint file, opened."""

    path: Path
    sha256: str
    size: int
    """Bytes."""
    content: Mapping[str, Any] = field(repr=False)
    """The object that ``torch.save`` was given; tensors lie in the file until they are used (memory mapping)."""

    @property
    def format(self) -> str | None:
        """The name that this project's own layouts carry; None for a plain state_dict."""
        name = self.content.get("format")
        return name if isinstance(name, str) else None


@dataclass(frozen=True, slots=True)
class TrunkSize:
    """Sizes of one wav2vec 2.0 encoder."""

    conv: int
    """Channels of the convolutional frontend (512)."""
    hidden: int
    """Width of the transformer (1024)."""
    layers: int
    """Transformer layers (24)."""
    feed_forward: int
    """Width within a transformer layer's feed-forward part (4096)."""
    position_kernel: int
    """Taps of the position convolution (128)."""
    position_group: int
    """Channels of one of its groups (64: 16 groups)."""


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Every size of an EmoTalk network, all but one read off the checkpoint's shapes."""

    content: TrunkSize
    emotion: TrunkSize
    content_map: int
    """Width to which the content is mapped for the decoder (512)."""
    emotion_map: int
    """Width to which the emotion is mapped, beside level and person (256)."""
    level_map: int
    person_map: int
    decoder: int
    """Width of the decoder: the sum of the four maps (832)."""
    decoder_feed_forward: int
    attention_heads: int
    """Heads of both encoders (16): the one size that no tensor's shape shows."""
    emotions: int = 0
    """Emotions that the classifier head tells apart (7); 0: the checkpoint is without that head."""


def open_checkpoint(path: Path) -> CheckpointFile:
    """Open ``path``, or the torch file in the archive ``path``, without running any code in it (``weights_only``).

    Raises:
        CheckpointNotFound: the file does not exist.
        CheckpointUnreadable: torch cannot load it; its subclasses say more where the first bytes do.
        NotACheckpoint: it holds something else than a mapping.
    """
    with unpacked(path) as inner:
        content = _load(inner, path)
    if not isinstance(content, Mapping) or not content:
        raise NotACheckpoint(
            f"{path} holds {_describe(content)}; accepted: a state_dict (a mapping of names to tensors)"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
    return CheckpointFile(path, digest.hexdigest(), path.stat().st_size, content)


def _digest(file: Any) -> Any:
    """``hashlib.file_digest``, which Python 3.10 lacks."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest


def _load(inner: Path, path: Path) -> Any:
    """The content of the torch file ``inner``, which messages call ``path``."""
    # Only torch's zip layout (since 1.6) can be mapped into memory; the older one has to be read.
    mappable = zipfile.is_zipfile(inner)
    try:
        with warnings.catch_warnings():
            # About files that torch did not write; those that cannot be read are errors below.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(inner, map_location="cpu", weights_only=True, mmap=mappable)
    except (RuntimeError, ValueError, EOFError, OSError, LookupError, pickle.UnpicklingError) as error:
        raise CheckpointUnreadable(
            f"{path} ({path.stat().st_size} bytes) is not a checkpoint that can be loaded: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    """Return torch's reason in a line, without its advice to load a file that may run code."""
    text = str(error).strip()
    if found := re.search(r"GLOBAL (\S+)", text):
        return f"it refers to {found[1]}, which is code, and that is never run; accepted: tensors by name only"
    if "weights_only" in text:
        return "it holds more than tensors by name; accepted: what torch.save(model.state_dict(), file) writes"
    return (text.splitlines() or [type(error).__name__])[0]


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        return "an empty mapping"
    return f"a {type(content).__name__}"


def unwrapped(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state_dict in ``content``: itself, or what a training script kept beside its optimiser's."""
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping):
            return inner
    return content


def released_state(file: CheckpointFile) -> dict[str, Tensor]:
    """The tensors of ``file`` under the released layout's names.

    Takes off what training scripts put around a state_dict (``state_dict``, ``module.``), and brings both spellings of
    weight norm to the released one.

    Raises:
        NotACheckpoint: a value is not a tensor of floats.
    """
    content = unwrapped(file.content)
    state: dict[str, Tensor] = {}
    parallel = all(str(key).startswith(_PARALLEL) for key in content)
    for key, value in content.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = f"a tensor of {value.dtype}" if isinstance(value, Tensor) else _describe(value)
            raise NotACheckpoint(f"{file.path}: {key!r} is {kind}; accepted: tensors of floats")
        name = str(key).removeprefix(_PARALLEL) if parallel else str(key)
        for newer, released in _WEIGHT_NORM.items():
            if name.endswith(newer):
                name = name.removesuffix(newer) + released
        state[name] = value
    return state


@dataclass(frozen=True, slots=True)
class EmoTalkCheckpoint:
    """A checkpoint in the released layout, checked key by key."""

    size: NetworkSize
    state: Mapping[str, Tensor] = field(repr=False)
    unneeded: tuple[str, ...]
    """Keys that no output depends on."""
    identical_frontends: bool
    """Tell whether the two convolutional frontends are the same to the bit, so that one computation serves both."""


def read_emotalk(file: CheckpointFile, attention_heads: int) -> EmoTalkCheckpoint:
    """Check ``file`` against the released layout at the sizes that its own shapes show.

    Raises:
        NotACheckpoint: it holds something else than tensors.
        CheckpointMismatch: keys are missing, unexpected or misshapen; all of them are named.
        CheckpointNotFinite: a weight is NaN or infinite.
        InvalidAttentionHeads: ``attention_heads`` does not divide the width of a transformer.
    """
    state = released_state(file)
    unneeded = tuple(key for key in state if _UNNEEDED.fullmatch(key))
    needed = {key: value for key, value in state.items() if key not in unneeded}
    size = _infer(needed, attention_heads)
    expected = expected_shapes(size)
    missing = [key for key in expected if key not in needed]
    unexpected = [key for key in needed if key not in expected]
    misshapen = [
        f"{key}: {tuple(needed[key].shape)}, needs {shape}"
        for key, shape in expected.items()
        if key in needed and tuple(needed[key].shape) != shape
    ]
    if missing or unexpected or misshapen:
        raise CheckpointMismatch(missing, unexpected, misshapen)
    for name, trunk in (("content", size.content), ("emotion", size.emotion)):
        if attention_heads < 1 or trunk.hidden % attention_heads:
            raise InvalidAttentionHeads(
                f"attention_heads is {attention_heads}; accepted: a divisor of {trunk.hidden}, "
                f"the width of the {name} encoder"
            )
    bad = [key for key, value in needed.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise CheckpointNotFinite(f"weights are NaN or infinite in {'; '.join(bad)}")
    return EmoTalkCheckpoint(size, needed, unneeded, _identical_frontends(needed))


def _identical_frontends(state: Mapping[str, Tensor]) -> bool:
    part = "feature_extractor."
    ours = {key.removeprefix(CONTENT_PREFIX): key for key in state if key.startswith(CONTENT_PREFIX + part)}
    return all(torch.equal(state[key], state[EMOTION_PREFIX + name]) for name, key in ours.items())


_RELEASED_TRUNK = TrunkSize(512, 1024, 24, 4096, 128, 64)
_RELEASED = NetworkSize(_RELEASED_TRUNK, _RELEASED_TRUNK, 512, 256, LEVEL_WIDTH, LEVEL_WIDTH, 832, 832, 16, 7)
"""The size taken where its tensor is missing, so that the rest can still be checked and named."""


def axis_of(state: Mapping[str, Tensor], key: str, dim: int, otherwise: int) -> int:
    """Return the size of an axis of the tensor ``key``; ``otherwise`` where there is no such tensor or axis."""
    tensor = state.get(key)
    return tensor.shape[dim] if tensor is not None and tensor.ndim > dim else otherwise


def layers_of(state: Mapping[str, Tensor], prefix: str, otherwise: int) -> int:
    """Return the number of layers whose keys are ``prefix``, a number and a dot; ``otherwise`` where there are none."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    found = {int(match[1]) for key in state if (match := pattern.match(key))}
    return max(found) + 1 if found else otherwise


def trunk_size(state: Mapping[str, Tensor], prefix: str, otherwise: TrunkSize) -> TrunkSize:
    """Read the sizes of the encoder ``prefix`` off its tensors; ``otherwise`` has those of missing ones."""
    position = f"{prefix}encoder.pos_conv_embed.conv.weight_v"
    feed_forward = f"{prefix}encoder.layers.0.feed_forward.intermediate_dense.weight"
    return TrunkSize(
        conv=axis_of(state, f"{prefix}feature_extractor.conv_layers.0.conv.weight", 0, otherwise.conv),
        hidden=axis_of(state, f"{prefix}encoder.layer_norm.weight", 0, otherwise.hidden),
        layers=layers_of(state, f"{prefix}encoder.layers.", otherwise.layers),
        feed_forward=axis_of(state, feed_forward, 0, otherwise.feed_forward),
        position_kernel=axis_of(state, position, 2, otherwise.position_kernel),
        position_group=axis_of(state, position, 1, otherwise.position_group),
    )


def _infer(state: Mapping[str, Tensor], attention_heads: int) -> NetworkSize:
    def axis(key: str, dim: int, otherwise: int) -> int:
        return axis_of(state, key, dim, otherwise)

    content = trunk_size(state, CONTENT_PREFIX, _RELEASED_TRUNK)
    classified = any(key.startswith(CLASSIFIER_PREFIX) for key in state)
    return NetworkSize(
        content=content,
        emotion=trunk_size(state, EMOTION_PREFIX, content),
        content_map=axis("audio_feature_map_cont.weight", 0, _RELEASED.content_map),
        emotion_map=axis("audio_feature_map_emo2.weight", 0, _RELEASED.emotion_map),
        level_map=axis("obj_vector_level.weight", 0, _RELEASED.level_map),
        person_map=axis("obj_vector_person.weight", 0, _RELEASED.person_map),
        decoder=axis("bs_map_r.weight", 1, _RELEASED.decoder),
        decoder_feed_forward=axis(DECODER_PREFIX + "linear1.weight", 0, _RELEASED.decoder_feed_forward),
        attention_heads=attention_heads,
        emotions=axis(f"{CLASSIFIER_PREFIX}out_proj.weight", 0, _RELEASED.emotions) if classified else 0,
    )


def trunk_shapes(prefix: str, trunk: TrunkSize) -> dict[str, tuple[int, ...]]:
    """Key and shape of every tensor that both forms of a wav2vec 2.0 encoder have, weight norm as released.

    The "stable layer norm" form has norms and biases after all convolutions of its frontend, the base form one norm.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{prefix}{name}.weight"] = (outputs, inputs)
        shapes[f"{prefix}{name}.bias"] = (outputs,)

    def norm(name: str, width: int) -> None:
        shapes[f"{prefix}{name}.weight"] = shapes[f"{prefix}{name}.bias"] = (width,)

    for i, kernel in enumerate(CONV_KERNELS):
        inputs = trunk.conv if i else 1
        shapes[f"{prefix}feature_extractor.conv_layers.{i}.conv.weight"] = (trunk.conv, inputs, kernel)
    norm("feature_projection.layer_norm", trunk.conv)
    linear("feature_projection.projection", trunk.conv, trunk.hidden)
    position = f"{prefix}encoder.pos_conv_embed.conv"
    shapes[f"{position}.bias"] = (trunk.hidden,)
    shapes[f"{position}.weight_g"] = (1, 1, trunk.position_kernel)
    shapes[f"{position}.weight_v"] = (trunk.hidden, trunk.position_group, trunk.position_kernel)
    norm("encoder.layer_norm", trunk.hidden)
    for i in range(trunk.layers):
        layer = f"encoder.layers.{i}"
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.attention.{projection}", trunk.hidden, trunk.hidden)
        norm(f"{layer}.layer_norm", trunk.hidden)
        linear(f"{layer}.feed_forward.intermediate_dense", trunk.hidden, trunk.feed_forward)
        linear(f"{layer}.feed_forward.output_dense", trunk.feed_forward, trunk.hidden)
        norm(f"{layer}.final_layer_norm", trunk.hidden)
    return shapes


def expected_shapes(size: NetworkSize) -> dict[str, tuple[int, ...]]:
    """Key and shape of every tensor that a network of ``size`` needs, weight norm in the released spelling."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        shapes[f"{name}.bias"] = (outputs,)

    def norm(name: str, width: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    for prefix, trunk in ((CONTENT_PREFIX, size.content), (EMOTION_PREFIX, size.emotion)):
        for i in range(len(CONV_KERNELS)):
            layer = f"{prefix}feature_extractor.conv_layers.{i}"
            shapes[f"{layer}.conv.bias"] = (trunk.conv,)
            norm(f"{layer}.layer_norm", trunk.conv)
        shapes |= trunk_shapes(prefix, trunk)
    width = size.content_map + size.emotion_map + size.level_map + size.person_map
    linear("audio_feature_map_cont", size.content.hidden, size.content_map)
    linear("audio_feature_map_emo", size.emotion.hidden, width)
    linear("audio_feature_map_emo2", width, size.emotion_map)
    linear("obj_vector_level", LEVELS, size.level_map)
    linear("obj_vector_person", PERSONS, size.person_map)
    for attention in ("self_attn", "multihead_attn"):
        shapes[f"{DECODER_PREFIX}{attention}.in_proj_weight"] = (3 * width, width)
        shapes[f"{DECODER_PREFIX}{attention}.in_proj_bias"] = (3 * width,)
        linear(f"{DECODER_PREFIX}{attention}.out_proj", width, width)
    linear(f"{DECODER_PREFIX}linear1", width, size.decoder_feed_forward)
    linear(f"{DECODER_PREFIX}linear2", size.decoder_feed_forward, width)
    for i in (1, 2, 3):
        norm(f"{DECODER_PREFIX}norm{i}", width)
    linear("bs_map_r", width, BLENDSHAPE_COUNT)
    if size.emotions:
        linear(f"{CLASSIFIER_PREFIX}dense", size.emotion.hidden, size.emotion.hidden)
        linear(f"{CLASSIFIER_PREFIX}out_proj", size.emotion.hidden, size.emotions)
    return shapes

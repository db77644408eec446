"""The start of an export: graph modules and what surrounds them, whoever trained them.

:func:`open_face` tells the layouts of checkpoints apart: the released EmoTalk, the released LAM-A2E, and this project's
own compact face.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from torch import nn

from emotalk_contract import tensors
from emotalk_contract.clip_statistics import statistics_width
from emotalk_contract.live_steps import StepReach
from emotalk_contract.quoting import quoted
from emotalk_contract.recipe import ManifestError, Precision, Recipe, Widths, check_emotion_names
from emotalk_contract.tensors import Model
from emotalk_contract.timing import FEATURE_SPAN, SAMPLE_RATE
from emotalk_export.checkpoint import CONTENT_PREFIX, CheckpointFile, open_checkpoint, read_emotalk, unwrapped
from emotalk_export.errors import AnotherNetwork, InvalidEmotionNames, NotACheckpoint
from emotalk_export.lam import LamContent, LamDecoder, LamFrontend
from emotalk_export.lam_checkpoint import ENCODER as LAM_ENCODER
from emotalk_export.lam_checkpoint import PREFIX as LAM_PREFIX
from emotalk_export.lam_checkpoint import read_lam
from emotalk_export.network import Content, Decoder, Emotion, Frontend
from emotalk_export.onnx_export import GraphFiles

Layout: TypeAlias = Literal["emotalk", "lam"]
"""Whose released weights are exported."""
HEADS = 16
"""Of each encoder of the released EmoTalk."""
LAM_WINDOW_S = 40.0
"""Seconds of a window of LAM-A2E: its attention reaches as far as there is sound, so the longer the better."""
COMPACT_FORMAT = "emotalk-compact-1"
"""Layout of the bundled face model's checkpoints (:mod:`emotalk_export.compact`)."""


class Face(Protocol):
    """A set of weights that fits the contract's graphs."""

    @property
    def description(self) -> str:
        """Description of the weights for people."""

    @property
    def recipe(self) -> Recipe:
        """Needs of the weights from their surroundings."""

    @property
    def widths(self) -> Widths:
        """The sizes that they decide."""

    @property
    def encoders_alike(self) -> bool:
        """True where both encoders are of one size."""

    @property
    def file(self) -> CheckpointFile:
        """Origin of the weights."""

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """In what they can be exported."""

    @property
    def further_speeds(self) -> tuple[float, ...]:
        """Speeds at which int8 hears its speech once more: weights that are fitted to it need more than a few clips."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further facts for the manifest: plain JSON."""

    def graph(self, model: Model) -> nn.Module:
        """A new module for ``model``, float32, in evaluation mode, with ``model``'s inputs and outputs in order.

        Made anew every time, so that whoever exports graph by graph need not hold all of them.
        """

    def write_step(self, folder: Path) -> tuple[GraphFiles, float] | None:
        """Write the graph of a live stream's step into ``folder``; return its file, and the largest difference of a
        stream from its whole clip. None: this network does not stream.
        """


class EmoTalkFace:
    """Weights in EmoTalk's released layout."""

    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    further_speeds: tuple[float, ...] = ()

    def __init__(self, file: CheckpointFile, attention_heads: int, emotion_names: Sequence[str] = ()) -> None:
        """Check ``file``; see :func:`emotalk_export.checkpoint.read_emotalk` for the errors."""
        self.file = file
        self.checkpoint = read_emotalk(file, attention_heads)
        names = _emotion_names(self.checkpoint.size.emotions, emotion_names)
        self.recipe = Recipe(detected_emotions=names)
        self.description = f"EmoTalk (user's checkpoint {file.sha256[:12]})"
        size = self.checkpoint.size
        self.widths = Widths(
            content_features=size.content.conv,
            emotion_features=size.emotion.conv,
            content=size.content.hidden,
            emotion=size.emotion.hidden,
            detected_emotions=len(names),
        )
        self.encoders_alike = size.content == size.emotion

    @property
    def facts(self) -> Mapping[str, Any]:
        """Sizes, whether the frontends are one, and what was left out."""
        return {
            "dimensions": asdict(self.checkpoint.size),
            "identical_frontends": self.checkpoint.identical_frontends,
            "unneeded_keys": list(self.checkpoint.unneeded),
        }

    def graph(self, model: Model) -> nn.Module:
        """The module of ``model``."""
        state, size = self.checkpoint.state, self.checkpoint.size
        modules: dict[str, Callable[[], nn.Module]] = {
            tensors.FRONTEND.name: lambda: Frontend(state, self.checkpoint.identical_frontends),
            tensors.CONTENT_ENCODER.name: lambda: Content(state, size),
            tensors.EMOTION_ENCODER.name: lambda: Emotion(state, size, tensors.EMOTIONS in model.outputs),
            tensors.DECODER.name: lambda: Decoder(state),
        }
        return modules[model.name]().eval()

    def write_step(self, folder: Path) -> None:  # noqa: ARG002  # the protocol's
        """Do nothing: every frame of EmoTalk sees its whole clip."""
        return


def _emotion_names(count: int, given: Sequence[str]) -> tuple[str, ...]:
    """The names of the ``count`` emotions that a checkpoint detects; without any ``given``, numbers.

    Raises:
        InvalidEmotionNames: there are not as many, or one is not a name.
    """
    if given and len(given) != count:
        accepted = f"{count} names, or none" if count else "none, for the checkpoint detects no emotions"
        raise InvalidEmotionNames(f"{len(given)} emotions are named: {quoted(list(given))}; accepted: {accepted}")
    try:
        check_emotion_names(given)
    except ManifestError as error:
        raise InvalidEmotionNames(str(error)) from error
    return tuple(given) or tuple(f"emotion_{number}" for number in range(count))


class CompactFaceModel:
    """This project's own small face model."""

    precisions: tuple[Precision, ...] = ("fp32",)
    further_speeds: tuple[float, ...] = ()
    encoders_alike = False

    def __init__(self, file: CheckpointFile) -> None:
        """Read ``file``.

        Raises:
            NotACheckpoint: the weights do not fit, or a part of the layout is missing.
        """
        # Only here: whoever exports their own EmoTalk needs nothing of it.
        from emotalk_export import compact
        from emotalk_export.compact_live import reach_of

        self.file = file
        try:
            self.face = compact.CompactFace.from_checkpoint(dict(file.content)).eval()
            reach = reach_of(self.face.config)
            self.recipe = Recipe(
                **file.content["recipe"],
                **({} if reach is None else _step_fields(reach)),
                frontend_context_s=compact.FRONTEND_PAST_SAMPLES / SAMPLE_RATE,
                window_s=compact.WINDOW_S,
                live_context_s=compact.LIVE_CONTEXT_S,
                live_look_ahead_s=file.content["recipe"]["look_ahead_s"],
                levelled=True,
            )
        except compact.CheckpointError as error:
            raise NotACheckpoint(f"{file.path}: {error}") from error
        except (KeyError, TypeError, ManifestError) as error:
            raise NotACheckpoint(f"{file.path} is not a {COMPACT_FORMAT} checkpoint: {error}") from error
        config = self.face.config
        self.widths = Widths(
            content_features=config.width,
            emotion_features=config.width,
            content=config.width,
            emotion=config.emotion_out,
        )
        self.description = "the bundled face model (small, trained by this project)"

    @property
    def facts(self) -> Mapping[str, Any]:
        """Sizes, and how the weights came about."""
        return {
            "dimensions": asdict(self.face.config),
            "training": dict(self.file.content.get("provenance", {})),
        }

    def graph(self, model: Model) -> nn.Module:
        """The module of ``model``."""
        return {
            tensors.FRONTEND.name: self.face.frontend,
            tensors.CONTENT_ENCODER.name: self.face.content,
            tensors.EMOTION_ENCODER.name: self.face.emotion,
            tensors.DECODER.name: self.face.decoder,
        }[model.name]

    def write_step(self, folder: Path) -> tuple[GraphFiles, float] | None:
        """Its step, where its sizes allow for one."""
        if self.recipe.steps is None:
            return None
        from emotalk_export.live_graph import export_live_graph

        folder.mkdir(parents=True)
        return export_live_graph(self.face, self.recipe.steps, folder)


def _step_fields(reach: StepReach) -> dict[str, Any]:
    return {f"step_{name}": value for name, value in asdict(reach).items()}


class LamFace:
    """Weights in LAM-A2E's released layout: Apache-2.0, as their authors say."""

    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    further_speeds: tuple[float, ...] = (0.83, 1.18)
    encoders_alike = False

    def __init__(self, file: CheckpointFile, attention_heads: int | None) -> None:
        """Check ``file``; see :func:`emotalk_export.lam_checkpoint.read_lam` for the errors."""
        self.file = file
        self.checkpoint = read_lam(file, attention_heads)
        size = self.checkpoint.size
        self.recipe = Recipe(
            normalisation="patches",
            frame_grid="align_corners",
            styles=size.styles,
            emotional=False,
            min_samples=FEATURE_SPAN,
            window_s=LAM_WINDOW_S,
        )
        self.description = f"LAM-A2E (user's checkpoint {file.sha256[:12]})"
        self.widths = Widths(
            content_features=size.encoder.conv,
            emotion_features=0,
            content=size.encoder.hidden,
            emotion=0,
            styles=size.styles,
            statistics=statistics_width(self.recipe.normalisation),
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        """Sizes, and what was left out."""
        return {"dimensions": asdict(self.checkpoint.size), "unneeded_keys": list(self.checkpoint.unneeded)}

    def graph(self, model: Model) -> nn.Module:
        """The module of ``model``."""
        state, size = self.checkpoint.state, self.checkpoint.size
        modules: dict[str, Callable[[], nn.Module]] = {
            tensors.FRONTEND.name: lambda: LamFrontend(state),
            tensors.CONTENT_ENCODER.name: lambda: LamContent(state, size),
            tensors.DECODER.name: lambda: LamDecoder(state, size),
        }
        return modules[model.name]().eval()

    def write_step(self, folder: Path) -> None:  # noqa: ARG002  # the protocol's
        """Do nothing: every frame of LAM-A2E sees its whole clip."""
        return


def open_face(
    path: Path, attention_heads: int | None = None, layout: Layout = "emotalk", emotion_names: Sequence[str] = ()
) -> Face:
    """The weights in the checkpoint ``path``.

    Args:
        path: a checkpoint file, or the archive that it came in.
        attention_heads: heads of the encoders, which no tensor shows; None: as in the released network.
        layout: whose released weights they are; ``emotalk`` may be one of this project's compact faces, too.
        emotion_names: of the emotions that it detects, in the order of its outputs; none: ``emotion_0`` and so on.

    Raises:
        CheckpointError: the subclass that says what is wrong with the file.
    """
    file = open_checkpoint(path)
    if layout == "emotalk" and file.format == COMPACT_FORMAT:
        _emotion_names(0, emotion_names)
        return CompactFaceModel(file)
    if file.format not in (None, COMPACT_FORMAT):
        raise NotACheckpoint(f"{path} has format {file.format!r}; accepted: {COMPACT_FORMAT!r} or a plain state_dict")
    found = told_apart(file)
    if found not in (None, layout):
        raise AnotherNetwork(f"{path} holds {_FOUND[found]}; accepted: {_WANTED[layout]}")
    if layout == "lam":
        _emotion_names(0, emotion_names)
        return LamFace(file, attention_heads)
    return EmoTalkFace(file, HEADS if attention_heads is None else attention_heads, emotion_names)


def told_apart(file: CheckpointFile) -> Layout | Literal["compact", "wav2vec2"] | None:
    """Whose weights these are, by names that only they have; None: nobody's that is known here."""
    if file.format == COMPACT_FORMAT:
        return "compact"
    keys = [key.removeprefix("module.") for key in unwrapped(file.content)]
    if any(key.startswith(CONTENT_PREFIX) for key in keys):
        return "emotalk"
    bare = [key.removeprefix(LAM_PREFIX) for key in keys]
    if any(key.startswith(LAM_ENCODER) for key in bare):
        return "lam"
    if any(re.match(r"(wav2vec2\.)?(feature_extractor\.conv_layers|encoder\.pos_conv_embed)\.", key) for key in keys):
        return "wav2vec2"
    return None


_FOUND = {
    "emotalk": "EmoTalk's weights (`--checkpoint` takes them)",
    "lam": "LAM-A2E's weights (`--lam` takes them)",
    "compact": "one of this project's compact faces (`--checkpoint` takes it)",
    "wav2vec2": "a wav2vec 2.0 encoder by itself, from which a face network is trained, and which gives no face",
}
_WANTED: Mapping[Layout, str] = {
    "emotalk": "EmoTalk.pth, or a compact face of this project",
    "lam": "LAM-A2E's checkpoint, such as LAM_audio2exp_streaming.tar",
}

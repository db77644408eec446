"""The needs of a set of weights from its surroundings, and the MANIFEST.json that states them.

EmoTalk itself and the bundled face model share the four graphs' contract, but not how audio is normalised or frames are
laid over features. That is their :class:`Recipe`; the generated configs carry it to the pre-processor and the client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from emotalk_contract.limits import MAX_PERSONS, MIN_SAMPLES, PERSONS
from emotalk_contract.live_steps import StepReach
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import FrameGrid

MANIFEST_NAME = "MANIFEST.json"
SHARED_WEIGHTS_NAME = "shared_weights.json"
"""Table beside a graph whose weights stand in others' files."""
QUEUE_SIZE_PARAMETER = "queue_size"
"""Parameter of the pre-processor's config: how many requests may compute and wait in the ensemble."""

SHARE_PARAMETER = "share_of_cores"
"""Parameter of a network's config: how much of the threads that ``intra_op_thread_count`` means it takes. Read by this
project's backend; Triton's own does not know it, and takes them all."""

JOINED_PARAMETER = "largest_joined_bytes"
"""Parameter of a network's config: requests are computed together only up to so many bytes of input, or without limit.
Read by this project's backend; Triton's own does not know it."""

LONGEST_PARAMETER = "longest_inputs"
"""Parameter of a network's config: JSON, input to the length that it may have (its axis after the batch). Read by this
project's backend; Triton's own does not know it."""

TILING_PARAMETER = "tiling"
"""Parameter of a network's config: JSON of how its long input is cut into tiles (``input``, ``hop``, ``span`` and
``steps``), or nothing. Read by this project's backend; Triton's own does not know it, and computes all at once."""

Normalisation = Literal["clip", "none", "patches"]
"""``clip``: (x - mean) / sqrt(var + 1e-7) over the clip. ``none``: the audio as it is (the network sees to it).
``patches``: the audio as it is, and the statistics of the patches that the first convolution reads, by which the
network normalises that one's channels over the clip (:mod:`emotalk_contract.clip_statistics`)."""
Precision = Literal["fp32", "fp16", "int8"]
"""Of a graph's large matrices; what goes in and comes out is float32. ``int8``: for CPUs."""


class ManifestError(ValueError):
    """A MANIFEST.json that is missing, is not JSON or lacks a field."""


EMOTION_NAME = re.compile(r"[^\W_][\w .-]{0,63}")
"""A detected emotion's name: letters of any script and digits, between them spaces, ``_``, ``.`` and ``-``."""


def check_emotion_names(names: Sequence[str]) -> None:
    """Check the names of the emotions that a network detects.

    Raises:
        ManifestError: one is not a name (:data:`EMOTION_NAME`), or there twice.
    """
    for name in names:
        if not (isinstance(name, str) and EMOTION_NAME.fullmatch(name)):
            raise ManifestError(
                f"a detected emotion is called {quoted(name)}; accepted: at most 64 letters, digits, spaces, '_', '.' "
                "and '-', the first a letter or digit"
            )
        if names.count(name) > 1:
            raise ManifestError(f"two detected emotions are called {quoted(name)}; accepted: a name for each")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The preparation of a model's input and the overlap of its windows."""

    normalisation: Normalisation = "clip"
    frame_grid: FrameGrid = "align_corners"
    window_s: float = 40.0
    """Seconds of one window when a client cuts a clip."""
    context_before_s: float = 3.5
    """Seconds of past that a window should carry before its first frame that counts."""
    look_ahead_s: float = 2.0
    """Seconds of future that it should carry after its last."""
    frontend_context_s: float = 0.0
    """Seconds that the convolutional frontend hears beyond a feature's own 25 ms (EmoTalk's: none)."""
    live_context_s: float = 2.0
    """Seconds of past that a live stream's windows should carry: less than ``context_before_s`` where that does."""
    live_look_ahead_s: float = 0.5
    """Seconds of future for which a live stream should wait: less than ``look_ahead_s`` where that buys latency."""
    levelled: bool = False
    """True where the audio goes through :mod:`emotalk_contract.loudness` first, as a clip and not window by window."""
    styles: int = PERSONS
    """Speaking styles: PERSON is one of them, STYLE has a weight for each."""
    emotional: bool = True
    """False where there are no emotions in the network: without an emotion encoder, LEVEL and EMOTION_AUDIO have no
    meaning and are refused."""
    detected_emotions: tuple[str, ...] = ()
    """Names of the emotions that the network tells apart in speech, in the order of EMOTIONS; none: it does not."""
    min_samples: int = MIN_SAMPLES
    """Samples of the shortest clip."""
    step_lead: int = 0
    """Samples around a feature's centre that it hears, where the network streams (:mod:`emotalk_contract.live_steps`);
    0: it does not, and a live stream sends windows."""
    step_ahead: int = 0
    """Features that a frame of such a network looks ahead."""
    step_emotion_ahead: int = 0
    """Frames that its emotion looks ahead."""

    def __post_init__(self) -> None:
        if self.normalisation not in get_args(Normalisation):
            raise ManifestError(
                f"normalisation is {quoted(self.normalisation)}; accepted: {', '.join(get_args(Normalisation))}"
            )
        if self.frame_grid not in get_args(FrameGrid):
            raise ManifestError(f"frame_grid is {quoted(self.frame_grid)}; accepted: {', '.join(get_args(FrameGrid))}")
        if self.normalisation == "patches" and self.emotional:
            raise ManifestError(
                "normalisation is 'patches' for an emotional model; accepted: 'clip' or 'none', for an emotion clip "
                "goes through the same first convolution as the speech, with statistics of its own"
            )
        if not 1 <= self.styles <= MAX_PERSONS:
            raise ManifestError(f"styles is {self.styles}; accepted: 1..{MAX_PERSONS}")
        object.__setattr__(self, "detected_emotions", tuple(self.detected_emotions))  # JSON has lists
        check_emotion_names(self.detected_emotions)
        if self.detected_emotions and not self.emotional:
            raise ManifestError(
                f"a model without emotions detects {quoted(list(self.detected_emotions))}; accepted: none of them"
            )

    @classmethod
    def from_strings(cls, parameters: Mapping[str, str]) -> Recipe:
        """Return the recipe in a Triton model config's ``parameters``; others of them are left alone."""
        return cls(
            normalisation=parameters["normalisation"],  # type: ignore[arg-type]  # checked in __post_init__
            frame_grid=parameters["frame_grid"],  # type: ignore[arg-type]  # likewise
            window_s=float(parameters["window_s"]),
            context_before_s=float(parameters["context_before_s"]),
            look_ahead_s=float(parameters["look_ahead_s"]),
            frontend_context_s=float(parameters["frontend_context_s"]),
            live_context_s=float(parameters["live_context_s"]),
            live_look_ahead_s=float(parameters["live_look_ahead_s"]),
            # Configs of before do not have these.
            levelled=parameters.get("levelled") == "True",
            styles=int(parameters.get("styles", PERSONS)),
            emotional=parameters.get("emotional", "True") == "True",
            detected_emotions=tuple(filter(None, parameters.get("detected_emotions", "").split(","))),
            min_samples=int(parameters.get("min_samples", MIN_SAMPLES)),
            step_lead=int(parameters.get("step_lead", 0)),
            step_ahead=int(parameters.get("step_ahead", 0)),
            step_emotion_ahead=int(parameters.get("step_emotion_ahead", 0)),
        )

    @property
    def knows_its_clip(self) -> bool:
        """A face depends on its whole clip's length or loudness, which must then be known before it starts."""
        return self.normalisation != "none" or self.frame_grid == "align_corners"

    @property
    def steps(self) -> StepReach | None:
        """The reach of a network that streams; None: it does not."""
        if not self.step_lead:
            return None
        return StepReach(self.step_lead, self.step_ahead, self.step_emotion_ahead)

    def strings(self) -> dict[str, str]:
        """Return what :meth:`from_strings` reads."""
        values = asdict(self)
        names = ",".join(values.pop("detected_emotions"))
        strings = {name: str(value) for name, value in values.items()}
        return strings | {"detected_emotions": names} if names else strings


@dataclass(frozen=True, slots=True)
class Widths:
    """The sizes that a checkpoint decides."""

    content_features: int
    emotion_features: int
    content: int
    emotion: int
    styles: int = PERSONS
    statistics: int = 2
    """Of the clip: the length of CLIP_STATS."""
    detected_emotions: int = 0
    """The length of EMOTIONS; 0: the network does not detect emotions."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a repository: enough to generate its configs again, and to know where its weights came from."""

    model: str
    """Name of the weights, in words for people."""
    recipe: Recipe
    widths: Widths
    precision: Precision = "fp32"
    encoders_alike: bool = False
    """Both encoders take as long, so that each, beside the other, is best given half the cores."""
    licence: str = ""
    """Of the weights, as whoever exported them stated it; empty: not stated."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Checkpoint and graph digests, versions, measured differences: for people and audits, not read by the code."""

    def __post_init__(self) -> None:
        if self.recipe.styles != self.widths.styles:
            raise ManifestError(
                f"the recipe has {self.recipe.styles} styles, the widths say {self.widths.styles}; accepted: the same"
            )
        if len(self.recipe.detected_emotions) != self.widths.detected_emotions:
            raise ManifestError(
                f"the recipe names {len(self.recipe.detected_emotions)} emotions to detect, the widths say "
                f"{self.widths.detected_emotions}; accepted: the same"
            )

    @classmethod
    def load(cls, repository: Path) -> Manifest:
        """Return the manifest of the model repository in the folder ``repository``.

        Raises:
            ManifestError: there is none, or it is incomplete.
        """
        path = repository / MANIFEST_NAME
        try:
            content = json.loads(path.read_text("utf-8"))
            return cls(
                model=content["model"],
                recipe=Recipe(**content["recipe"]),
                widths=Widths(**content["widths"]),
                precision=content["precision"],
                encoders_alike=content.get("encoders_alike", False),
                licence=content.get("licence", ""),
                provenance=content.get("provenance", {}),
            )
        except FileNotFoundError:
            raise ManifestError(f"{path} is missing; `emotalk-export` writes it") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(f"{path} is not a manifest: {type(error).__name__}: {error}") from error

    def save(self, repository: Path) -> None:
        """Write ``repository/MANIFEST.json``."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        (repository / MANIFEST_NAME).write_text(text, "utf-8")

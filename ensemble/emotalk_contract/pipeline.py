"""The models of one repository, and what passes between them: the ensemble, less what a recipe has no use for.

Rule that this module guards: **a step that would compute nothing is not there.** A recipe without emotions has no
emotion encoder, and a first convolution that is normalised over the clip takes the clip's statistics. What callers send
is the same for all (:data:`emotalk_contract.tensors.ENSEMBLE`), and so is what they get, but for EMOTIONS, which comes
of a model that detects emotions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from emotalk_contract import tensors
from emotalk_contract.recipe import Recipe
from emotalk_contract.tensors import Model

OPTIONAL_STEPS = frozenset({tensors.EMOTION_ENCODER.name})
"""Names of the steps that not every recipe has."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The ensemble's steps for one recipe."""

    preprocess: Model
    graphs: tuple[Model, ...]
    """The networks, which an export writes as ONNX, in the order in which they run."""

    @property
    def steps(self) -> tuple[Model, ...]:
        """The models that the ensemble runs; tensors of one name are joined."""
        return (self.preprocess, *self.graphs, tensors.POSTPROCESS)

    @property
    def ensemble(self) -> Model:
        """The ensemble, with the outputs that its steps have."""
        made = {tensor for model in self.steps for tensor in model.outputs}
        outputs = tuple(tensor for tensor in tensors.ENSEMBLE.outputs if tensor in made)
        return replace(tensors.ENSEMBLE, outputs=outputs)


def pipeline(recipe: Recipe) -> Pipeline:
    """Return the steps that weights of ``recipe`` need."""
    preprocess, graphs = tensors.PREPROCESS, tensors.GRAPHS
    if not recipe.emotional:
        preprocess = _without_emotions(preprocess)
        graphs = tuple(_without_emotions(model) for model in graphs if model.name not in OPTIONAL_STEPS)
    if recipe.detected_emotions:
        graphs = tuple(_detecting(model) if model.name == tensors.EMOTION_ENCODER.name else model for model in graphs)
    if recipe.normalisation == "patches":
        frontend, *others = graphs
        preprocess = replace(preprocess, outputs=(tensors.STATISTICS, *preprocess.outputs))
        graphs = (replace(frontend, inputs=(*frontend.inputs, tensors.STATISTICS)), *others)
    return Pipeline(preprocess, graphs)


_EMOTIONAL = {
    tensors.EMOTION_FEATURES,
    tensors.EMOTION_POSITIONS,
    tensors.EMOTION_FRAME_POSITIONS,
    tensors.EMOTION,
    tensors.LEVEL_CODE,
}


def _detecting(encoder: Model) -> Model:
    return replace(encoder, outputs=(*encoder.outputs, tensors.EMOTIONS))


def _without_emotions(model: Model) -> Model:
    """``model`` without what passes on emotions; what callers send (and get told of) stays."""
    kept = [tuple(t for t in side if t not in _EMOTIONAL) for side in (model.inputs, model.outputs)]
    return replace(model, inputs=kept[0], outputs=kept[1])

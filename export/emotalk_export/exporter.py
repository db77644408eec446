"""From a checkpoint to a model repository that Triton serves.

Rule that this module guards: **a repository is replaced whole, by one that has proved itself, or not at all.**
"""

from __future__ import annotations

import gc
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from emotalk_contract import tensors
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import MANIFEST_NAME, Manifest, Precision
from emotalk_contract.repository import VERSION, bundled, write_configs
from emotalk_contract.tensors import Model
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_export import int8, tensorrt
from emotalk_export.errors import NotARepository, RepositoryNotWritable, UnsupportedPrecision
from emotalk_export.face import Face, Layout, open_face
from emotalk_export.onnx_export import INLINE_LIMIT, OPSET, GraphFiles, export_graph
from emotalk_export.precision import halve
from emotalk_export.shared_weights import share_weights
from emotalk_export.speech import at_speeds, pieces, sample_voice
from emotalk_export.swap import replacing
from emotalk_export.validate import (
    TOLERANCES,
    Trial,
    channel_errors,
    run_torch,
    speech_trials,
    torch_inputs,
    trials,
    validate_chain,
    validate_graph,
)

MODELS: tuple[Model, ...] = (*tensors.STEPS, tensors.ENSEMBLE, tensors.LIVE)
"""Every folder that a repository may have."""
PYTHON_MODELS: tuple[Model, ...] = (tensors.PREPROCESS, tensors.POSTPROCESS)

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what begins now, how many steps are done, and how many there are."""


@dataclass(slots=True)
class _Proof:
    """Measurements of one export."""

    graphs: dict[str, dict[str, float]] = field(default_factory=dict)
    """Largest difference from torch, by graph and output."""
    kept: dict[str, list[str]] = field(default_factory=dict)
    """Layers that a graph of less precision keeps in float32."""
    speech: dict[str, Any] = field(default_factory=dict)
    """Error on speech, of int8."""
    chain: float = 0.0
    """Largest difference of the weights at the end."""


@dataclass(slots=True)
class _Speech:
    """The speech by which int8 is fitted."""

    judged: list[Trial] = field(default_factory=list)
    """As it is: by this it is judged, too."""
    heard: list[Trial] = field(default_factory=list)
    """At further speeds."""


def export(
    checkpoint: Path,
    repository: Path,
    *,
    layout: Layout = "emotalk",
    attention_heads: int | None = None,
    licence: str = "",
    precision: Precision = "fp32",
    tensorrt: bool = False,
    calibration: Sequence[Path] = (),
    emotion_names: Sequence[str] = (),
    progress: Progress | None = None,
    inline_limit: int = INLINE_LIMIT,
) -> Manifest:
    """Write the model repository of ``checkpoint`` into the folder ``repository``, which is replaced in one step.

    Args:
        checkpoint: a file in the released layout, or, where that is EmoTalk's, one of this project's compact faces.
        repository: a folder that is not there, is empty, or holds a model repository.
        layout: whose released weights they are.
        attention_heads: heads of the encoders; None: as in the released network (EmoTalk's 16, LAM-A2E's 12).
        licence: of the weights, in words; it is written into the manifest and the served model's config.
        precision: ``fp16`` halves the size of the large matrices, ``int8`` quarters it, for CPUs; inputs and outputs
            stay float32.
        tensorrt: also build a ``model.plan`` of every graph, for the GPU of this machine; not of int8.
        calibration: audio files of speech, by which ``int8`` is fitted and judged; none: the sample voice.
        emotion_names: of the emotions that the network detects, in the order of its outputs; none: ``emotion_0`` and so
            on.
        progress: told of every step.
        inline_limit: bytes of weights above which a graph keeps them in a file of their own.

    Returns:
        What was written as MANIFEST.json.

    Raises:
        ExportError: the subclass that says what is wrong; ``repository`` is then as it was.
    """
    if precision == "int8" and tensorrt:
        raise UnsupportedPrecision("int8 graphs are for CPUs, and TensorRT takes none of them; accepted: fp32, fp16")
    if precision != "int8" and calibration:
        raise UnsupportedPrecision(f"speech was given for {precision}, which needs none; only int8 is calibrated")
    tool = _tool() if tensorrt else None
    steps = _Steps(progress, _step_count(tensors.GRAPHS, tool))
    extras = _foreign_files(repository)
    steps.begin(f"reading {checkpoint.name}")
    face = open_face(checkpoint, attention_heads, layout, emotion_names)
    steps.total = _step_count(pipeline(face.recipe).graphs, tool) + (face.recipe.steps is not None)
    if precision not in face.precisions:
        raise UnsupportedPrecision(
            f"{face.description} cannot be exported as {precision}; accepted: {', '.join(face.precisions)}"
        )
    speech = _Speech()
    if precision == "int8":
        clips = pieces(calibration or [sample_voice()])
        speech.judged = speech_trials(clips, face.widths, face.recipe)
        speech.heard = speech_trials(at_speeds(clips, face.further_speeds), face.widths, face.recipe)
    try:
        with replacing(repository) as folder:
            for path in extras:
                shutil.copy2(path, folder / path.name)
            manifest = _write(face, folder, precision, licence, tool, speech, steps, inline_limit)
            steps.begin(f"replacing {repository}")
    except OSError as error:
        raise RepositoryNotWritable(f"{repository} cannot be written: {error}") from error
    steps.end()
    return manifest


def _tool() -> str:
    # A function of its own: the argument of the same name hides the module in `export`.
    return tensorrt.find_tool()


def _step_count(graphs: Sequence[Model], tool: str | None) -> int:
    """Reading, replacing, and what is done with each graph."""
    return 2 + (3 if tool else 2) * len(graphs)


class _Steps:
    """Counts the steps of an export."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress or (lambda *_: None)
        self._done = -1
        self.total = total
        """May become less once it is known what the weights need."""

    def begin(self, what: str) -> None:
        """The step before is done."""
        self._done += 1
        self._progress(what, self._done, self.total)

    def end(self) -> None:
        """All are done."""
        self._progress("done", self.total, self.total)


def _foreign_files(repository: Path) -> list[Path]:
    """Files (a README, a licence) that somebody put beside the models and that the new repository keeps.

    Raises:
        NotARepository: it is a file, or it has folders that are not models of this project, or it is something else.
    """
    if not repository.exists():
        return []
    if not repository.is_dir():
        raise NotARepository(f"{repository} is a file; accepted: a folder")
    entries = sorted(repository.iterdir())
    ours = {model.name for model in MODELS} | {MANIFEST_NAME}
    folders = [path.name for path in entries if path.is_dir() and path.name not in ours]
    if folders or (entries and not any(path.name in ours for path in entries)):
        others = folders or [path.name for path in entries]
        raise NotARepository(
            f"{repository} holds {', '.join(others[:5])}, which an export must not replace; "
            "accepted: a new or empty folder, or a model repository of this project"
        )
    return [path for path in entries if path.name not in ours]


def _write(
    face: Face,
    folder: Path,
    precision: Precision,
    licence: str,
    tool: str | None,
    speech: _Speech,
    steps: _Steps,
    inline_limit: int,
) -> Manifest:
    running = [*trials(face.widths, face.recipe), *speech.judged]
    graphs = pipeline(face.recipe).graphs
    proof = _Proof()
    files: dict[str, tuple[Path, ...]] = {}
    for model in graphs:
        version_folder = folder / model.name / VERSION
        version_folder.mkdir(parents=True)
        steps.begin(f"exporting {model.name}")
        graph = _export_graph(face, model, [*running, *speech.heard], precision, proof, version_folder, inline_limit)
        files[model.name] = graph.paths
        gc.collect()  # a gigabyte of weights, in cycles of the exporter
        steps.begin(f"checking {model.name} against torch")
        proof.graphs[model.name] = validate_graph(graph.graph, model, running, precision)
    proof.chain = validate_chain(running, precision)
    if speech.judged:
        proof.speech = _speech_report(speech.judged)
    if tool:
        for model in graphs:
            steps.begin(f"building the TensorRT plan of {model.name}")
            tensorrt.build_plan(tool, files[model.name][0], model, face.widths, face.recipe, precision)
    python_models = PYTHON_MODELS
    if face.recipe.steps is not None:
        steps.begin(f"exporting {tensors.LIVE.name}, and checking its streams against whole clips")
    if written := face.write_step(folder / tensors.LIVE.name / VERSION):
        sources = {model.name: files[model.name][0] for model in graphs}
        files[tensors.LIVE.name] = share_weights(written[0].graph, sources)
        proof.graphs[tensors.LIVE.name] = {tensors.STEP_ROWS.name: written[1]}
        python_models = (*python_models, tensors.LIVE)
    manifest = Manifest(
        model=face.description,
        recipe=face.recipe,
        widths=face.widths,
        precision=precision,
        encoders_alike=face.encoders_alike,
        licence=licence,
        provenance=_provenance(face, precision, proof, files),
    )
    for model in python_models:
        source, target = bundled() / model.name / VERSION / "model.py", folder / model.name / VERSION
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    manifest.save(folder)
    write_configs(folder, manifest)
    return manifest


def _export_graph(
    face: Face,
    model: Model,
    running: list[Trial],
    precision: Precision,
    proof: _Proof,
    folder: Path,
    inline_limit: int,
) -> GraphFiles:
    """Run torch on the trials, then write the graph; nothing of the module outlives this function."""
    module = face.graph(model)
    for trial in running:
        run_torch(module, model, trial)
    rewrite = None
    if precision == "fp16":
        proof.kept[model.name] = list(halve(module, (torch_inputs(trial, model) for trial in running)))
    elif precision == "int8":
        plan = int8.prepare(module, [torch_inputs(trial, model) for trial in running])
        proof.kept[model.name] = list(plan.kept)
        rewrite = partial(int8.quantise, plan=plan)
    return export_graph(module, model, face.widths, folder, inline_limit, rewrite)


def _speech_report(spoken: Sequence[Trial]) -> dict[str, Any]:
    """Error of the raw weights on speech."""
    errors = channel_errors(spoken)
    by_channel = dict(zip(BLENDSHAPES, errors.mean(0), strict=True))
    return {
        "seconds": round(sum(trial.sizes["network_samples"] for trial in spoken) / SAMPLE_RATE, 1),
        "mean_error": _rounded(errors.mean()),
        "largest_error": _rounded(errors.max()),
        "mean_error_by_blendshape": {name: _rounded(value) for name, value in by_channel.items()},
    }


def _provenance(
    face: Face, precision: Precision, proof: _Proof, files: Mapping[str, tuple[Path, ...]]
) -> dict[str, Any]:
    tolerance = TOLERANCES[precision]
    provenance: dict[str, Any] = {
        "checkpoint": {"sha256": face.file.sha256, "bytes": face.file.size},
        **face.facts,
        "graphs": {
            name: {path.name: {"sha256": _sha256(path), "bytes": path.stat().st_size} for path in paths}
            for name, paths in files.items()
        },
        "largest_difference_from_torch": {
            "graphs": {
                name: {tensor: _rounded(value) for tensor, value in differences.items()}
                for name, differences in proof.graphs.items()
            },
            "graph_tolerance": tolerance.graph,
            "chain": _rounded(proof.chain),
            "chain_tolerance": tolerance.chain,
        },
        "opset": OPSET,
        "versions": {name: _version(name) for name in ("emotalk-triton", "torch", "onnx", "onnxscript", "onnxruntime")},
    }
    if precision != "fp32":
        provenance["kept_in_fp32"] = proof.kept
    if proof.speech:
        provenance["error_on_speech"] = proof.speech
    return provenance


def _rounded(value: float) -> float:
    """Two digits: the rest is this machine's."""
    return float(f"{value:.1e}")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

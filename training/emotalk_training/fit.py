"""The training loop: other processes make examples, this one computes gradients.

Resumable: ``last.pt`` in the run folder holds everything, and a second call with the same folder goes on from it. A
batch follows from the seed and its number alone, so that a run which was interrupted ends with the same bits as one
which was not, whatever the number of workers, on the same kind of machine.
"""

from __future__ import annotations

import json
import logging
import math
import multiprocessing as mp
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, Full
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emotalk_contract.timing import feature_count
from emotalk_export.compact import Block, CompactConfig, CompactFace, uniform_positions
from emotalk_training.articulation import VISEME_NAMES
from emotalk_training.checkpoints import read_checkpoint
from emotalk_training.corpus import SAMPLE_RATE
from emotalk_training.dataset import Batch, Examples, minutes_by_engine
from emotalk_training.errors import RunError
from emotalk_training.hints import HINTS
from emotalk_training.labels import LABELS
from emotalk_training.predict import Validation
from emotalk_training.spectral import mask_bands, mix_voices
from emotalk_training.widen import widened

log = logging.getLogger(__name__)

PEOPLE = 24
_STRIDE = 1_000_003
"""Between the seeds of two runs: more than steps of any."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Settings of a run."""

    steps: int = 24_000
    """Of the whole run, resumed parts included."""
    batch: int = 12
    learning_rate: float = 1.5e-3
    warmup_steps: int = 150
    weight_decay: float = 0.02
    average: float = 0.998
    """Decay of the running average of the weights, which is what a checkpoint holds."""
    dropout: float = 0.15
    """Of what is hidden in each block."""
    hints: bool = False
    """Hear what a pretrained encoder hears, too; a folder has it by :func:`emotalk_training.hints.give_hints`."""
    seed: int = 20
    threads: int = 1
    workers: int = 1
    """Processes that make examples."""
    device: str = "cpu"
    save_every: int = 500
    """Steps between two checkpoints; what was done since the last is done again after an interruption."""
    validate_every: int = 2000
    start: Path | None = None
    """A checkpoint whose weights a new run begins with; None: random ones."""
    config: CompactConfig = field(default_factory=CompactConfig)


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weight of each part."""

    velocity: float = 1.0
    closure_emphasis: float = 1.5
    contact: float = 0.35
    speaking: float = 0.15
    viseme: float = 0.15
    upper: float = 0.15
    hint: float = 1.2


class Objective(nn.Module):
    """Composed articulators against the rules' (position and velocity), three classifications (closure and labiodental
    contact, somebody speaks, which viseme), and hints. Visemes and hints have heads of their own that are not kept."""

    spread: Tensor
    natural: Tensor
    full: Tensor

    def __init__(self, config: CompactConfig, spread: NDArray[np.float32]) -> None:
        super().__init__()
        self.weights = LossWeights()
        self.viseme = nn.Linear(config.width, len(VISEME_NAMES))
        self.hint = nn.Linear(config.width, HINTS)
        self.register_buffer("spread", torch.tensor(1 / (spread + 0.02), dtype=torch.float32))
        self.register_buffer("natural", torch.eye(PEOPLE)[:1])
        self.register_buffer("full", torch.tensor([[0.0, 1.0]]))

    def forward(
        self, model: CompactFace, content: Tensor, mouth: Tensor, upper: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Losses by name, weighted: content [B, F, width], logits [B, F, 9] and [B, F, 3], labels [B, F, 14 or 79]."""
        decoder = model.decoder
        truth, truth_upper, speaking, viseme, known = torch.split(labels[..., :LABELS], [8, 3, 1, 1, 1], -1)
        activities, gate = decoder.articulate(mouth)
        face = decoder.compose(activities, gate, torch.sigmoid(upper), self.full, self.natural)[..., :8]
        error = (face - truth) * self.spread
        emphasis = 1 + self.weights.closure_emphasis * truth[..., 6:7] ** 2
        step = (face.diff(dim=1) - truth.diff(dim=1)) * self.spread
        losses = {
            "position": (error * error * emphasis * known).mean(),
            "velocity": self.weights.velocity * (step * step * torch.minimum(known[:, 1:], known[:, :-1])).mean(),
            "contact": self.weights.contact
            * 4
            * F.binary_cross_entropy_with_logits(mouth[..., 6:8], truth[..., 6:8], weight=known),
            "speaking": self.weights.speaking * F.binary_cross_entropy_with_logits(mouth[..., 8:9], speaking),
            "viseme": self.weights.viseme
            * F.cross_entropy(
                self.viseme(content).float().flatten(0, 1), viseme.flatten().long(), label_smoothing=0.05
            ),
            "upper": self.weights.upper * ((torch.sigmoid(upper) - truth_upper) / 0.1).square().mean(),
        }
        if labels.shape[-1] > LABELS:
            heard, hints = labels[..., LABELS : LABELS + 1], labels[..., LABELS + 1 :]
            apart = (self.hint(content) - hints).square() * heard
            losses["hint"] = self.weights.hint * apart.sum() / (HINTS * heard.sum() + 1)
        return losses


def _produce(folder: Path, options: FitOptions, numbers: range, queue: Any, nice: int) -> None:
    os.nice(nice)
    parent = os.getppid()
    examples = Examples(folder, options.seed, hints=options.hints)
    for number in numbers:
        batch = examples.batch(options.batch, number)
        while True:
            try:
                queue.put(batch, timeout=5)
                break
            except Full:
                if os.getppid() != parent:  # the training process was killed
                    queue.cancel_join_thread()  # nobody will read what lies in the pipe
                    return


@contextmanager
def _batches(folder: Path, options: FitOptions, first: int) -> Iterator[Iterator[Batch]]:
    """Yield the batches from number ``first`` on, in their order; each worker makes every n-th."""
    context = mp.get_context("spawn")
    workers = options.workers
    queues = [context.Queue(8) for _ in range(workers)]
    processes = [
        context.Process(
            target=_produce,
            args=(folder, options, range(first + i, options.steps, workers), queues[i], 5),
            daemon=True,
        )
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    try:
        yield (_next(queues[number % workers]) for number in range(options.steps - first))
    finally:
        for process in processes:
            process.terminate()


def _next(queue: Any) -> Batch:
    try:
        batch: Batch = queue.get(timeout=300)
    except Empty:
        raise RuntimeError("no example came for 300 s: the process that makes them has died") from None
    return batch


def learning_rate(options: FitOptions, step: int) -> float:
    """Linear warm-up, then half a cosine over the run."""
    warm = min(1.0, (step + 1) / options.warmup_steps)
    return options.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / options.steps)) + 1e-5


def fit(folder: Path, run: Path, options: FitOptions, provenance: dict[str, Any]) -> Path:
    """Train on a prepared folder; returns the checkpoint, ``run/face.pt``, which is rewritten as training goes.

    Raises:
        RunError: ``run`` is of a network of other sizes.
        WidenError: the checkpoint to start with cannot begin this network.
        CheckpointError: it is none; see :func:`read_checkpoint`.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    preview = Examples(folder, options.seed)
    speech = minutes_by_engine(preview.items)
    log.info("speech in minutes: %s", speech)
    spread = preview.batch(64, -1).labels[..., :8].std((0, 1))
    model = CompactFace(options.config)
    if options.start is not None:
        stored, narrow = read_checkpoint(options.start)
        model = widened(narrow, options.config, options.seed)
        provenance = {**provenance, "began_with": stored["provenance"]}
        model.decoder.contact_gain.fill_(1.0)
        model.decoder.contact_bias.fill_(0.0)
        model.train()
    for module in model.modules():  # of the network that learns; a checkpoint knows nothing of it
        if isinstance(module, Block):
            module.expand.register_forward_hook(lambda _m, _i, out: F.dropout(out, options.dropout))
    model = model.to(device)
    objective = Objective(options.config, spread).to(device)
    average = CompactFace(options.config)
    average.load_state_dict(model.state_dict())
    parameters = [*model.parameters(), *objective.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, options.learning_rate, betas=(0.9, 0.98), weight_decay=options.weight_decay
    )
    step, spent = 0, 0.0
    if (run / "last.pt").is_file():
        state = torch.load(run / "last.pt", map_location=device, weights_only=True)
        try:
            model.load_state_dict(state["model"])
            objective.load_state_dict(state["objective"])
        except RuntimeError as error:
            raise RunError(f"{run} holds a run of a network of other sizes; accepted: a folder of its own") from error
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = int(state["step"]), float(state["spent"])
        log.info("going on from step %d, %.1f minutes", step, spent / 60)
    validation = Validation.load(folder)
    positions, steps = uniform_positions(preview.samples, feature_count(preview.samples))
    positions, steps = positions.to(device), steps.to(device)
    started, shown = time.monotonic() - spent, spent
    running: dict[str, float] = {}

    def save(seconds: float) -> None:
        hours = step * options.batch * preview.samples / SAMPLE_RATE / 3600
        facts = {
            **provenance,
            "corpora": speech,
            "steps": step,
            "minutes": round(seconds / 60, 1),
            "seed": options.seed,
            "hints": options.hints,
            "audio_hours_seen": round(hours, 1),
        }
        _atomic(average.to_checkpoint(facts), run / "face.pt")
        state = {
            "model": model.state_dict(),
            "objective": objective.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "spent": seconds,
        }
        _atomic(state, run / "last.pt")

    with _batches(folder, options, step) as batches:
        for batch in batches:
            rate = learning_rate(options, step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            torch.manual_seed(options.seed * _STRIDE + step)  # what is dropped follows from the step
            labels = torch.from_numpy(batch.labels).to(device)
            with torch.no_grad():
                spectra = model.frontend.spectra(torch.from_numpy(batch.audio).to(device))
                spectra = mix_voices(spectra, np.random.default_rng((options.seed, step, 1)))
                spectra = mask_bands(spectra, np.random.default_rng((options.seed, step)))
            with torch.autocast(device.type, torch.bfloat16):
                features = model.frontend.encode(spectra)
                where = positions.expand(len(labels), -1)
                content = model.content(features, where)
                emotion = model.emotion(features, where, steps.expand(len(labels), -1))
                mouth, upper = model.decoder.activities(content, emotion)
            losses = objective(model, content.float(), mouth.float(), upper.float(), labels)
            loss = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            step += 1
            decay = min(options.average, (step + 1) / (step + 20))
            with torch.no_grad():
                for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                    slow.lerp_(fast.cpu(), 1 - decay)
            if step % 50 == 0:
                for name, value in losses.items():
                    running[name] = 0.7 * running.get(name, value.item()) + 0.3 * value.item()
                now = time.monotonic() - started
                log.info(
                    "step %d of %d  %.2f s/step  lr %.1e  %s", step, options.steps, (now - shown) / 50, rate,
                    "  ".join(f"{k} {v:.3f}" for k, v in running.items()),
                )  # fmt: skip
                shown = now
            if step % options.save_every == 0:
                save(time.monotonic() - started)
            if step % options.validate_every == 0 or step == options.steps:
                report = validation.report(average.eval())
                log.info("validation at step %d: %s", step, report)
                with (run / "validation.jsonl").open("a") as file:
                    file.write(json.dumps({"step": step, **report}) + "\n")
        save(time.monotonic() - started)
    (run / "options.json").write_text(json.dumps(asdict(options), indent=2, default=str))
    return run / "face.pt"


def _atomic(content: dict[str, Any], path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)

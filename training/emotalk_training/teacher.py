"""A teacher for speech that nobody has labelled: a probe on a pretrained encoder, which hears people.

Theory of operation. The probe learns articulators and contacts from speech whose phones are known, then says them for
any speech (:func:`taught`). Where phones are known too, the two are averaged, and where they contradict each other
about a contact nobody learns from that moment: its weight is 0. Speech is labelled by a probe that has not heard its
speaker (:func:`folds`), or it would only repeat the aligner's mistakes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emotalk_export.compact_rig import MOUTH
from emotalk_training import augment
from emotalk_training.articulation import VISEME_NAMES
from emotalk_training.corpus import SAMPLE_RATE, CorpusError, Utterance, utterances
from emotalk_training.encoder import FEATURE_FPS, FEATURES, SpeechEncoder
from emotalk_training.labels import LABEL_FPS, interpolated, label_utterance
from emotalk_training.taught import FACTS, FOLDER, TEACHER, taught_path

log = logging.getLogger(__name__)

CONTACTS = slice(6, 8)
CONTRADICTION = 0.5
"""Difference of a contact between teacher and alignment from which neither is believed."""
AROUND_S = 0.05
"""On either side of such a moment, too."""

_CROP = 400
_BATCH = 16
_WARM_SHARE = 0.07


class Probe(nn.Module):
    """Features [B, T, 512] to logits [B, T, 9] (articulators, speaking) and of visemes [B, T, 27]."""

    def __init__(self, width: int = 192, blocks: int = 4, taps: int = 5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(FEATURES)
        self.enter = nn.Linear(FEATURES, width)
        self.depthwise = nn.ModuleList(
            nn.Conv1d(width, width, taps, padding=taps // 2, groups=width) for _ in range(blocks)
        )
        self.mix = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 2 * width),
                nn.GELU(),
                nn.Dropout(0.1),
                nn.Linear(2 * width, width),
            )
            for _ in range(blocks)
        )
        self.leave = nn.LayerNorm(width)
        self.mouth = nn.Linear(width, len(MOUTH) + 1)
        self.viseme = nn.Linear(width, len(VISEME_NAMES))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the mouth and of visemes."""
        x = self.enter(self.norm(features))
        for conv, mix in zip(self.depthwise, self.mix, strict=True):
            x = x + mix(conv(x.transpose(1, 2)).transpose(1, 2))
        x = self.leave(x)
        return self.mouth(x), self.viseme(x)


def load_probe(path: Path) -> tuple[Probe, NDArray[np.float32]]:
    """Return the probe in a file that :func:`teach` wrote, and the share of each viseme in what it learned from [27].

    Raises:
        CorpusError: the file is not such a probe.
    """
    try:
        stored = torch.load(path, weights_only=True)
        probe = Probe()
        probe.load_state_dict(stored["probe"])
        return probe.eval(), np.array(stored["viseme_share"], np.float32)
    except (OSError, KeyError, RuntimeError, UnpicklingError) as error:
        raise CorpusError(f"{path} is not a teacher ({error}); accepted: taught/teacher.pt of a corpus") from error


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance as the encoder hears it, and what its phones say."""

    voice: str
    family: str
    features: NDArray[np.float16]
    """[T, 512]"""
    labels: NDArray[np.float32]
    """[T, 10]: articulators, speaking, viseme."""
    disturbed: bool = False


def hear(
    encoder: SpeechEncoder, utterance: Utterance, audio: NDArray[np.float32], rng: np.random.Generator | None = None
) -> Heard:
    """Return ``utterance`` as the encoder hears it; with ``rng`` over a random line, in noise."""
    labels, _ = label_utterance(utterance, audio)
    if rng is not None:
        audio = augment.channel(audio, rng)
        noise = augment.noise(len(audio), rng) * np.float32(augment.rms(audio) * 10 ** (-rng.uniform(8, 35) / 20))
        audio = np.asarray(audio + noise, np.float32)
    features = encoder(audio)
    at = np.arange(len(features)) * LABEL_FPS / FEATURE_FPS
    known = interpolated(labels[:, [*range(8), 11]], at)
    viseme = labels[np.minimum(np.round(at).astype(int), len(labels) - 1), 12:13]
    return Heard(utterance.voice, utterance.engine, features, np.concatenate([known, viseme], 1), rng is not None)


def train(heard: Sequence[Heard], steps: int, seed: int, real_share: float = 0.5) -> Probe:
    """Return a probe that was trained on ``heard``; ``real_share`` of the crops are of people.

    Raises:
        CorpusError: there is nothing to learn from.
    """
    if not heard:
        raise CorpusError("no speech with phones is left for a teacher; accepted: --corpus with other voices")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    probe = Probe()
    long = np.array([len(h.features) for h in heard], np.float64)
    people = np.array([h.family == "people" for h in heard], bool)
    each, others = real_share / max(1, long[people].sum()), (1 - real_share) / max(1, long[~people].sum())
    chances = long * np.where(people, each, others)
    chances /= chances.sum()
    spread = torch.tensor(1 / (np.concatenate([h.labels[:, :8] for h in heard]).std(0) + 0.02), dtype=torch.float32)
    optimiser = torch.optim.AdamW(probe.parameters(), 1e-3, weight_decay=0.02)
    for step in range(steps):
        rate = 2e-3 * min(1, (step + 1) / (_WARM_SHARE * steps)) * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = rate
        features = np.zeros((_BATCH, _CROP, FEATURES), np.float32)
        labels = np.zeros((_BATCH, _CROP, 10), np.float32)
        mask = np.zeros((_BATCH, _CROP), np.float32)
        for row, chosen in enumerate(rng.choice(len(heard), _BATCH, p=chances)):
            one = heard[int(chosen)]
            first = int(rng.integers(0, max(1, len(one.features) - _CROP + 1)))
            piece = one.features[first : first + _CROP]
            features[row, : len(piece)], labels[row, : len(piece)], mask[row, : len(piece)] = (
                piece, one.labels[first : first + _CROP], 1,
            )  # fmt: skip
        loss = _loss(probe, torch.from_numpy(features), torch.from_numpy(labels), torch.from_numpy(mask), spread)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0:
            log.info("teacher, step %d of %d: %.3f", step, steps, loss.item())
    return probe.eval()


def _loss(probe: Probe, features: Tensor, labels: Tensor, mask: Tensor, spread: Tensor) -> Tensor:
    mouth, viseme = probe(features)
    truth = labels[..., :8]
    error = (torch.sigmoid(mouth[..., :8]) - truth) * spread
    position = (error * error * (1 + 1.5 * truth[..., 6:7] ** 2)).mean(-1)
    sure = partial(F.binary_cross_entropy_with_logits, reduction="none")
    contact = 1.4 * sure(mouth[..., CONTACTS], truth[..., CONTACTS]).mean(-1)
    speaking = 0.15 * sure(mouth[..., 8], labels[..., 8])
    visemes = partial(F.cross_entropy, reduction="none", label_smoothing=0.05)
    classes = 0.15 * visemes(viseme.transpose(1, 2), labels[..., 9].long())
    return ((position + contact + speaking + classes) * mask).sum() / mask.sum()


def said(probe: Probe, features: NDArray[np.float16], count: int) -> NDArray[np.float32]:
    """Return the probe's word on an utterance at 60 Hz: [count, 10], articulators, speaking, viseme class."""
    with torch.no_grad():
        mouth, viseme = probe(torch.from_numpy(features.astype(np.float32))[None])
    curves = torch.sigmoid(mouth)[0].numpy()
    curves[:, :8] *= np.minimum(1, curves[:, 8:9] * 1.5)  # nobody's mouth moves while nobody speaks
    at = np.arange(count) * FEATURE_FPS / LABEL_FPS
    classes = viseme[0].argmax(-1).numpy().astype(np.float32)
    nearest = np.minimum(np.round(at).astype(int), len(classes) - 1)
    return np.concatenate([interpolated(curves, at), classes[nearest, None]], 1)


def agreed(word: NDArray[np.float32], aligned: NDArray[np.float32] | None) -> NDArray[np.float16]:
    """Return a taught label [L, 11].

    Args:
        word: the teacher's, [L, 10].
        aligned: labels [L, 14] by rule, where phones are known.
    """
    weight = np.ones((len(word), 1), np.float32)
    out = word.copy()
    if aligned is not None:
        known = aligned[: len(word)]
        apart = np.abs(known[:, CONTACTS] - word[:, CONTACTS]).max(1) > CONTRADICTION
        reach = round(AROUND_S * LABEL_FPS)
        apart = np.convolve(apart, np.ones(2 * reach + 1), "same") > 0
        weight[apart] = 0
        out[:, :8] = (word[:, :8] + known[:, :8]) / 2
        out[:, 8] = (word[:, 8] + known[:, 11]) / 2
        out[:, 9] = known[:, 12]
    return np.asarray(np.concatenate([out, weight], 1), np.float16)


def folds(voices: Sequence[str], count: int = 2) -> dict[str, int]:
    """Divide speakers, by name, into ``count`` parts of nearly equal size."""
    return {voice: number % count for number, voice in enumerate(sorted(set(voices)))}


def chosen(corpora: Sequence[Path], most: int, seed: int) -> list[Utterance]:
    """Return up to ``most`` utterances of each family of engines, drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    families: dict[str, list[Utterance]] = {}
    for corpus in corpora:
        for utterance in utterances(corpus):
            families.setdefault(utterance.engine.split("-")[0], []).append(utterance)
    return [many[i] for _, many in sorted(families.items()) for i in rng.permutation(len(many))[:most]]


def teach(
    folder: Path, aligned: Sequence[Utterance], encoder: SpeechEncoder, steps: int, seed: int = 1
) -> dict[str, float]:
    """Label every utterance of the corpus ``folder`` for training; return what came of it.

    Args:
        aligned: speech with phones to learn from, beside that of ``folder`` itself.
    """
    rng = np.random.default_rng(seed)
    mine = list(utterances(folder, phones_needed=False))
    known = [u for u in mine if u.phones]
    log.info("hearing %d + %d utterances", len(aligned), len(mine))
    heard: list[Heard] = []
    for utterance in [*known, *aligned]:
        audio = utterance.audio()
        heard.append(hear(encoder, utterance, audio))
        if utterance.engine == "people" or rng.random() < 0.3:
            heard.append(hear(encoder, utterance, audio, rng))
    clean = {u.name: h.features for u, h in zip(known, (h for h in heard if not h.disturbed), strict=False)}
    where = folds([u.voice for u in mine])
    probes = [
        train([h for h in heard if where.get(h.voice) != fold], steps, seed + fold)
        for fold in range(max(where.values()) + 1)
    ]
    (folder / FOLDER).mkdir(exist_ok=True)
    seconds = left = 0.0
    for utterance in mine:
        audio = utterance.audio()
        count = int(np.ceil(len(audio) / SAMPLE_RATE * LABEL_FPS))
        features = clean[utterance.name] if utterance.name in clean else encoder(audio)
        word = said(probes[where[utterance.voice]], features, count)
        labels = label_utterance(utterance, audio)[0] if utterance.phones else None
        label = agreed(word, labels)
        np.save(taught_path(folder, utterance.name), label)
        seconds += count / LABEL_FPS
        left += float((label[:, -1] == 0).sum()) / LABEL_FPS
    share = np.bincount(
        np.concatenate([h.labels[:, 9].astype(int) for h in heard]), minlength=len(VISEME_NAMES)
    ).astype(float)
    torch.save(
        {"probe": probes[0].state_dict(), "viseme_share": (share / share.sum()).tolist()}, folder / FOLDER / TEACHER
    )
    facts = {"seconds": seconds, "left_out": left, "steps": steps, "seed": seed}
    (folder / FOLDER / FACTS).write_text(json.dumps(facts))
    return {"minutes": seconds / 60, "left_out": left / max(seconds, 1e-9)}

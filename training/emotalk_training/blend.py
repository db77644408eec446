"""The weighted mean of checkpoints that began with one another.

Further training gains what it is about and loses some of what it is not; the mean of the weights before and after keeps
most of both (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from emotalk_training.checkpoints import read_checkpoint
from emotalk_training.corpus import CorpusError

_NEAR = 1e-6


def blend(parts: Sequence[tuple[Path, float]], out: Path) -> None:
    """Write the mean of checkpoints, each with its share, into ``out``, which is to be calibrated next.

    Raises:
        CorpusError: the shares do not add up to 1, or the sizes differ.
        CheckpointError: a file is not a bundled face model's; see :func:`read_checkpoint`.
    """
    if not parts or abs(sum(share for _, share in parts) - 1) > _NEAR:
        raise CorpusError(f"the shares are {[share for _, share in parts]}; accepted: ones that add up to 1")
    stored, models = zip(*(read_checkpoint(path) for path, _ in parts), strict=True)
    if any(model.config != models[0].config for model in models):
        raise CorpusError("the checkpoints are of different sizes; accepted: ones that began with one another")
    mean = models[0]
    with torch.no_grad():
        for name, weights in mean.state_dict().items():
            weights.copy_(sum(share * m.state_dict()[name] for m, (_, share) in zip(models, parts, strict=True)))
        mean.decoder.contact_gain.fill_(1.0)
        mean.decoder.contact_bias.fill_(0.0)
    sources = [{**each["provenance"], "share": share} for each, (_, share) in zip(stored, parts, strict=True)]
    torch.save(mean.to_checkpoint({**sources[-1], "blend": sources[:-1]}), out)

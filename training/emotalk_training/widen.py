"""A wider network that does what a narrower one does: more room, with nothing forgotten (Net2Net, Chen et al. 2016)."""

from __future__ import annotations

from dataclasses import asdict, replace

import torch
from torch import Tensor

from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_training.errors import WidenError


def widened(model: CompactFace, config: CompactConfig, seed: int) -> CompactFace:
    """Return ``model`` with the hidden channels of ``config`` in its content blocks; the same face but for rounding.

    A new channel is the copy of one that is there, and the two share its weight towards the block's output in uneven
    parts, so that they can part ways.

    Raises:
        WidenError: another size differs, or there would be fewer channels, or more than twice as many.
    """
    own = model.config
    if replace(own, hidden=config.hidden) != config or not own.hidden <= config.hidden <= 2 * own.hidden:
        raise WidenError(
            f"a checkpoint of sizes {asdict(own)} cannot begin a network of {asdict(config)}; accepted: the same sizes "
            "or `hidden` up to twice as large"
        )
    random = torch.Generator().manual_seed(seed)
    state = dict(model.state_dict())
    for block in range(own.content_blocks):
        name = f"content.layers.{block}."
        state.update(_more(state, name, config.hidden - own.hidden, random))
    wide = CompactFace(config)
    wide.load_state_dict(state)
    return wide


def _more(state: dict[str, Tensor], block: str, more: int, random: torch.Generator) -> dict[str, Tensor]:
    expand, bias, reduce = (state[block + name] for name in ("expand.weight", "expand.bias", "reduce.weight"))
    copied = torch.randperm(len(expand), generator=random)[:more]
    share = torch.empty(len(copied)).uniform_(0.3, 0.7, generator=random)
    kept = reduce.clone()
    kept[:, copied] *= 1 - share
    return {
        block + "expand.weight": torch.cat([expand, expand[copied]]),
        block + "expand.bias": torch.cat([bias, bias[copied]]),
        block + "reduce.weight": torch.cat([kept, reduce[:, copied] * share], 1),
    }

"""The bundled face model, a step of a live stream at a time: new audio and a cache in, new frames and a cache out.

Rule that this module guards: **a stream's frames are its whole clip's.** The layers are :mod:`emotalk_export.compact`'s
own, and each sees exactly the rows that it would see in the whole clip: those of the steps before lie in the cache,
those beyond the clip's ends are zero, and none is computed from rows that may still change. So a frame may see as far
as in the whole clip (``LOOK_AHEAD_SAMPLES`` ahead, ``PAST_SAMPLES`` back) and no further.

Theory of operation. A layer that looks ``ahead`` rows ahead is computed that much later: its newest row out lags its
newest row in. A cache keeps the last ``past + ahead`` rows in of each layer; zeros to begin with, which is what a layer
pads its input with. Rows before the clip's first or after its last are masked to zero behind every layer, as padding is
zero for every layer anew. Behind the rows of the step, some rows of *drain* are computed as if the stream ended
here: at its end they are the last frames, and before it they tell by what is known now how it will go on. They leave no
trace in the cache.

Rows are counted relative to the step: features from the first that is new, frames from the first that is not final yet.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emotalk_contract.live_steps import StepReach
from emotalk_contract.timing import GRID_FEATURES, GRID_FRAMES
from emotalk_export.compact import (
    FRONTEND_REACH,
    LOUDNESS_FLOOR,
    LOUDNESS_HOPS,
    LOUDNESS_SMOOTHING_HOPS,
    Block,
    CompactConfig,
    CompactFace,
    lerp,
)
from emotalk_export.compact import Frontend as WholeFrontend

HELD_SPECTRA = LOUDNESS_HOPS + LOUDNESS_SMOOTHING_HOPS
"""Powers of the past by which a spectrum's loudness is told."""


def reach_of(config: CompactConfig) -> StepReach | None:
    """Return the reach of a step of this network; None where a step could not hold what the network needs."""
    emotion = config.emotion_blocks_ahead
    frames = range(GRID_FRAMES)
    # The emotion's frames are read off the first block's rows, as late as the content's frames are there.
    needed = max(_feature_after(f + emotion) - _feature_after(f) for f in frames)
    if needed > config.content_blocks_ahead or config.content_taps_past < GRID_FRAMES:
        return None
    return StepReach(FRONTEND_REACH, config.content_blocks_ahead, emotion)


def _feature_after(frame: int) -> int:
    return math.ceil(frame * GRID_FEATURES / GRID_FRAMES)


class LiveStep(nn.Module):
    """One step, for a batch of streams that bring equally many features and frames.

    See :attr:`emotalk_contract.tensors.LIVE_GRAPH` for the tensors.
    """

    def __init__(self, face: CompactFace) -> None:
        super().__init__()
        self.face = face
        self.blocks_ahead = sum(block.ahead for block in _blocks(face.content.layers))
        self.emotion_ahead = sum(block.ahead for block in _blocks(face.emotion.layers))
        width, narrow = face.config.width, face.config.emotion_width
        self.sizes = [
            HELD_SPECTRA,
            *((block.past + block.ahead) * width for block in _blocks(face.content.layers)),
            width,
            *((block.past + block.ahead) * narrow for block in _blocks(face.emotion.layers)),
            *(block.past * width for block in _blocks(face.decoder.layers)),
        ]

    @property
    def cache_size(self) -> int:
        """Numbers in the cache of one stream."""
        return sum(self.sizes)

    def forward(
        self,
        audio: Tensor,
        cache: Tensor,
        bounds: Tensor,
        drain: Tensor,
        positions: Tensor,
        drain_positions: Tensor,
        emotion_positions: Tensor,
        level_code: Tensor,
        style_code: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Raw weights [B, final + provisional, 52], and the next cache [B, cache]."""
        parts = _Parts(cache, self.sizes)
        features, powers = self._features(audio, parts.take())
        parts.keep(powers)
        count = features.shape[1]
        zeros = features.new_zeros((features.shape[0], drain.shape[1], features.shape[2]))
        rows = count + drain.shape[1]
        inside = _inside(bounds[:, 0:1], bounds[:, 1:2], -self.blocks_ahead, rows + self.blocks_ahead)

        x = torch.cat([features, zeros], 1)
        x = x * inside[:, self.blocks_ahead :]
        late = 0
        heard: Tensor | None = None
        for block in _blocks(self.face.content.layers):
            before = parts.take().reshape(-1, block.past + block.ahead, x.shape[2])
            both = torch.cat([before, x], 1)
            heard = both if heard is None else heard
            x = _run(block, both, rows)
            parts.keep(both[:, count : count + block.past + block.ahead])
            late += block.ahead
            x = x * inside[:, self.blocks_ahead - late : self.blocks_ahead - late + rows]
        assert heard is not None  # noqa: S101  # a network has blocks
        trunk = torch.cat([parts.take().unsqueeze(1), self.face.content.norm(x)], 1)
        parts.keep(trunk[:, count : count + 1])

        final = positions.shape[1]
        every = torch.cat([positions, drain_positions], 1)
        frames = final + drain_positions.shape[1]
        shown = _inside(bounds[:, 2:3], bounds[:, 3:4], 0, frames + self.emotion_ahead)
        content = self.face.content.out(lerp(trunk, every + float(self.blocks_ahead + 1)))
        first = self.face.content.layers[0]
        assert isinstance(first, Block)  # noqa: S101  # for the type checker
        emotion = self._emotion(
            lerp(heard, emotion_positions + float(first.past + first.ahead)), shown, parts, final, frames
        )
        x = content * shown[:, :frames]
        for block in _blocks(self.face.decoder.layers):
            both = torch.cat([parts.take().reshape(-1, block.past, x.shape[2]), x], 1)
            x = _run(block, both, frames) * shown[:, :frames]
            parts.keep(both[:, final : final + block.past])
        decoder = self.face.decoder
        activities, speaking = decoder.articulate(decoder.mouth(decoder.norm(x)))
        upper = torch.sigmoid(decoder.upper(emotion))
        composed = decoder.compose(activities, speaking, upper, level_code, style_code)
        return composed @ decoder.bs_map_r.T, parts.kept()

    def _features(self, audio: Tensor, powers: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, n, width], and the powers to keep."""
        frontend: WholeFrontend = self.face.frontend
        power = frontend.power(audio.unsqueeze(1))
        means = torch.cat([powers, power.mean(1)], 1)
        level = F.avg_pool1d(means.unsqueeze(1), LOUDNESS_SMOOTHING_HOPS + 1, 1)
        loudest = torch.clamp(F.max_pool1d(level, LOUDNESS_HOPS + 1, 1), min=LOUDNESS_FLOOR)
        features = frontend.encode(frontend.relative(power, loudest))
        past = 2 * features.shape[1]
        return features, means[:, past : past + HELD_SPECTRA]

    def _emotion(self, x: Tensor, shown: Tensor, parts: _Parts, final: int, frames: int) -> Tensor:
        emotion = self.face.emotion
        x = emotion.project(x) * shown[:, self.emotion_ahead :]
        late = 0
        for block in _blocks(emotion.layers):
            before = parts.take().reshape(-1, block.past + block.ahead, x.shape[2])
            both = torch.cat([before, x], 1)
            x = _run(block, both, frames)
            parts.keep(both[:, final : final + block.past + block.ahead])
            late += block.ahead
            x = x * shown[:, self.emotion_ahead - late : self.emotion_ahead - late + frames]
        out: Tensor = F.relu(emotion.out(emotion.norm(x)))
        return out


class _Parts:
    """The cache, taken apart and put together again in the same order."""

    def __init__(self, cache: Tensor, sizes: list[int]) -> None:
        self._rest = list(torch.split(cache, sizes, 1))
        self._kept: list[Tensor] = []

    def take(self) -> Tensor:
        """Return the next part [B, size]."""
        return self._rest.pop(0)

    def keep(self, rows: Tensor) -> None:
        """Put ``rows`` where the part came from that was taken likewise."""
        self._kept.append(rows.flatten(1))

    def kept(self) -> Tensor:
        """Return the next cache [B, sizes in all]."""
        return torch.cat(self._kept, 1)


def _run(block: Block, rows: Tensor, count: int) -> Tensor:
    """``block`` over ``rows`` [B, past + ahead + count, C], which hold all that it sees: [B, count, C]."""
    y = block.depthwise(rows.transpose(1, 2)).transpose(1, 2)
    return block.added(rows[:, block.past : block.past + count], y)


def _inside(first: Tensor, end: Tensor, start: int, count: int) -> Tensor:
    """1 for the rows ``first`` <= i < ``end`` [B, 1] of those from ``start`` on, 0 for the others: [B, count, 1]."""
    index = torch.arange(count, dtype=torch.float32).unsqueeze(0) + float(start)
    return ((index >= first) & (index < end)).float().unsqueeze(-1)


def _blocks(layers: nn.ModuleList) -> list[Block]:
    return [layer for layer in layers if isinstance(layer, Block)]

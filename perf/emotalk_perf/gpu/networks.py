"""The networks that are measured: EmoTalk's at its real size and the bundled one's, with seeded weights.

Trained weights change no time: EmoTalk's may not be passed on, and so nothing has to be there but the code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from emotalk_contract.limits import LEVELS, PERSONS
from emotalk_contract.timing import SAMPLE_RATE, Window, frame_grid
from emotalk_export.checkpoint import NetworkSize, TrunkSize, expected_shapes
from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_export.layers import Half, State
from emotalk_export.network import Content, ConvStack, Decoder, Emotion, Frontend, TransformerLayer
from emotalk_perf.gpu import flops

SEED = 7

_TRUNK = TrunkSize(conv=512, hidden=1024, layers=24, feed_forward=4096, position_kernel=128, position_group=64)
EMOTALK = NetworkSize(
    content=_TRUNK, emotion=_TRUNK,
    content_map=512, emotion_map=256, level_map=32, person_map=32, decoder=832, decoder_feed_forward=832,
    attention_heads=16,
)  # fmt: skip
"""EmoTalk as it was released."""
_SMALL_TRUNK = TrunkSize(conv=16, hidden=32, layers=2, feed_forward=64, position_kernel=16, position_group=8)
SMALL_EMOTALK = NetworkSize(
    content=_SMALL_TRUNK, emotion=_SMALL_TRUNK,
    content_map=16, emotion_map=8, level_map=4, person_map=4, decoder=32, decoder_feed_forward=32,
    attention_heads=4,
)  # fmt: skip
"""The same in small, for tests."""
SMALL_COMPACT = CompactConfig(width=32, hidden=64, emotion_width=16, emotion_hidden=32, decoder_hidden=64)
"""The bundled network's topology in small, for tests."""


class Network(Protocol):
    """A network as it is measured."""

    @property
    def name(self) -> str:
        """Name in the tables."""

    @property
    def module(self) -> nn.Module:
        """The whole of it: :meth:`inputs` to weights [B, F, 52]."""

    @property
    def halves(self) -> bool:
        """True where the layers compute in the type of their weights."""

    @property
    def live_s(self) -> float:
        """Seconds of a live stream's window."""

    def inputs(self, batch: int, samples: int, device: torch.device) -> tuple[Tensor, ...]:
        """Inputs of :attr:`module` for ``batch`` windows of ``samples`` samples."""

    def regions(self, module: nn.Module) -> Sequence[nn.Module]:
        """The parts of :attr:`module`, or of a copy, that are compiled.

        Alike ones share what is compiled, so that it takes seconds, not minutes.
        """

    def flops(self, samples: int) -> int:
        """Operations of one window."""


@dataclass(frozen=True)
class EmoTalk:
    """EmoTalk's four networks, one after the other."""

    size: NetworkSize
    module: nn.Module
    name: str = "EmoTalk's size"
    halves: bool = True
    live_s: float = 2.5

    @classmethod
    def make(cls, size: NetworkSize, device: torch.device) -> EmoTalk:
        """A network of ``size`` on ``device``, float32."""
        generator = torch.Generator(device).manual_seed(SEED)
        tensor = partial(_tensor, generator=generator, device=device)
        state = {key: tensor(key, shape) for key, shape in expected_shapes(size).items()}
        return cls(size, EmoTalkChain(state, size).to(device).eval())

    def regions(self, module: nn.Module) -> Sequence[nn.Module]:
        """Both convolutional frontends, and every layer of the transformers."""
        return [part for part in module.modules() if isinstance(part, (ConvStack, TransformerLayer))]

    def inputs(self, batch: int, samples: int, device: torch.device) -> tuple[Tensor, ...]:
        """Normalised noise, its frame grid, level and person."""
        grid = frame_grid(Window.whole(samples))
        positions = (torch.from_numpy(p)[None] for p in (grid.content, grid.emotion, grid.emotion_frame))
        shared = [*positions, *_codes()]
        return _noise(batch, samples, device), *(t.to(device).expand(batch, -1).contiguous() for t in shared)

    def flops(self, samples: int) -> int:
        """See :mod:`emotalk_perf.gpu.flops`."""
        return flops.emotalk(self.size, samples)


class EmoTalkChain(nn.Module):
    """EmoTalk's four networks as one module: what :meth:`EmoTalk.inputs` makes to weights [B, F, 52]."""

    def __init__(self, state: State, size: NetworkSize) -> None:
        super().__init__()
        self.frontend = Frontend(state, identical=False)
        self.content, self.emotion = Content(state, size), Emotion(state, size)
        self.decoder = Decoder(state)

    def forward(
        self, audio: Tensor, positions: Tensor, steps: Tensor, frame_steps: Tensor, level: Tensor, style: Tensor
    ) -> Tensor:
        """NETWORK_AUDIO, the three positions and both codes to RAW_BLENDSHAPES [B, F, 52]."""
        content, emotion = self.frontend(audio)
        weights: Tensor = self.decoder(
            self.content(content, positions), self.emotion(emotion, steps, frame_steps), level, style
        )
        return weights


@dataclass(frozen=True)
class Bundled:
    """The bundled face model's network."""

    config: CompactConfig
    module: nn.Module
    name: str = "the bundled network"
    halves: bool = False
    live_s: float = 1.75

    @classmethod
    def make(cls, config: CompactConfig, device: torch.device) -> Bundled:
        """A network of ``config`` on ``device``, float32."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            face = CompactFace(config)
        return cls(config, CompactChain(face).to(device).eval())

    def regions(self, module: nn.Module) -> Sequence[nn.Module]:
        """The four graphs."""
        return list(module.children())

    def inputs(self, batch: int, samples: int, device: torch.device) -> tuple[Tensor, ...]:
        """Noise, the uniform frame grid, level and person."""
        grid = frame_grid(Window.whole(samples), "uniform")
        positions = (torch.from_numpy(p)[None] for p in (grid.content, grid.emotion_frame))
        shared = [*positions, *_codes()]
        return _noise(batch, samples, device) / 10, *(t.to(device).expand(batch, -1).contiguous() for t in shared)

    def flops(self, samples: int) -> int:
        """See :mod:`emotalk_perf.gpu.flops`."""
        return flops.compact(self.config, samples)


class CompactChain(nn.Module):
    """:class:`CompactFace` with the frame grid as an input, as it is served: nothing is copied on the way."""

    def __init__(self, face: CompactFace) -> None:
        super().__init__()
        self.frontend, self.decoder = face.frontend, face.decoder
        self.content, self.emotion = face.content, face.emotion

    def forward(self, audio: Tensor, positions: Tensor, frame_steps: Tensor, level: Tensor, style: Tensor) -> Tensor:
        """AUDIO, feature and step of each frame, and both codes to RAW_BLENDSHAPES [B, F, 52]."""
        content, emotion = self.frontend(audio)
        weights: Tensor = self.decoder(
            self.content(content, positions), self.emotion(emotion, positions, frame_steps), level, style
        )
        return weights


def in_bf16(module: nn.Module) -> nn.Module:
    """Let every layer of ``module`` that can be halved compute in bfloat16; norms and sums stay float32."""
    for part in module.modules():
        if isinstance(part, Half):
            part.weight, part.bias = part.weight.bfloat16(), part.bias.bfloat16()
    return module


def samples_of(seconds: float) -> int:
    """Samples of a window."""
    return round(seconds * SAMPLE_RATE)


def _tensor(key: str, shape: tuple[int, ...], *, generator: torch.Generator, device: torch.device) -> Tensor:
    """Weights that keep what passes through them of order one."""
    leaf = key.rsplit(".", 1)[-1]
    if "norm" in key and leaf == "weight":
        return torch.ones(shape, device=device)
    if leaf == "weight_g":
        # Weight norm over all axes but the taps': a group's and output channels' share of a unit sum for each tap.
        return torch.ones(shape, device=device)
    if leaf in ("bias", "in_proj_bias"):
        return torch.zeros(shape, device=device)
    spread = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.randn(shape, generator=generator, device=device) * spread


def _codes() -> tuple[Tensor, Tensor]:
    return torch.eye(LEVELS)[-1:], torch.eye(PERSONS)[:1]


def _noise(batch: int, samples: int, device: torch.device) -> Tensor:
    generator = torch.Generator(device).manual_seed(SEED)
    return torch.randn((batch, samples), generator=generator, device=device)

"""Wav2Lip, the UNet-328 and their audio encoder in torch: the same topology, written from its layers' shapes.

Nothing of theirs was read or copied. Batch normalisation is folded into the convolution before it, as it always can be
at inference, so that a layer is a convolution, a bias, and a rectifier behind it where there is one. The order of the
convolutions within each part (:func:`parts`) is the order in which a released checkpoint keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emotalk_contract.renderers import FEATURE_WIDTH

UNET_WIDTHS = (32, 64, 128, 256, 512)


class Convolution(nn.Module):
    """A convolution with its bias; its input is added where ``residual``, and a rectifier follows where ``active``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int = 1,
        groups: int = 1,
        *,
        residual: bool = False,
        active: bool = True,
    ) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
        self.residual, self.active = residual, active

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C', H', W']."""
        y = self.kernel(x)
        if self.residual:
            y = y + x
        return F.relu(y) if self.active else y


class Enlarging(nn.Module):
    """A transposed convolution, its bias and a rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 2, padding: int = 1, output_padding: int = 1) -> None:
        super().__init__()
        self.kernel = nn.ConvTranspose2d(inputs, outputs, 3, stride, padding, output_padding)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C', H', W']."""
        return F.relu(self.kernel(x))


def _residuals(width: int, count: int) -> Iterator[Convolution]:
    return (Convolution(width, width, residual=True) for _ in range(count))


def _sound_encoder() -> nn.Sequential:
    """[N, 1, 80, 16] to [N, 512, 1, 1]."""
    return nn.Sequential(
        Convolution(1, 32),
        *_residuals(32, 2),
        Convolution(32, 64, stride=(3, 1)),
        *_residuals(64, 2),
        Convolution(64, 128, stride=3),
        *_residuals(128, 2),
        Convolution(128, 256, stride=(3, 2)),
        *_residuals(256, 1),
        Convolution(256, 512, padding=0),
        Convolution(512, FEATURE_WIDTH, kernel=1, padding=0),
    )


class Wav2Lip(nn.Module):
    """Wav2Lip's generator, 36.3 million parameters, in its own order of channels and colours."""

    def __init__(self) -> None:
        super().__init__()
        self.face = nn.ModuleList([nn.Sequential(Convolution(6, 16, kernel=7, padding=3))])
        for inputs, outputs, count in ((16, 32, 2), (32, 64, 3), (64, 128, 2), (128, 256, 2), (256, 512, 1)):
            self.face.append(nn.Sequential(Convolution(inputs, outputs, stride=2), *_residuals(outputs, count)))
        self.face.append(nn.Sequential(Convolution(512, 512, padding=0), Convolution(512, 512, kernel=1, padding=0)))
        self.sound = _sound_encoder()
        self.mouth = nn.ModuleList(
            [
                nn.Sequential(Convolution(512, 512, kernel=1, padding=0)),
                nn.Sequential(Enlarging(1024, 512, stride=1, padding=0, output_padding=0), *_residuals(512, 1)),
            ]
        )
        for inputs, outputs in ((1024, 512), (768, 384), (512, 256), (320, 128), (160, 64)):
            self.mouth.append(nn.Sequential(Enlarging(inputs, outputs), *_residuals(outputs, 2)))
        self.colours = nn.Sequential(Convolution(80, 32), Convolution(32, 3, kernel=1, padding=0, active=False))

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """[N, 1, 80, 16] and [N, 6, 96, 96] to [N, 3, 96, 96], 0..1."""
        seen = []
        for block in self.face:
            face = block(face)
            seen.append(face)
        x = self.sound(mel)
        for block in self.mouth:
            x = torch.cat([block(x), seen.pop()], 1)
        return torch.sigmoid(self.colours(x))


class Ave(nn.Module):
    """The audio encoder that the UNet listens through, 2.8 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.sound = _sound_encoder()

    def forward(self, mel: Tensor) -> Tensor:
        """[N, 1, 80, 16] to [N, 512]."""
        features: Tensor = self.sound(mel).flatten(1)
        return features


class Inverted(nn.Sequential):
    """An inverted residual: wider by a 1x1, a 3x3 within each channel, and narrow again."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, residual: bool = False) -> None:
        wide = 2 * inputs
        super().__init__(
            Convolution(inputs, wide, kernel=1, padding=0),
            Convolution(wide, wide, stride=stride, groups=wide),
            Convolution(wide, outputs, kernel=1, padding=0, active=False),
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C', H', W']."""
        y = x
        for layer in self:
            y = layer(y)
        return y + x if self.residual else y


def _pair(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(Inverted(inputs, outputs, stride), Inverted(outputs, outputs, residual=True))


class Unet328(nn.Module):
    """The UNet of 328-pixel crops, 12.15 million parameters, which hears features of the audio encoder."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = UNET_WIDTHS
        self.sound = nn.Sequential(
            Inverted(32, 64),
            Inverted(64, 128),
            Convolution(128, 256),
            Inverted(256, 256, residual=True),
            Convolution(256, 512, stride=2, padding=3),
            Inverted(512, 512, residual=True),
            Inverted(512, 512, residual=True),
        )
        self.joined = nn.Sequential(_pair(2 * fifth, fifth), _pair(fifth, fourth))
        self.first = Inverted(6, first)
        self.down = nn.ModuleList(
            _pair(inputs, outputs, 2)
            for inputs, outputs in ((first, first), (first, second), (second, third), (third, fourth), (fourth, fifth))
        )
        self.up = nn.ModuleList(
            _pair(inputs, outputs)
            for inputs, outputs in (
                (2 * fourth, third),
                (2 * third, second),
                (2 * second, first),
                (2 * first, first),
                (2 * first, 16),
            )
        )
        self.colours = Convolution(16, 3, kernel=1, padding=0, active=False)

    def forward(self, crop: Tensor, features: Tensor) -> Tensor:
        """[N, 6, 320, 320] and [N, 32, 16, 16] to [N, 3, 320, 320], 0..1."""
        seen = [self.first(crop)]
        for block in self.down:
            seen.append(block(seen[-1]))
        x = self.joined(torch.cat([seen.pop(), self.sound(features)], 1))
        for block in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = block(torch.cat([x, seen.pop()], 1))
        return torch.sigmoid(self.colours(x))


def kernels(module: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    """Return the convolutions of ``module``, in order."""
    return [found for found in module.modules() if isinstance(found, nn.Conv2d | nn.ConvTranspose2d)]


def parts(network: nn.Module) -> dict[str, list[nn.Conv2d | nn.ConvTranspose2d]]:
    """Return the convolutions of each part of ``network``, in order; a checkpoint may have the parts in another."""
    found: dict[str, list[nn.Conv2d | nn.ConvTranspose2d]] = {}
    for name, part in network.named_children():
        if name in ("down", "up"):  # each of these is a part of its own
            found |= {f"{name} {i}": kernels(block) for i, block in enumerate(part.children(), 1)}
        else:
            found[name] = kernels(part)
    return found

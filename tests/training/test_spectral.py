"""What is changed in the spectra of a batch, and what never is."""

import numpy as np
import pytest
import torch

from emotalk_training.spectral import EMPTY, mask_bands, mix_voices

pytestmark = pytest.mark.torch


def test_masked_bands_are_empty_and_loudness_is_never_masked() -> None:
    spectra = mask_bands(torch.ones(64, 81, 10), np.random.default_rng(0))
    masked = (spectra[:, :, 0] != 1).sum(1)
    assert 0.2 < (masked > 0).float().mean() < 0.6
    assert masked.max() <= 14
    assert (spectra[:, 80] == 1).all()


def voices() -> torch.Tensor:
    """64 lively spectra, each at a mean and a deviation of its own, far from empty."""
    made = torch.Generator().manual_seed(1)
    spread = 0.5 + torch.rand(64, 81, 1, generator=made)
    return 9 + torch.rand(64, 81, 1, generator=made) + spread * torch.randn(64, 81, 200, generator=made)


def test_a_mixed_voice_has_means_between_its_own_and_anothers_and_says_the_same() -> None:
    spectra = voices()
    mixed = mix_voices(spectra, np.random.default_rng(0))
    changed = (mixed != spectra).any(2)[:, :80].any(1)
    assert 0.2 < changed.float().mean() < 0.6
    means = spectra[:, :80].mean(2)
    own, now = means[changed], mixed[changed][:, :80].mean(2)
    between = [
        ((now[n] >= torch.minimum(own[n], means) - 0.02) & (now[n] <= torch.maximum(own[n], means) + 0.02)).all(1).any()
        for n in range(len(own))
    ]
    assert all(between)
    for was, became in zip(spectra[changed][:, 5], mixed[changed][:, 5], strict=True):
        assert np.corrcoef(was, became)[0, 1] > 0.9999
    torch.testing.assert_close(mixed[:, 80], spectra[:, 80], rtol=0, atol=0)


def test_what_is_drawn_below_nothing_is_empty() -> None:
    mixed = mix_voices(voices() - 9, np.random.default_rng(0))
    assert mixed[:, :80][mixed[:, :80] != (voices() - 9)[:, :80]].min() == pytest.approx(EMPTY)


def test_a_steady_room_takes_part_in_no_mixture() -> None:
    spectra = voices()
    spectra[::2] = spectra[::2].mean(2, keepdim=True)
    mixed = mix_voices(spectra, np.random.default_rng(0))
    torch.testing.assert_close(mixed[::2], spectra[::2], rtol=0, atol=0)
    assert (mixed[1::2] != spectra[1::2]).any()
    assert (mixed[1::2, :80].std(2) > 0.3).all()

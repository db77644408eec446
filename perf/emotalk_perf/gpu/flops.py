"""Floating-point operations of the networks, by formula.

Counted as PyTorch's own ``torch.utils.flop_counter`` does, which a test compares: two operations (a product and a sum)
for every multiplication of a matrix product, an attention or a convolution, none for norms, activations and softmax.

- A product [rows, in] x [in, out]: ``2 rows in out``.
- A convolution with ``steps`` outputs of ``out`` channels, over ``in / groups`` channels and ``taps`` taps:
  ``2 steps out (in / groups) taps``.
- Attention over F frames of width C: ``2 F² C`` for the scores and as much for their product with the values
  (Kaplan et al., arXiv 2001.08361, table 1, without its factor for causal masks: masked scores are computed too).

Layers and widths: :mod:`emotalk_export.network` and :mod:`emotalk_export.compact`.
"""

from __future__ import annotations

from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.limits import LEVELS, PERSONS
from emotalk_contract.timing import CONV_KERNELS, CONV_STRIDES, emotion_frame_count, feature_count, frame_count
from emotalk_export.checkpoint import NetworkSize, TrunkSize
from emotalk_export.compact import MEL_BANDS, MEL_HOP, MEL_WINDOW, CompactConfig, mel_filterbank
from emotalk_export.compact_rig import COMPOSED, MOUTH, STYLE_PARAMETERS, UPPER

PADDING = 2 * MEL_HOP + MEL_WINDOW // 2 + 120
"""Zeros that the bundled network's frontend adds: two spectra and half a window before, 120 samples after."""


def product(rows: int, inner: int, columns: int) -> int:
    """``[rows, inner] x [inner, columns]``."""
    return 2 * rows * inner * columns


def emotalk(size: NetworkSize, samples: int) -> int:
    """Operations of one window of ``samples`` samples through EmoTalk's four networks, with both frontends."""
    features, frames = feature_count(samples), frame_count(samples)
    steps = emotion_frame_count(features)
    return (
        _conv_stack(size.content.conv, samples)
        + _conv_stack(size.emotion.conv, samples)
        + _trunk(size.content, frames)
        + _trunk(size.emotion, steps)
        + _decoder(size, frames)
    )


def _conv_stack(channels: int, samples: int) -> int:
    total, inputs, steps = 0, 1, samples
    for kernel, stride in zip(CONV_KERNELS, CONV_STRIDES, strict=True):
        steps = (steps - kernel) // stride + 1
        total += 2 * steps * channels * inputs * kernel
        inputs = channels
    return total


def _trunk(size: TrunkSize, frames: int) -> int:
    # An even kernel gives one output more, which is dropped.
    positions = frames + 1 - size.position_kernel % 2
    layer = (
        4 * product(frames, size.hidden, size.hidden)
        + 2 * product(frames, size.hidden, frames)
        + 2 * product(frames, size.hidden, size.feed_forward)
    )
    return (
        product(frames, size.conv, size.hidden)
        + 2 * positions * size.hidden * size.position_group * size.position_kernel
        + size.layers * layer
    )


def _decoder(size: NetworkSize, frames: int) -> int:
    width = size.decoder
    return (
        product(frames, size.content.hidden, size.content_map)
        + product(frames, size.emotion.hidden, size.emotion_map)
        + product(1, LEVELS, size.level_map)
        + product(1, PERSONS, size.person_map)
        + 4 * product(frames, width, width)
        + 2 * product(frames, width, frames)
        + product(frames, size.emotion.hidden, width)
        + 2 * product(frames, width, size.decoder_feed_forward)
        + product(frames, width, BLENDSHAPE_COUNT)
    )


def compact(config: CompactConfig, samples: int) -> int:
    """Operations of one window of ``samples`` samples through the bundled face model's network."""
    features, frames = feature_count(samples), frame_count(samples)
    width, emotion = config.width, config.emotion_width
    spectra = (samples + PADDING - MEL_WINDOW) // MEL_HOP + 1
    bins = mel_filterbank()[1].shape[1]
    content_taps = config.content_blocks * (config.content_taps_past + 1) + config.content_blocks_ahead
    emotion_taps = config.emotion_blocks * (config.emotion_taps_past + 1) + config.emotion_blocks_ahead
    decoder_taps = config.decoder_blocks * (config.decoder_taps_past + 1)
    return (
        product(spectra, MEL_WINDOW, 2 * bins)
        + product(spectra, bins, MEL_BANDS)
        + product(spectra - 2, 3 * (MEL_BANDS + 1), width)
        + product(features, 3 * width, width)
        + _blocks(features, width, config.hidden, config.content_blocks, content_taps)
        + product(frames, width, width)
        + product(frames, width, emotion)
        + _blocks(frames, emotion, config.emotion_hidden, config.emotion_blocks, emotion_taps)
        + product(frames, emotion, config.emotion_out)
        + _blocks(frames, width, config.decoder_hidden, config.decoder_blocks, decoder_taps)
        + product(frames, width, len(MOUTH) + 1)
        + product(frames, config.emotion_out, len(UPPER))
        + product(1, LEVELS, 1)
        + product(1, PERSONS, len(STYLE_PARAMETERS))
        + product(frames, len(COMPOSED), BLENDSHAPE_COUNT)
    )


def _blocks(steps: int, width: int, hidden: int, blocks: int, taps: int) -> int:
    """``blocks`` blocks; their depthwise convolutions have ``taps`` taps together."""
    return 2 * steps * width * taps + 2 * blocks * product(steps, width, hidden)

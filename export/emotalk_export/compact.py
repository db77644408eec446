"""The bundled face model: a small network in EmoTalk's topology and tensor contract, with bounded context.

Rule that this module guards: **no frame may see further than** :attr:`CompactFace.LOOK_AHEAD_SAMPLES` **ahead or**
:attr:`CompactFace.PAST_SAMPLES` **back.** Every layer is a convolution, a pooling or a lerp of known reach, the two
constants are sums over the layers, and a test changes the audio outside them. So a window that holds this context gives
exactly what the whole clip gives, and a live stream what a file gives.

Theory of operation. ``frontend``: raw audio (-1..1) to log-mel power at 100 Hz, relative to the loudest moment of the
past :data:`LOUDNESS_S` seconds (with an absolute floor, so that silence is not amplified), then two convolutions to
50 Hz features; feature k is centred on sample 320 k. ``content``: convolution blocks at 50 Hz, then a lerp to frames.
``emotion``: a lerp to frames, then narrow blocks. ``decoder``: causal blocks at 30 fps, articulator activities, and the
composition of :mod:`emotalk_export.compact_rig` — lips come from the content, brows, eyes and cheeks from the emotion.

Frame f is the face at f/30 s, read at feature f * 5/3; all of it moves with a shift by 1600 samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emotalk_contract.timing import FEATURE_HOP, FPS, SAMPLE_RATE
from emotalk_export.compact_rig import (
    CLOSED_JAW,
    LABIODENTAL_JAW,
    MOUTH,
    STYLE_PARAMETERS,
    UPPER,
    rig_matrix,
    style_matrix,
)

__all__ = ["FORMAT", "CheckpointError", "CompactConfig", "CompactFace"]

FORMAT = "emotalk-compact-1"
"""Name of the checkpoint's layout; raised when the layout changes."""

MEL_HOP = 160
"""10 ms between spectra: two to a feature."""
MEL_WINDOW = 400
"""25 ms of audio in a spectrum, centred on its time."""
MEL_BANDS = 80
MEL_LOW_HZ, MEL_HIGH_HZ = 40.0, 7600.0

LOUDNESS_HOPS = 90
"""Spectra over which the loudest moment is sought."""
LOUDNESS_S = LOUDNESS_HOPS * MEL_HOP / SAMPLE_RATE
"""0.9 s."""
LOUDNESS_SMOOTHING_HOPS = 4
"""Spectra before the present one over which power is averaged first, so that a click is not a loud moment."""
LOUDNESS_FLOOR = 1e-6
"""Mean square (-60 dB of full scale) below which nothing is loud."""
RANGE_FLOOR = 1e-5
"""Band power relative to the loudest moment (-50 dB) below which a band counts as empty."""

_SPECTRA_EACH_SIDE = 2
"""Two convolutions of three taps at 100 Hz around a feature's centre."""
_LEFT_PAD = _SPECTRA_EACH_SIDE * MEL_HOP + MEL_WINDOW // 2
_RIGHT_PAD = 120
"""Zeros after the audio that make exactly T features of every length: T = (N - 400) // 320 + 1."""

FRONTEND_REACH = _SPECTRA_EACH_SIDE * MEL_HOP + MEL_WINDOW // 2
"""Samples on either side of a feature's centre that it hears, its loudness aside."""
FRONTEND_PAST_SAMPLES = FRONTEND_REACH + (LOUDNESS_HOPS + LOUDNESS_SMOOTHING_HOPS) * MEL_HOP
"""Reach of the frontend before a feature's own centre: audio of two clips must be further apart than that."""


WINDOW_S = 25.0
"""Seconds of a window when a clip is cut: any length gives the same face."""
LIVE_CONTEXT_S = 1.5
"""Seconds of past that a live stream's windows carry: as near to the whole clip as all the 2 s that the network can see
(`emotalk-perf equivalence`); from 1 s downwards it is not."""


class CheckpointError(ValueError):
    """A checkpoint that is not a bundled face model's: says what was found and what is accepted."""


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """Sizes of the network. Plain ints only, so that a checkpoint carries it."""

    width: int = 256
    """Channels of features, content encoder and decoder."""
    hidden: int = 640
    """Channels inside a content block."""
    content_blocks: int = 8
    content_taps_past: int = 5
    """Taps before the present one in each content block, 20 ms each."""
    content_blocks_ahead: int = 4
    """Content blocks that look one feature (20 ms) ahead."""
    emotion_width: int = 96
    emotion_hidden: int = 256
    emotion_blocks: int = 3
    emotion_taps_past: int = 8
    """Taps before the present one in each emotion block, 33 ms each."""
    emotion_blocks_ahead: int = 2
    emotion_out: int = 32
    decoder_hidden: int = 512
    decoder_blocks: int = 2
    decoder_taps_past: int = 3
    """Taps before the present one in each decoder block, 33 ms each; the decoder looks ahead nowhere."""


def mel_filterbank() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fixed Fourier and mel matrices.

    Bins are every 40 Hz from 40 to 7600 Hz under a Hann window, scaled so that white noise of mean square s has
    power s in a bin; the lowest would hear an offset through the window, and is freed of it. Bands are triangles,
    even in mel (2595 log10(1 + f/700)), each summing to 1.

    Returns:
        float32 [2 * 190, 400] (cosines, then sines) and float32 [80, 190].
    """
    sample = np.arange(MEL_WINDOW)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * sample / MEL_WINDOW)
    bins = np.arange(1, int(MEL_HIGH_HZ * MEL_WINDOW / SAMPLE_RATE) + 1)
    angle = 2 * np.pi * bins[:, None] * sample / MEL_WINDOW
    fourier = np.concatenate([np.cos(angle), np.sin(angle)]) * window / math.sqrt((window**2).sum())
    fourier -= np.outer(fourier.sum(1) / window.sum(), window)
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (MEL_LOW_HZ, MEL_HIGH_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595) - 1)
    hertz = bins * SAMPLE_RATE / MEL_WINDOW
    # Low bands are narrower than a bin: a triangle is never narrower than 1.5 bins to either side.
    reach = 1.5 * SAMPLE_RATE / MEL_WINDOW
    left = np.maximum(edges[1:-1] - edges[:-2], reach)[:, None]
    right = np.maximum(edges[2:] - edges[1:-1], reach)[:, None]
    offset = hertz[None] - edges[1:-1, None]
    bands = np.maximum(0.0, np.where(offset < 0, 1 + offset / left, 1 - offset / right))
    bands /= bands.sum(1, keepdims=True)
    return fourier.astype(np.float32), bands.astype(np.float32)


class Block(nn.Module):
    """x + scale * MLP(LayerNorm(depthwise convolution of x)), over ``past`` + 1 + ``ahead`` steps; [B, T, C]."""

    def __init__(self, width: int, hidden: int, past: int, ahead: int) -> None:
        super().__init__()
        self.past, self.ahead = past, ahead
        self.depthwise = nn.Conv1d(width, width, past + 1 + ahead, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.reduce = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        return self.added(x, self.depthwise(F.pad(x.transpose(1, 2), (self.past, self.ahead))).transpose(1, 2))

    def added(self, x: Tensor, y: Tensor) -> Tensor:
        """``x`` and what becomes of its convolution ``y``, both [B, T, C]."""
        out: Tensor = x + self.scale * self.reduce(F.gelu(self.expand(self.norm(y))))
        return out


def lerp(sequence: Tensor, positions: Tensor) -> Tensor:
    """``sequence`` [B, T, C] at fractional ``positions`` [B, F] (clamped to 0..T-1): [B, F, C], linear between."""
    last = sequence.shape[1] - 1
    positions = torch.clamp(positions, 0, last)
    below = torch.floor(positions)
    weight = (positions - below).unsqueeze(-1)
    lower = below.to(torch.int64)
    upper = torch.clamp(lower + 1, max=last)
    channels = sequence.shape[2]
    first = torch.gather(sequence, 1, lower.unsqueeze(-1).expand(-1, -1, channels))
    second = torch.gather(sequence, 1, upper.unsqueeze(-1).expand(-1, -1, channels))
    return first + (second - first) * weight


class Frontend(nn.Module):
    """``wav2vec_frontend``: AUDIO [B, N] to CONTENT_FEATURES and EMOTION_FEATURES, both [B, T, width] and the same."""

    fourier: Tensor
    bands: Tensor

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        fourier, bands = mel_filterbank()
        # Not part of a checkpoint: formulas, not weights.
        self.register_buffer("fourier", torch.from_numpy(fourier)[:, None], persistent=False)
        self.register_buffer("bands", torch.from_numpy(bands)[:, :, None], persistent=False)
        self.conv1 = nn.Conv1d(MEL_BANDS + 1, config.width, 3)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2)
        self.norm = nn.LayerNorm(config.width)

    def spectra(self, audio: Tensor) -> Tensor:
        """Loudness-normalised log-mel spectra, and the loudness: AUDIO [B, N] to [B, 81, M], 100 Hz. No weights."""
        power = self.power(F.pad(audio[:, None], (_LEFT_PAD, _RIGHT_PAD)))
        level = F.avg_pool1d(
            F.pad(power.mean(1, keepdim=True), (LOUDNESS_SMOOTHING_HOPS, 0)),
            LOUDNESS_SMOOTHING_HOPS + 1,
            1,
        )
        loudest = F.max_pool1d(F.pad(level, (LOUDNESS_HOPS, 0)), LOUDNESS_HOPS + 1, 1)
        return self.relative(power, torch.clamp(loudest, min=LOUDNESS_FLOOR))

    def power(self, audio: Tensor) -> Tensor:
        """Power of the mel bands: audio [B, 1, N] that is padded already to [B, 80, M]."""
        wave = F.conv1d(audio, self.fourier, stride=MEL_HOP)
        cosine, sine = wave.chunk(2, 1)
        return F.conv1d(cosine * cosine + sine * sine, self.bands)

    def relative(self, power: Tensor, loudest: Tensor) -> Tensor:
        """Spectra [B, 81, M] of ``power`` [B, 80, M] beside the loudest moment [B, 1, M]."""
        relative = torch.log(power / loudest + RANGE_FLOOR)
        # Fixed scales: both come to the convolutions with about zero mean and unit variance.
        return torch.cat([(relative + 6.0) / 3.0, (torch.log(loudest) + 8.0) / 3.0], 1)

    def encode(self, spectra: Tensor) -> Tensor:
        """Spectra [B, 81, M] to features [B, T, width]."""
        x = F.gelu(self.conv1(spectra))
        x = F.gelu(self.conv2(x))
        out: Tensor = self.norm(x.transpose(1, 2))
        return out

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encode(self.spectra(audio))
        return features, features.clone()


class Content(nn.Module):
    """``wav2vec_content``: CONTENT_FEATURES [B, T, width], CONTENT_POSITIONS [B, F] to CONTENT [B, F, width]."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        ahead = _spread(config.content_blocks_ahead, config.content_blocks)
        self.layers = nn.ModuleList(Block(config.width, config.hidden, config.content_taps_past, a) for a in ahead)
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, config.width)

    def trunk(self, features: Tensor) -> Tensor:
        """Features [B, T, width] to the same at 50 Hz, in context."""
        for layer in self.layers:
            features = layer(features)
        out: Tensor = self.norm(features)
        return out

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        out: Tensor = self.out(lerp(self.trunk(features), positions))
        return out


class Emotion(nn.Module):
    """``wav2vec_emotion``: EMOTION_FEATURES [B, T, width], EMOTION_POSITIONS [B, E], EMOTION_FRAME_POSITIONS [B, F]
    to EMOTION [B, F, emotion_out]."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.project = nn.Linear(config.width, config.emotion_width)
        ahead = _spread(config.emotion_blocks_ahead, config.emotion_blocks)
        self.layers = nn.ModuleList(
            Block(config.emotion_width, config.emotion_hidden, config.emotion_taps_past, a) for a in ahead
        )
        self.norm = nn.LayerNorm(config.emotion_width)
        self.out = nn.Linear(config.emotion_width, config.emotion_out)

    def forward(self, features: Tensor, positions: Tensor, frame_positions: Tensor) -> Tensor:
        x = self.project(lerp(features, positions))
        for layer in self.layers:
            x = layer(x)
        return lerp(F.relu(self.out(self.norm(x))), frame_positions)


class Decoder(nn.Module):
    """``emotalk_decoder``: CONTENT, EMOTION, LEVEL_CODE [B, 2], STYLE_CODE [B, 24] to RAW_BLENDSHAPES [B, F, 52].

    ``activities`` are the network's own words; ``compose`` turns them into weights by rule. The level and style codes
    enter linearly (``obj_vector_level``, ``obj_vector_person``), and those two maps and ``bs_map_r`` hold the rules of
    :mod:`emotalk_export.compact_rig`: buffers, not trained.
    """

    level_map: Tensor
    style_map: Tensor
    bs_map_r: Tensor
    contact_gain: Tensor
    contact_bias: Tensor

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Block(config.width, config.decoder_hidden, config.decoder_taps_past, 0)
            for _ in range(config.decoder_blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.mouth = nn.Linear(config.width, len(MOUTH) + 1)
        self.upper = nn.Linear(config.emotion_out, len(UPPER))
        self.register_buffer("level_map", torch.tensor([[0.0, 1.0]]))
        self.register_buffer("style_map", torch.from_numpy(style_matrix()))
        self.register_buffer("bs_map_r", torch.from_numpy(rig_matrix()))
        # Calibration of the two contact probabilities (closure, labiodental), set on validation speech after training.
        self.register_buffer("contact_gain", torch.ones(2))
        self.register_buffer("contact_bias", torch.zeros(2))

    def activities(self, content: Tensor, emotion: Tensor) -> tuple[Tensor, Tensor]:
        """Logits: mouth [B, F, 9] (:data:`MOUTH`, then "somebody speaks") and upper face [B, F, 3]."""
        for layer in self.layers:
            content = layer(content)
        return self.mouth(self.norm(content)), self.upper(emotion)

    def articulate(self, mouth: Tensor) -> tuple[Tensor, Tensor]:
        """Mouth logits [B, F, 9] to :data:`MOUTH` activities [B, F, 8], each on its own, and speaking [B, F, 1]."""
        speaking = torch.sigmoid(mouth[..., 8:9])
        free = torch.sigmoid(mouth[..., 0:6])
        contacts = torch.sigmoid(mouth[..., 6:8] * self.contact_gain + self.contact_bias)
        return torch.cat([free, contacts], -1) * speaking, speaking

    def compose(self, mouth: Tensor, speaking: Tensor, upper: Tensor, level: Tensor, style: Tensor) -> Tensor:
        """Activities of mouth [B, F, 8], speaking [B, F, 1] and upper face [B, F, 3], LEVEL_CODE [B, 2] and
        STYLE_CODE [B, 24] to the columns of the rig [B, F, 16]. Contacts win over every other gesture and style."""
        gain = (level @ self.level_map.T).unsqueeze(1)
        jaw_gain, lip_gain, spread_gain, smile, skew, brow_gain = (
            (style @ self.style_map.T).unsqueeze(1).chunk(len(STYLE_PARAMETERS), -1)
        )
        jaw, pucker, funnel, spread, drop, tongue, closure, labiodental = mouth.chunk(8, -1)
        jaw = hold_jaw(jaw * jaw_gain, closure, labiodental)
        pucker = pucker * lip_gain * (1 - 0.4 * closure)
        funnel = funnel * lip_gain * (1 - 0.8 * closure) * (1 - 0.6 * labiodental)
        spread = spread * spread_gain * (1 - 0.6 * closure)
        drop = drop * jaw_gain * (1 - closure) * (1 - 0.8 * labiodental)
        pull = skew * speaking * (1 - closure)
        return torch.cat(
            [
                jaw,
                pucker,
                funnel,
                spread,
                drop,
                tongue,
                closure,
                labiodental,
                upper * brow_gain * gain,
                smile * speaking,
                F.relu(pull),
                F.relu(-pull),
                0.08 * spread * gain,
                (0.05 * drop + 0.10 * labiodental) * gain,
            ],
            -1,
        )

    def forward(self, content: Tensor, emotion: Tensor, level_code: Tensor, style_code: Tensor) -> Tensor:
        mouth, upper = self.activities(content, emotion)
        activities, speaking = self.articulate(mouth)
        composed = self.compose(activities, speaking, torch.sigmoid(upper), level_code, style_code)
        return composed @ self.bs_map_r.T


def hold_jaw(jaw: Tensor, closure: Tensor, labiodental: Tensor) -> Tensor:
    """The jaw under the lips' contacts: ``CLOSED_JAW`` when closed, at most ``LABIODENTAL_JAW`` for f and v."""
    jaw = jaw + (CLOSED_JAW - jaw) * closure
    return jaw + (torch.clamp(jaw, max=LABIODENTAL_JAW) - jaw) * labiodental


def _spread(chosen: int, total: int) -> list[int]:
    """``chosen`` ones spread evenly over ``total`` places."""
    return [(i + 1) * chosen // total - i * chosen // total for i in range(total)]


class CompactFace(nn.Module):
    """The four graphs, chained on the uniform frame grid: audio in, 52 raw weights at 30 fps out."""

    LOOK_AHEAD_SAMPLES: ClassVar[int]
    """The furthest sample after a frame's time that it hears (of the default configuration)."""
    PAST_SAMPLES: ClassVar[int]
    """The furthest sample before a frame's time that it hears (of the default configuration)."""

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config or CompactConfig()
        self.frontend = Frontend(self.config)
        self.content = Content(self.config)
        self.emotion = Emotion(self.config)
        self.decoder = Decoder(self.config)

    def forward(self, audio: Tensor, level_code: Tensor, style_code: Tensor) -> Tensor:
        """AUDIO [B, N] (16 kHz, -1..1, N >= 720), LEVEL_CODE [B, 2], STYLE_CODE [B, 24] to weights [B, F, 52]."""
        content_features, emotion_features = self.frontend(audio)
        positions, steps = uniform_positions(audio.shape[1], content_features.shape[1])
        positions = positions.to(audio.device).expand(len(audio), -1)
        steps = steps.to(audio.device).expand(len(audio), -1)
        content = self.content(content_features, positions)
        emotion = self.emotion(emotion_features, positions, steps)
        result: Tensor = self.decoder(content, emotion, level_code, style_code)
        return result

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> CompactFace:
        """The network of a checkpoint as ``torch.load(path, weights_only=True)`` gives it.

        Raises:
            CheckpointError: the format is another one, or a size, a missing or an unexpected key does not fit.
        """
        found = checkpoint.get("format")
        if found != FORMAT:
            raise CheckpointError(f"checkpoint format is {found!r}; accepted: {FORMAT!r}")
        known = {f.name for f in fields(CompactConfig)}
        config = dict(checkpoint["config"])
        if unknown := sorted(set(config) - known):
            raise CheckpointError(f"unknown sizes in the checkpoint: {unknown}; known: {sorted(known)}")
        model = cls(CompactConfig(**config))
        state = from_released_names(checkpoint["state_dict"])
        expected = model.state_dict()
        missing, extra = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
        if missing or extra:
            raise CheckpointError(f"checkpoint keys do not fit: missing {missing}, unexpected {extra}")
        for key, value in state.items():
            if value.shape != expected[key].shape:
                raise CheckpointError(f"{key} has shape {tuple(value.shape)}; expected {tuple(expected[key].shape)}")
        model.load_state_dict({key: value.float() for key, value in state.items()})
        return model.eval()

    def to_checkpoint(self, provenance: Mapping[str, Any], half: bool = True) -> dict[str, Any]:
        """This network as a plain, ``weights_only``-loadable dict; ``half`` stores float16."""
        dtype = torch.float16 if half else torch.float32
        look_ahead, past = reach(self.config)
        return {
            "format": FORMAT,
            "config": asdict(self.config),
            "recipe": {
                "normalisation": "none",
                "frame_grid": "uniform",
                "context_before_s": past / SAMPLE_RATE,
                "look_ahead_s": look_ahead / SAMPLE_RATE,
            },
            "state_dict": to_released_names({k: v.detach().to(dtype).clone() for k, v in self.state_dict().items()}),
            "provenance": dict(provenance),
        }


def uniform_positions(samples: int, features: int) -> tuple[Tensor, Tensor]:
    """Feature index of each frame, f * 5/3 clamped to the last feature, and 0..F-1: two float32 [1, F]."""
    frames = torch.arange(-(-samples * FPS // SAMPLE_RATE), dtype=torch.float64)
    per_frame = SAMPLE_RATE / FEATURE_HOP / FPS
    return torch.clamp(frames * per_frame, max=features - 1).float()[None], frames.float()[None]


def reach(config: CompactConfig) -> tuple[int, int]:
    """(look-ahead, past) in samples: the furthest samples after and before a frame's time that change it.

    A frame falls up to 2/3 of a feature before the feature that it is interpolated from, and as much after.
    """
    lerp_reach = FEATURE_HOP * 2 // 3 + 1
    frame = -(-SAMPLE_RATE // FPS)
    content = (
        config.content_blocks_ahead * FEATURE_HOP,
        config.content_blocks * config.content_taps_past * FEATURE_HOP
        + config.decoder_blocks * config.decoder_taps_past * frame,
    )
    emotion = (
        config.emotion_blocks_ahead * frame,
        config.emotion_blocks * config.emotion_taps_past * frame,
    )
    # The last feature exists once the audio holds the 400 samples of its nominal span.
    ahead = max(FRONTEND_REACH, MEL_WINDOW)
    return (
        max(content[0], emotion[0]) + lerp_reach + ahead,
        max(content[1], emotion[1]) + lerp_reach + FRONTEND_PAST_SAMPLES,
    )


CompactFace.LOOK_AHEAD_SAMPLES, CompactFace.PAST_SAMPLES = reach(CompactConfig())

_RELEASED_NAMES: Sequence[tuple[str, str]] = (
    ("frontend.", "audio_encoder_cont.feature_extractor."),
    ("content.out.", "audio_feature_map_cont."),
    ("content.", "audio_encoder_cont.encoder."),
    ("emotion.out.", "audio_feature_map_emo."),
    ("emotion.", "audio_encoder_emo.encoder."),
    ("decoder.level_map", "obj_vector_level.weight"),
    ("decoder.style_map", "obj_vector_person.weight"),
    ("decoder.bs_map_r", "bs_map_r.weight"),
    ("decoder.upper.", "audio_feature_map_emo2."),
    ("decoder.", "transformer_decoder."),
)
"""Prefixes here and in a checkpoint, which follows EmoTalk's released state_dict where parts correspond."""


def _renamed(state: Mapping[str, Tensor], table: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Tensor]]:
    for key, value in state.items():
        for ours, theirs in table:
            if key.startswith(ours):
                yield theirs + key[len(ours) :], value
                break
        else:
            raise CheckpointError(f"key {key!r} belongs to no part; parts: {[ours for ours, _ in table]}")


def to_released_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ``CompactFace.state_dict()`` under the names that a checkpoint uses."""
    return dict(_renamed(state, _RELEASED_NAMES))


def from_released_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`to_released_names`."""
    return dict(_renamed(state, [(theirs, ours) for ours, theirs in _RELEASED_NAMES]))

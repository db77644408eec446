"""The network in torch against the authors' own code, and against transformers' wav2vec 2.0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import (
    Golden,
    Network,
    authors_positions,
    batch,
    difference,
    goldens,
    largest,
    normalised,
    ramp,
)
from torch import nn

import seeded
from emotalk_contract.timing import Positions, Window, emotion_frame_count, feature_count, frame_count, frame_grid
from emotalk_export import network as networks
from emotalk_export.checkpoint import CONTENT_PREFIX, EMOTION_PREFIX
from emotalk_export.face import EmoTalkFace, open_face
from emotalk_export.layers import lerp

pytestmark = pytest.mark.torch

TOLERANCE = 1e-5
"""The right network is 1e-6 from the authors' code."""
OURS = goldens(seeded.DATA / "goldens_small")


@pytest.mark.parametrize("golden", OURS, ids=lambda golden: golden.path.stem)
def test_goldens(small_network: Network, golden: Golden) -> None:
    assert difference(small_network, golden) <= TOLERANCE


def test_goldens_of_recorded_speech(small_network: Network, reference: Path | None) -> None:
    if reference is None:
        pytest.skip("no recorded reference here (EMOTALK_REFERENCE)")
    found = {golden.path.stem: difference(small_network, golden) for golden in goldens(reference / "goldens_small")}
    assert len(found) >= 25
    assert max(found.values()) <= TOLERANCE, found


def test_seeded_recipe_is_the_reference_one(reference: Path | None) -> None:
    """Our copy of the recipe must make the tensors for which the goldens hold, to the bit."""
    if reference is None:
        pytest.skip("no reference here (EMOTALK_REFERENCE)")
    namespace: dict[str, Callable[..., object]] = {"__name__": "reference", "__file__": str(reference / "seeded.py")}
    exec(compile((reference / "seeded.py").read_text("utf-8"), "seeded.py", "exec"), namespace)  # noqa: S102
    theirs = namespace["state"](namespace["shapes"]("small"), seeded.SEED)
    ours = seeded.state(seeded.shapes("small"), seeded.SEED)
    assert isinstance(theirs, dict)
    assert {key: value.tobytes() for key, value in ours.items()} == {k: v.tobytes() for k, v in theirs.items()}
    assert namespace["shapes"]("full") == seeded.shapes("full")
    signal = namespace["speechlike"](50_000)
    assert isinstance(signal, np.ndarray)
    assert signal.tobytes() == seeded.speechlike(50_000).tobytes()


@pytest.mark.parametrize("golden", [g for g in OURS if g.samples != 132_800], ids=lambda golden: golden.path.stem)
def test_frame_grid_of_a_whole_clip_gives_the_goldens(small_network: Network, golden: Golden) -> None:
    audio = golden.audio()
    at = frame_grid(Window.whole(len(audio)), "align_corners")
    found = small_network.weights(normalised(audio), at, golden.level, golden.person)
    assert largest(found, golden.weights()) <= 1e-5


# What a tolerance is worth -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip() -> Golden:
    return next(golden for golden in OURS if golden.path.stem == "speechlike_32000__level1_person0")


def _no_normalisation(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    return network.weights(audio, at)


def _mean_removal_only(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    return network.weights(audio - audio.mean(), at)


def _peak_normalisation(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    return network.weights(audio / np.abs(audio).max(), at)


def _large_epsilon(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    return network.weights(normalised(audio, 1e-5), at)


def _corners_not_aligned(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    def positions(source: int, target: int) -> np.ndarray:
        return np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1).astype(np.float32)

    features, steps, frames = feature_count(len(audio)), len(at.emotion), len(at.content)
    wrong = Positions(positions(features, frames), positions(features, steps), positions(steps, frames))
    return network.weights(normalised(audio), wrong)


def _content_at_50_fps(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    with torch.inference_mode():
        content, emotion = network.features(normalised(audio))
        return network.decode(
            lerp(network.content.trunk(content), batch(at.content)),
            network.emotion(emotion, batch(at.emotion), batch(at.emotion_frame)),
            1,
            0,
        )


def _content_resampled_twice(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    with torch.inference_mode():
        content, emotion = network.features(normalised(audio))
        return network.decode(
            lerp(network.content.trunk(lerp(content, batch(at.emotion))), batch(at.emotion_frame)),
            network.emotion(emotion, batch(at.emotion), batch(at.emotion_frame)),
            1,
            0,
        )


def _emotion_at_50_fps(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    with torch.inference_mode():
        content, emotion = network.features(normalised(audio))
        return network.decode(
            network.content(content, batch(at.content)),
            lerp(network.emotion.trunk(emotion), batch(at.content)),
            1,
            0,
        )


def _emotion_resampled_once(network: Network, audio: np.ndarray, at: Positions) -> np.ndarray:
    frames = np.arange(len(at.content), dtype=np.float32)
    return network.weights(normalised(audio), Positions(at.content, at.content, frames))


MISTAKES = (
    _no_normalisation,
    _mean_removal_only,
    _peak_normalisation,
    _large_epsilon,
    _corners_not_aligned,
    _content_at_50_fps,
    _content_resampled_twice,
    _emotion_at_50_fps,
    _emotion_resampled_once,
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_tolerance_tells_a_wrong_chain(
    small_network: Network, clip: Golden, mistake: Callable[[Network, np.ndarray, Positions], np.ndarray]
) -> None:
    audio, expected = clip.audio(), clip.weights()
    found = mistake(small_network, audio, authors_positions(len(audio), len(expected)))
    assert largest(found, expected) > 10 * TOLERANCE


def _tanh_gelu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "gelu", partial(F.gelu, approximate="tanh"))


def _alibi_per_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "ALIBI_PERIOD", 1)


def _alibi_period_25(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "ALIBI_PERIOD", 25)


def _no_alibi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "ALIBI_PERIOD", 1e9)


def _position_trimmed_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    right = networks.Convolution.forward

    def shifted(layer: networks.Convolution, x: torch.Tensor) -> torch.Tensor:
        y = right(layer, x)
        return torch.roll(y, -1, dims=1) if layer.padding else y

    monkeypatch.setattr(networks.Convolution, "forward", shifted)


@pytest.mark.parametrize(
    "mistake", [_tanh_gelu, _alibi_per_frame, _alibi_period_25, _no_alibi, _position_trimmed_at_the_start]
)
def test_tolerance_tells_a_wrong_network(
    small_network: Network, monkeypatch: pytest.MonkeyPatch, clip: Golden, mistake: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mistake(monkeypatch)
    assert difference(small_network, clip) > 10 * TOLERANCE


@pytest.mark.parametrize("part", ["g of the weight norm", "person", "level"])
def test_tolerance_tells_wrong_weights(
    small_state: dict[str, torch.Tensor], tmp_path: Path, clip: Golden, part: str
) -> None:
    if part == "g of the weight norm":
        for prefix in (CONTENT_PREFIX, EMOTION_PREFIX):
            name = f"{prefix}encoder.pos_conv_embed.conv.weight_"
            small_state[name + "g"] = small_state[name + "v"].square().sum((0, 1), keepdim=True).sqrt()
    else:
        small_state[f"obj_vector_{part}.weight"] = small_state[f"obj_vector_{part}.weight"].flip(1)
    torch.save(small_state, tmp_path / "wrong.pth")
    assert difference(Network(open_face(tmp_path / "wrong.pth", 4)), clip) > 10 * TOLERANCE


def test_wrong_number_of_heads_shows(small_checkpoint: Path, clip: Golden) -> None:
    assert difference(Network(open_face(small_checkpoint, 8)), clip) > 10 * TOLERANCE


# Windows -------------------------------------------------------------------------------------------


def test_a_window_that_knows_its_clip_reads_the_same_features(small_network: Network) -> None:
    audio = normalised(seeded.speechlike(80_000))
    whole = frame_grid(Window.whole(80_000), "align_corners")
    content, emotion = small_network.features(audio)
    first, samples = 30, 32_000
    window = frame_grid(Window(samples, first, 80_000), "align_corners")
    cut_content, cut_emotion = small_network.features(audio[16_000 : 16_000 + samples])
    step = int(np.floor(first * (len(whole.emotion) - 1) / (len(whole.content) - 1)))
    # At either end a window lacks a feature that its clip has.
    inner = slice(1, -2)

    def apart(cut: torch.Tensor, at: np.ndarray, uncut: torch.Tensor, clip_at: np.ndarray) -> float:
        expected = lerp(uncut, batch(clip_at[: len(at)]))
        return float((lerp(cut, batch(at)) - expected)[:, inner].abs().max())

    assert apart(cut_content, window.content, content, whole.content[first:]) < 2e-4
    assert apart(cut_emotion, window.emotion, emotion, whole.emotion[step:]) < 2e-4
    alone = frame_grid(Window.whole(samples), "align_corners")
    assert apart(cut_content, alone.content, content, whole.content[first:]) > 1e-2


def test_phantom_frames_are_the_authors_alone() -> None:
    golden = next(golden for golden in OURS if golden.samples == 132_800)
    assert len(golden.weights()) == frame_count(132_800) + 1


# Against transformers ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [CONTENT_PREFIX, EMOTION_PREFIX])
def test_trunk_is_transformers_wav2vec2(
    small_face: EmoTalkFace, small_network: Network, small_state: dict[str, torch.Tensor], prefix: str
) -> None:
    transformers = pytest.importorskip("transformers")
    size = small_face.checkpoint.size.content
    judge = transformers.Wav2Vec2Model(
        transformers.Wav2Vec2Config(
            hidden_size=size.hidden,
            num_hidden_layers=size.layers,
            num_attention_heads=4,
            intermediate_size=size.feed_forward,
            conv_dim=[size.conv] * 7,
            conv_bias=True,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            apply_spec_augment=False,
            num_conv_pos_embedding_groups=size.hidden // size.position_group,
        )
    ).eval()
    state = {
        key.removeprefix(prefix)
        .replace("conv.weight_g", "conv.parametrizations.weight.original0")
        .replace("conv.weight_v", "conv.parametrizations.weight.original1"): value
        for key, value in small_state.items()
        if key.startswith(prefix) and "lm_head" not in key
    }
    judge.load_state_dict(state)
    signal = batch(normalised(seeded.speechlike(48_000)))
    ours: nn.Module = small_network.content if prefix == CONTENT_PREFIX else small_network.emotion
    with torch.inference_mode():
        features = small_network.frontend(signal)[0 if prefix == CONTENT_PREFIX else 1]
        found, expected = ours.trunk(features), judge(signal).last_hidden_state
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_positions_of_the_authors() -> None:
    """The ramp that the parity tests use is torch's own interpolation."""
    features = torch.randn(1, 8, 249, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(features, size=150, align_corners=True, mode="linear").transpose(1, 2)
    found = lerp(features.transpose(1, 2), batch(ramp(249, 150)))
    assert torch.allclose(found, expected, atol=1e-6)
    assert emotion_frame_count(205) == 122

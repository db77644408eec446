"""The network's promises that hold for any weights: shapes, bounded context, rules that styles cannot break."""

import numpy as np
import pytest
import torch

from emotalk_contract.arkit import INDEX
from emotalk_contract.timing import Window, feature_count, frame_count, frame_grid
from emotalk_export.compact import (
    CheckpointError,
    CompactConfig,
    CompactFace,
    from_released_names,
    to_released_names,
    uniform_positions,
)
from emotalk_export.compact_rig import COMPOSED

pytestmark = pytest.mark.torch

RATE = 16_000


@pytest.fixture(scope="module")
def face() -> CompactFace:
    torch.manual_seed(3)
    model = CompactFace().eval()
    with torch.no_grad():  # layer scales as after training: every tap counts
        for name, value in model.named_parameters():
            if name.endswith(".scale"):
                value.fill_(1.0)
    return model


def natural(batch: int = 1, level: float = 1.0, person: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[1 - level, level]]).expand(batch, -1), torch.eye(24)[person : person + 1].expand(batch, -1)


def run(model: CompactFace, audio: torch.Tensor, level: float = 1.0, person: int = 0) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(audio, *natural(len(audio), level, person))
    return out


def speechlike(seconds: float, seed: int = 0) -> torch.Tensor:
    """Noise whose loudness comes and goes, [1, N]."""
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(1, int(seconds * RATE), generator=generator) * 0.1
    return audio * (0.1 + torch.sin(torch.arange(audio.shape[1]) / 2500.0) ** 2)


@pytest.mark.parametrize("samples", [720, 721, 1039, 1040, 1041, 1600, 16_000, 16_399, 40_123])
def test_lengths_are_the_contracts(face: CompactFace, samples: int) -> None:
    content, emotion = face.frontend(torch.zeros(2, samples))
    assert content.shape == emotion.shape == (2, feature_count(samples), 256)
    assert run(face, torch.zeros(1, samples)).shape == (1, frame_count(samples), 52)


def test_positions_are_those_of_the_uniform_grid() -> None:
    for samples in (720, 16_000, 40_123):
        content, steps = uniform_positions(samples, feature_count(samples))
        expected = frame_grid(Window.whole(samples), "uniform")
        np.testing.assert_allclose(content[0], expected.content, atol=1e-4)
        np.testing.assert_allclose(steps[0], expected.emotion_frame)


@pytest.mark.parametrize("frame", [90, 91, 92])
def test_no_frame_hears_further_than_it_says(face: CompactFace, frame: int) -> None:
    audio = speechlike(6)
    centre = frame * RATE / 30
    first, last = int(centre) - face.PAST_SAMPLES, int(np.ceil(centre)) + face.LOOK_AHEAD_SAMPLES
    other = torch.randn_like(audio)
    other[:, first : last + 1] = audio[:, first : last + 1]
    assert (run(face, audio)[0, frame] - run(face, other)[0, frame]).abs().max() == 0


def test_the_stated_look_ahead_and_past_are_used(face: CompactFace) -> None:
    """Guards the test above: well inside the stated reach, a change is heard."""
    audio, frame = speechlike(6), 90
    for shift in (face.LOOK_AHEAD_SAMPLES - 600, -face.PAST_SAMPLES + 4000):
        other = audio.clone()
        at = frame * RATE // 30 + shift
        other[:, at : at + 300] = torch.randn(300) * 3
        assert (run(face, audio)[0, frame] - run(face, other)[0, frame]).abs().max() > 0


def test_look_ahead_is_four_frames_at_most_and_past_two_seconds() -> None:
    assert CompactFace.LOOK_AHEAD_SAMPLES <= 4 * RATE / 30
    assert CompactFace.PAST_SAMPLES <= 2.0 * RATE


def test_a_window_with_context_gives_what_the_clip_gives(face: CompactFace) -> None:
    audio = speechlike(30)
    whole = run(face, audio)
    start, length = 30, 25 * 30
    window = run(face, audio[:, start // 3 * 1600 : (start + length) // 3 * 1600])
    skip = -(-face.PAST_SAMPLES // 1600) * 3
    inner = slice(skip, length - 4)
    difference = (window[0, inner] - whole[0, start + skip : start + length - 4]).abs().max()
    assert difference < 1e-5


def test_streams_in_a_batch_do_not_hear_each_other(face: CompactFace) -> None:
    one, two = speechlike(2, 1), speechlike(2, 2)
    both = run(face, torch.cat([one, two]))
    torch.testing.assert_close(both[0], run(face, one)[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(both[1], run(face, two)[0], atol=1e-5, rtol=0)


def test_gain_hardly_matters_to_loud_speech_and_silence_is_not_amplified(face: CompactFace) -> None:
    spectra = face.frontend.spectra(speechlike(3))
    louder = face.frontend.spectra(speechlike(3) * 4)
    torch.testing.assert_close(spectra[:, :-1, 10:], louder[:, :-1, 10:], atol=1e-2, rtol=0)
    quiet = face.frontend.spectra(torch.randn(1, RATE) * 1e-5)
    empty = face.frontend.spectra(torch.zeros(1, RATE))
    assert (quiet[:, :-1] - empty[:, :-1]).abs().max() < 1.5 < (spectra[:, :-1] - empty[:, :-1, :1]).abs().max()


@pytest.mark.parametrize("offset", [0.001, 0.05])
def test_no_spectrum_hears_an_offset(face: CompactFace, offset: float) -> None:
    """But where the sound begins and ends, which is a step."""
    audio = speechlike(3.0) * 0.1
    with torch.no_grad():
        moved = face.frontend.spectra(audio + offset) - face.frontend.spectra(audio)
        assert face.frontend.spectra(audio)[..., 100:-4].std() > 0.3
    assert moved[..., 100:-4].abs().max() < 1e-3


def test_the_mouth_comes_from_the_content_and_the_upper_face_from_the_emotion(face: CompactFace) -> None:
    content, emotion = torch.randn(1, 30, 256), torch.rand(1, 30, 32)
    with torch.no_grad():
        base = face.decoder(content, emotion, *natural())
        other = face.decoder(content, torch.rand(1, 30, 32) * 3, *natural())
    changed = {name for name, i in INDEX.items() if (base - other)[..., i].abs().max() > 0}
    assert changed
    assert all(name.startswith(("brow", "eye", "cheek")) for name in changed)


def test_level_scales_the_upper_face_and_leaves_the_mouth(face: CompactFace) -> None:
    audio = speechlike(2)
    still, half, full = (run(face, audio, level) for level in (0.0, 0.5, 1.0))
    upper = [i for n, i in INDEX.items() if n.startswith(("brow", "eye", "cheek", "nose"))]
    mouth = [i for n, i in INDEX.items() if n.startswith(("mouth", "jaw", "tongue"))]
    assert still[..., upper].abs().max() == 0 < full[..., upper].max()
    torch.testing.assert_close(half[..., upper] * 2, full[..., upper])
    torch.testing.assert_close(still[..., mouth], full[..., mouth])


@pytest.mark.parametrize("person", range(24))
def test_no_style_opens_closed_lips(face: CompactFace, person: int) -> None:
    mouth = torch.full((1, 1, 8), 0.8)
    mouth[..., 6] = 1.0  # closure
    mouth[..., 7] = 0.0
    composed = face.decoder.compose(mouth, torch.ones(1, 1, 1), torch.zeros(1, 1, 3), *natural(person=person))[0, 0]
    assert composed[COMPOSED.index("closure")] == 1
    assert composed[COMPOSED.index("jaw")] == pytest.approx(0.07)
    assert composed[COMPOSED.index("drop")] == 0


def test_persons_speak_differently_and_blend(face: CompactFace) -> None:
    audio = speechlike(2)
    faces = [run(face, audio, person=p) for p in range(24)]
    for i in range(24):
        for j in range(i):
            assert (faces[i] - faces[j]).abs().max() > 1e-3, (i, j)
    style = torch.zeros(1, 24)
    style[0, [0, 12]] = 0.5
    with torch.no_grad():
        blend = face(audio, torch.tensor([[0.0, 1.0]]), style)
    smile = INDEX["mouthSmileLeft"]
    torch.testing.assert_close(blend[..., smile], (faces[0] + faces[12])[..., smile] / 2)


def test_blinks_are_left_to_post_processing(face: CompactFace) -> None:
    weights = run(face, speechlike(2))
    assert weights[..., [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].abs().max() == 0


def test_a_checkpoint_comes_back_as_it_went(face: CompactFace) -> None:
    checkpoint = face.to_checkpoint({"seed": 3}, half=False)
    again = CompactFace.from_checkpoint(checkpoint)
    audio = speechlike(1)
    torch.testing.assert_close(run(again, audio), run(face, audio), atol=0, rtol=0)
    assert checkpoint["recipe"] == {
        "normalisation": "none",
        "frame_grid": "uniform",
        "context_before_s": pytest.approx(CompactFace.PAST_SAMPLES / RATE),
        "look_ahead_s": pytest.approx(CompactFace.LOOK_AHEAD_SAMPLES / RATE),
    }


def test_names_follow_the_released_layout(face: CompactFace) -> None:
    state = face.state_dict()
    released = to_released_names(state)
    assert set(from_released_names(released)) == set(state)
    assert {k.split(".")[0] for k in released} == {
        "audio_encoder_cont", "audio_encoder_emo", "audio_feature_map_cont", "audio_feature_map_emo",
        "audio_feature_map_emo2", "obj_vector_level", "obj_vector_person", "transformer_decoder", "bs_map_r",
    }  # fmt: skip


def test_what_is_no_checkpoint_is_refused_by_name(face: CompactFace) -> None:
    good = face.to_checkpoint({})
    with pytest.raises(CheckpointError, match="'emotalk-compact-9'"):
        CompactFace.from_checkpoint({**good, "format": "emotalk-compact-9"})
    with pytest.raises(CheckpointError, match="depth"):
        CompactFace.from_checkpoint({**good, "config": {**good["config"], "depth": 3}})
    state = dict(good["state_dict"])
    del state["bs_map_r.weight"]
    with pytest.raises(CheckpointError, match="bs_map_r"):
        CompactFace.from_checkpoint({**good, "state_dict": state})
    with pytest.raises(CheckpointError, match="strange"):
        CompactFace.from_checkpoint({**good, "state_dict": {**good["state_dict"], "strange.weight": torch.zeros(1)}})
    with pytest.raises(CheckpointError, match="shape"):
        CompactFace.from_checkpoint(
            {**good, "state_dict": {**good["state_dict"], "bs_map_r.weight": torch.zeros(52, 3)}}
        )


def test_a_smaller_network_is_a_matter_of_its_sizes() -> None:
    small = CompactFace(CompactConfig(width=32, hidden=48, content_blocks=2, content_blocks_ahead=1, decoder_blocks=1))
    again = CompactFace.from_checkpoint(small.to_checkpoint({}))
    assert again.config == small.config
    assert run(again, torch.zeros(1, 1600)).shape == (1, 3, 52)

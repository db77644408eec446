"""The rules that label training speech: contacts are complete, rest is rest, lips lead."""

import numpy as np
import pytest

from emotalk_contract.arkit import INDEX
from emotalk_export.compact_rig import COMPOSED, MOUTH, STYLES, rig_matrix, style_matrix
from emotalk_training.articulation import VISEME_NAMES, VISEMES, Phone, score, visemes
from emotalk_training.corpus import calibrated

pytestmark = pytest.mark.unit


def phones(*segments: tuple[str, float]) -> list[Phone]:
    """Symbols with durations, one after the other."""
    out, t = [], 0.0
    for symbol, seconds in segments:
        out.append(Phone(symbol, t, t + seconds))
        t += seconds
    return out


def channel(spoken: list[Phone], name: str) -> np.ndarray:
    return score(spoken, spoken[-1].end, None).blendshapes()[:, INDEX[name]]


@pytest.mark.parametrize("symbol", ["p", "b", "m"])
@pytest.mark.parametrize("seconds", [0.03, 0.06, 0.12])
def test_bilabials_close_fully_however_short_and_whatever_surrounds_them(symbol: str, seconds: float) -> None:
    spoken = phones(("sil", 0.3), ("aa", 0.2), (symbol, seconds), ("aa", 0.2), ("sil", 0.3))
    press, jaw = channel(spoken, "mouthPressLeft"), channel(spoken, "jawOpen")
    middle = round((0.5 + seconds / 2) * 30)
    peak = int(press.argmax())
    assert abs(peak - middle) <= 1
    assert press[peak] > 0.43
    assert jaw[peak] < 0.12 < jaw[round(0.4 * 30)]


def test_labiodentals_touch_the_teeth_without_pressing() -> None:
    spoken = phones(("sil", 0.3), ("aa", 0.2), ("f", 0.1), ("aa", 0.2), ("sil", 0.3))
    at = round(0.55 * 30)
    assert channel(spoken, "mouthRollLower")[at] > 0.4
    assert channel(spoken, "mouthPressLeft").max() < 0.01
    assert channel(spoken, "jawOpen")[at] <= 0.12


def test_a_pause_is_rest() -> None:
    face = score(phones(("sil", 1.0)), 1.0, None).blendshapes()
    assert face.shape == (30, 52)
    assert not face.any()


def test_sibilants_hold_the_jaw_up_between_open_vowels() -> None:
    jaw = channel(phones(("aa", 0.2), ("s", 0.12), ("aa", 0.2)), "jawOpen")
    assert jaw[round(0.26 * 30)] < 0.4 * jaw[round(0.1 * 30)]


def test_rounding_begins_before_its_vowel_and_the_jaw_later() -> None:
    spoken = phones(("sil", 0.3), ("t", 0.12), ("uw", 0.25), ("sil", 0.3))
    pucker = channel(spoken, "mouthPucker")
    assert pucker[round(0.36 * 30)] > 0.3 * pucker.max()


def test_louder_means_wider_but_never_opens_a_closure() -> None:
    spoken = phones(("aa", 0.3), ("b", 0.08), ("aa", 0.3))
    length = int(np.ceil(spoken[-1].end * 30)) * 4
    soft, loud = (score(spoken, spoken[-1].end, np.full(length, level)).blendshapes() for level in (-10.0, 6.0))
    jaw, press = INDEX["jawOpen"], INDEX["mouthPressLeft"]
    assert loud[5, jaw] > 1.5 * soft[5, jaw]
    assert loud[:, press].max() == pytest.approx(soft[:, press].max(), abs=1e-6)


def test_alphabets_meet_in_one_set_of_visemes() -> None:
    for ipa, arpabet in [("ʃ", "sh"), ("ŋ", "ng"), ("θ", "th"), ("v", "v"), ("tʃ", "ch"), ("m", "m")]:
        shown = [v.symbol for v in visemes([Phone(ipa, 0, 1)])]
        assert shown[-1] == [v.symbol for v in visemes([Phone(arpabet, 0, 1)])][-1], ipa
    assert [(v.symbol, v.end) for v in visemes([Phone("ay", 0, 1)])] == [("AA", 0.6), ("IH", 1)]
    assert [v.symbol for v in visemes([Phone("?", 0, 1), Phone("", 1, 2)])] == ["sil"]


def test_two_bilabials_in_a_row_are_two_closures_but_one_long_vowel_is_one() -> None:
    assert len(visemes(phones(("b", 0.1), ("p", 0.1)))) == 2
    assert len(visemes(phones(("aa", 0.1), ("aa", 0.1)))) == 1


def test_labels_name_the_viseme_of_each_frame() -> None:
    result = score(phones(("sil", 0.2), ("s", 0.2), ("iy", 0.2)), 0.6, None)
    assert [VISEME_NAMES[i] for i in result.viseme[[2, 8, 14]]] == ["sil", "SS", "IY"]


def test_every_target_is_a_weight() -> None:
    for name, viseme in VISEMES.items():
        assert 0 <= min(getattr(viseme, g) for g in MOUTH[:6]) <= max(getattr(viseme, g) for g in MOUTH[:6]) <= 1, name


def test_the_rig_leaves_blinks_and_gaze_alone_and_is_symmetric_but_for_the_skew() -> None:
    matrix = rig_matrix()
    for name, row in INDEX.items():
        if name.startswith(("eyeBlink", "eyeLook")):
            assert not matrix[row].any(), name
        if name.endswith("Left") and not name.startswith(("mouth", "jaw")):
            assert np.array_equal(matrix[row], matrix[INDEX[name[:-4] + "Right"]]), name
    assert matrix[INDEX["mouthPressLeft"], COMPOSED.index("closure")] == 0.5


def test_styles_differ_from_one_another_and_the_first_is_natural() -> None:
    assert len(STYLES) == 24
    assert len(set(STYLES)) == 24
    assert style_matrix()[:, 0].tolist() == [1, 1, 1, 0, 0, 1]


def test_engine_tokens_are_put_right() -> None:
    tokens = [("^", 0.0, 0.3), ("ˈ", 0.3, 0.35), ("b", 0.35, 0.4), ("i", 0.4, 0.5), ("ː", 0.5, 0.6), (".", 0.6, 0.8)]
    out = calibrated("kokoro", tokens)
    assert [p.symbol for p in out] == ["sil", "b", "i", "sil"]
    assert out[1].start == pytest.approx(0.25)  # the stress mark's time belongs to b, and all is 50 ms earlier
    assert out[2].end == pytest.approx(0.55)

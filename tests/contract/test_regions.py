import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_contract import errors
from emotalk_contract.options import Options
from emotalk_contract.regions import FACE_PARAMETERS, acting

pytestmark = pytest.mark.unit


def test_the_parameters_are_audio2faces():
    assert list(FACE_PARAMETERS) == [
        *("skinStrength", "upperFaceStrength", "lowerFaceStrength", "upperFaceSmoothing", "lowerFaceSmoothing"),
        *("faceMaskLevel", "faceMaskSoftness", "eyelidOpenOffset", "lipOpenOffset", "tongueStrength"),
        *("tongueHeightOffset", "tongueDepthOffset", "blinkStrength", "blinkOffset", "inputStrength"),
    ]


@given(st.dictionaries(st.sampled_from(list(FACE_PARAMETERS)), st.floats(allow_nan=False, allow_infinity=False)))
def test_every_name_takes_every_finite_number_and_acts_within_its_range(values):
    options = Options.parse({"region": json.dumps(values)})
    assert options.region == values
    for name, parameter in FACE_PARAMETERS.items():
        assert parameter.least <= acting(options.region, name) <= parameter.most
        if parameter.least <= values.get(name, parameter.default) <= parameter.most:
            assert acting(options.region, name) == values.get(name, parameter.default)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", None, [1], 10**400])
@pytest.mark.parametrize("name", FACE_PARAMETERS)
def test_what_is_not_a_finite_number_is_refused(name, value):
    with pytest.raises(errors.InvalidOption, match=rf"region\['{name}'\] is .*; accepted: a finite number"):
        Options(region={name: value})


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ('{"chinStrength": 1}', errors.UnknownFaceParameter, "region names 'chinStrength'; accepted: skinStrength, "),
        ('{"skinstrength": 1}', errors.UnknownFaceParameter, "names 'skinstrength'"),
        ("{", errors.InvalidOption, "is not JSON"),
        ("[]", errors.InvalidOption, "accepted: a JSON object such as"),
        ('{"skinStrength": 1e999}', errors.InvalidOption, "is inf"),
    ],
)
def test_hostile_regions_are_refused_by_name(value, kind, words):
    with pytest.raises(kind, match=words):
        Options.parse({"region": value})

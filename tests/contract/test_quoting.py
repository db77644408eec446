"""Values in messages: shown as they are while short, and bounded whatever they are."""

import pytest

from emotalk_contract.errors import InvalidRequest
from emotalk_contract.options import Options
from emotalk_contract.quoting import MAX_SHOWN, cut, quoted

pytestmark = pytest.mark.unit


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def nested_object(depth):
    value = {"a": 1}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("value", ["joy", 1, -5, 1.5, True, None, float("inf"), ["joy"], {"joy": 1}, 2**63])
def test_what_is_short_is_shown_as_python_writes_it(value):
    assert quoted(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        *("x" * 10**6, b"x" * 10**6, 10**7000, -(10**7000), nested(10**5), nested_object(10**5), ["joy"] * 10**5),
        {str(i): "x" * 1000 for i in range(1000)},
        [["x" * 1000] * 4] * 4,
    ],
    ids=["text", "bytes", "integer", "negative", "lists", "objects", "list", "object", "wide"],
)
def test_what_is_huge_is_shortened(value):
    assert len(quoted(value)) <= 2 * MAX_SHOWN + 30


def test_a_shortened_text_says_how_long_it_was():
    assert quoted("x" * 6000) == f"'{'x' * MAX_SHOWN}'... (6000 characters)"
    assert cut("x" * 600) == f"{'x' * 500}... (600 characters)"
    assert cut("short") == "short"


HUGE = [
    *({"emotions": "[" * 10**4}, {"emotions": "[" * 10**6}, {"gains": '{"jawOpen": ' + "[" * 5000 + "}"}),
    *({"seed": "9" * 6000}, {"seed": 10**6000}, {"x" * 10**5: 1}, {"smooth": "t" * 10**5}),
    *({"emotions": '{"' + "j" * 10**4 + '": 1}'}, {"offsets": '{"' + "j" * 10**4 + '": 1}'}),
    *({"emotions": '{"joy": ' + "9" * 6000 + "}"}, {"gains": '{"jawOpen": "' + "x" * 10**4 + '"}'}),
    *({"emotions": "\udcff"}, {"emotions": '{"\\ud800": 1}'}, {"gains": nested(10**4)}),
]


@pytest.mark.parametrize("parameters", HUGE, ids=[f"{i}-{next(iter(p))[:8]}" for i, p in enumerate(HUGE)])
def test_options_of_any_size_get_a_typed_error_of_a_line_or_two(parameters):
    with pytest.raises(InvalidRequest) as caught:
        Options.parse(parameters)
    assert len(str(caught.value)) < 400
    str(caught.value).encode()  # a message must be able to travel


@pytest.mark.parametrize(
    "values",
    [
        *({"seed": 10**6000}, {"emotions": ["joy"]}, {"gains": None}, {"offsets": "{}"}, {"emotions": {5: 1}}),
        *({"emotions": {"joy": 10**6000}}, {"gains": {"jawOpen": nested(10**4)}}),
    ],
    ids=["seed", "list", "none", "text", "key", "amount", "deep"],
)
def test_options_made_in_python_are_checked_likewise(values):
    with pytest.raises(InvalidRequest) as caught:
        Options(**values)
    assert len(str(caught.value)) < 400

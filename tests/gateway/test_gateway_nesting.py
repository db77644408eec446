import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_gateway.service.nesting import depth

pytestmark = pytest.mark.unit

JSON = st.recursive(
    st.none() | st.text('[]{}"\\ab') | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\ab'), inner, max_size=3),
    max_leaves=30,
)


def nested(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(nested, value), default=0) if isinstance(value, list) else 0


@given(JSON)
def test_depth_is_what_a_parser_finds(value):
    assert depth(json.dumps(value).encode()) == nested(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", 0),
        (b"0.5", 0),
        (b"[" * 10_000, 10_000),
        (b'["]",' * 10_000, 10_000),  # what closes in a string closes nothing
        (b"[]" * 10_000, 1),
        (b"]" * 10_000 + b"[", 0),
        (b'"' + b"[" * 10_000, 0),
        (b'"\\', 0),
    ],
)
def test_hostile_texts(value, expected):
    assert depth(value) == expected


@pytest.mark.parametrize("piece", [b'"\\', b'\\"', b'"', b"[", b"[]", b'["]",', b'{"a":'])
def test_a_megabyte_takes_no_longer_than_its_length_says(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        began = time.thread_time()
        depth(text)
        return time.thread_time() - began

    assert seconds(2**20) < 0.5 + 64 * seconds(2**16)

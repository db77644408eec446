"""The state of a live stream: what it carries, and what is refused."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_contract.errors import InvalidState, StaleState
from emotalk_contract.limits import MAX_STATE_BYTES
from emotalk_ensemble.live_state import HISTORY, MOST_HISTORY, StateCodec

pytestmark = pytest.mark.unit

CACHE = 100
CODEC = StateCodec(b"weights1", CACHE)
SIZE = CODEC.size()


def state_of(seed):
    rng = np.random.default_rng(seed)
    state = CODEC.new(3 * seed)
    state.features, state.given = int(rng.integers(0, 10**9)), int(rng.integers(0, 10**9))
    state.history = rng.normal(size=(HISTORY + seed % (MOST_HISTORY - HISTORY + 1), 52)).astype(np.float32)
    state.cache = rng.normal(size=CACHE).astype(np.float32)
    return state


def signed(content):
    """``content`` with the checksum that it would have."""
    content = bytearray(content)
    struct.pack_into("<I", content, 4, zlib.crc32(content[8:]))
    return np.frombuffer(bytes(content), np.uint8)


@given(st.integers(0, 1000))
def test_it_comes_back_as_it_was(seed):
    before = state_of(seed)
    after = CODEC.read(CODEC.written(before))
    assert (after.start_frame, after.features, after.given) == (before.start_frame, before.features, before.given)
    np.testing.assert_array_equal(after.history, before.history)
    np.testing.assert_array_equal(after.cache, before.cache)


def test_the_bundled_networks_fits():
    assert StateCodec(b"weights1", 15_646).size(MOST_HISTORY) <= MAX_STATE_BYTES


@given(st.integers(0, SIZE - 1), st.integers(0, 7))
def test_a_flipped_bit_is_found(place, bit):
    content = CODEC.written(state_of(1)).copy()
    content[place] ^= 1 << bit
    with pytest.raises((InvalidState, StaleState)):
        CODEC.read(content)


@given(st.binary(max_size=2 * SIZE))
def test_anything_else_is_refused(content):
    with pytest.raises(InvalidState):
        CODEC.read(np.frombuffer(content, np.uint8))


@pytest.mark.parametrize("size", [0, 1, 7, SIZE - 1])
def test_a_cut_one_is_refused(size):
    with pytest.raises(InvalidState):
        CODEC.read(CODEC.written(state_of(2))[:size])


def test_one_of_other_weights_is_stale():
    content = CODEC.written(state_of(3))
    with pytest.raises(StaleState, match="other weights"):
        StateCodec(b"weights2", CACHE).read(content)
    with pytest.raises(StaleState):
        StateCodec(b"weights1", CACHE + 1).read(content)


def test_one_of_another_version_is_stale():
    content = CODEC.written(state_of(3)).tobytes()
    with pytest.raises(StaleState):
        CODEC.read(signed(b"emo9" + content[4:]))


@pytest.mark.parametrize("offset", [16, 24, 32], ids=["features", "given", "start_frame"])
@pytest.mark.parametrize("number", [-1, 2**62, 2**63 - 1])
def test_a_place_that_no_stream_has_is_refused(offset, number):
    content = bytearray(CODEC.written(state_of(4)).tobytes())
    struct.pack_into("<q", content, offset, number)
    with pytest.raises(InvalidState, match="no step gives"):
        CODEC.read(signed(content))


@pytest.mark.parametrize("rows", [-1, 0, HISTORY - 1, MOST_HISTORY + 1, 2**62])
def test_a_history_that_no_step_gives_is_refused(rows):
    state = state_of(4)
    state.history = np.zeros((max(0, rows) % 100, 52), np.float32)
    content = bytearray(CODEC.written(state).tobytes())
    struct.pack_into("<q", content, 40, rows)
    with pytest.raises((InvalidState, StaleState)):
        CODEC.read(signed(content))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(number):
    state = state_of(5)
    state.cache = state.cache.copy()
    state.cache[-1] = number
    with pytest.raises(InvalidState):
        CODEC.read(CODEC.written(state))

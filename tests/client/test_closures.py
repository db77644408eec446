"""Lips that close where phones say so: what changes, when, and that a stream gets what a whole clip gets."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.faces.closures import CLOSED_JAW, PRESSED, RAMP_S, check_lips, closed, contacts, touching
from emotalk_contract import lips
from emotalk_contract.arkit import INDEX
from emotalk_contract.errors import InvalidOption
from emotalk_contract.timing import FPS
from emotalk_contract.utterance import Timed

pytestmark = pytest.mark.unit

PRESS, JAW = INDEX["mouthPressLeft"], INDEX["jawOpen"]
OPEN = np.full((60, 52), 0.5, np.float32)
TIMES = np.arange(60) / FPS


def test_neighbours_are_one_contact_and_marks_do_not_matter():
    phones = [
        Timed("ə", 0.0, 0.1),
        Timed("m", 0.1, 0.2),
        Timed("pʰ", 0.2, 0.3),
        Timed("a", 0.3, 0.4),
        Timed("b", 0.4, 0.5),
    ]
    assert contacts(phones) == [(0.1, 0.3), (0.4, 0.5)]
    assert contacts([]) == []


def test_the_lips_are_closed_in_the_middle_and_the_networks_elsewhere():
    face = OPEN.copy()
    face[:, PRESS] = 0.0
    out = closed(face, TIMES, [(1.0, 1.1)])
    middle = round(1.05 * FPS)
    assert out[middle, PRESS] == pytest.approx(PRESSED)
    assert out[middle, JAW] == pytest.approx(CLOSED_JAW)
    assert lips.gap_mm(out)[middle] < lips.gap_mm(face)[middle] - 10
    away = (TIMES < 1.0 - RAMP_S) | (TIMES > 1.1 + RAMP_S)
    assert np.array_equal(out[away], face[away])
    untouched = sorted({*range(52)} - {*lips.OPENING, PRESS, INDEX["mouthPressRight"], JAW})
    assert np.array_equal(out[:, untouched], face[:, untouched])


def test_a_face_that_is_closed_already_stays_as_it_is():
    face = np.zeros((60, 52), np.float32)
    face[:, [PRESS, INDEX["mouthPressRight"]]] = 0.9
    assert np.array_equal(closed(face, TIMES, [(0.5, 0.6)]), face)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 0.4)), max_size=5),
    st.lists(st.integers(1, 59), max_size=4),
)
def test_pieces_get_what_the_whole_gets(spans, cuts):
    times = sorted((start, start + length) for start, length in spans)
    bounds = [0, *sorted(set(cuts)), 60]
    whole = closed(OPEN, TIMES, times)
    pieces = [closed(OPEN[a:b], TIMES[a:b], times) for a, b in pairwise(bounds)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_each_contact_is_seen_by_a_frame():
    for start in np.arange(0.2, 1.5, 0.007):
        out = closed(OPEN, TIMES, [(start, start + 0.001)])
        assert out[:, PRESS].max() == pytest.approx(PRESSED, abs=0.02)


def test_what_it_cannot_follow_is_refused():
    with pytest.raises(InvalidOption, match="lips is 'mouth'; accepted: auto, network, phones"):
        check_lips("mouth")
    with pytest.raises(InvalidOption, match="tells no phones"):
        touching((), "phones")
    assert touching((), "auto") == []
    assert touching([Timed("m", 0.1, 0.2)], "network") == []
    assert touching([Timed("m", 0.1, 0.2)], "auto") == [(0.1, 0.2)]

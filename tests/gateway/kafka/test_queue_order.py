"""Order and offsets of a queue: what may begin, and what may be committed."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_gateway.kafka.lanes import Lanes
from emotalk_gateway.kafka.offsets import Watermark

pytestmark = pytest.mark.unit

EVENTS = st.lists(st.one_of(st.integers(0, 4), st.just("over"), st.just("drop")), max_size=60)
"""Work that comes for a lane, the oldest that runs is over, or half of what waits is dropped."""


@given(st.integers(1, 4), EVENTS)
def test_of_a_lane_one_at_a_time_in_the_order_of_arrival(most, events):
    lanes = Lanes(most)
    running, begun, dropped, sent = [], defaultdict(list), set(), defaultdict(list)

    def begin():
        for lane, number in lanes.begin():
            assert lane not in [other for other, _ in running]
            running.append((lane, number))
            begun[lane].append(number)
        assert len(running) <= most

    def over():
        lane, _ = running.pop(0)
        lanes.over(lane)

    for number, event in enumerate(events):
        if event == "drop":
            dropped |= set(lanes.drop(lambda work: work[1] % 2 == 0))
        elif event != "over":
            lanes.add(event, (event, number))
            sent[event].append(number)
        elif running:
            over()
        begin()
    while running:
        over()
        begin()
    assert len(lanes) == 0
    gone = {number for _, number in dropped}
    for lane, numbers in sent.items():
        assert begun[lane] == [number for number in numbers if number not in gone]


def test_a_lane_that_was_served_waits_behind_the_others():
    lanes = Lanes(1)
    for lane, work in ((1, "a"), (1, "b"), (2, "c")):
        lanes.add(lane, work)
    assert list(lanes.begin()) == ["a"]
    lanes.over(1)
    assert list(lanes.begin()) == ["c"]


@given(st.sets(st.integers(0, 500), min_size=1, max_size=40), st.randoms())
def test_nothing_is_committed_over_a_gap(offsets, choice):
    mark, in_order = Watermark(), sorted(offsets)
    for offset in in_order:
        mark.begin(offset)
    assert (mark.first_open, mark.last, mark.position) == (in_order[0], in_order[-1], None)
    left = list(in_order)
    for offset in choice.sample(in_order, len(in_order)):
        mark.done(offset)
        left.remove(offset)
        done = [one for one in in_order if not left or one < left[0]]
        assert mark.position == (done[-1] + 1 if done else None)
        assert mark.first_open == (left[0] if left else in_order[-1] + 1)
    mark.committed(in_order[-1] + 1)
    assert mark.position is None


def test_a_record_that_stands_before_another_is_refused():
    mark = Watermark()
    mark.begin(4)
    with pytest.raises(ValueError, match="offset 4 after 4; accepted: larger ones"):
        mark.begin(4)

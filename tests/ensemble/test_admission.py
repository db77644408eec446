"""How many requests may be inside the ensemble."""

import pytest

from emotalk_ensemble.admission import RETRY_S, WARM_UPS, Admission, EnsembleFull

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self):
        self.s = 1000.0

    def __call__(self):
        return int(self.s * 1e9)


@pytest.fixture
def ends(tmp_path):
    """The first and the last step of one server, warmed up, and their clock."""
    clock = Clock()
    first, last = (Admission(tmp_path / "counts", clock) for _ in range(2))
    first.open_door(3)
    for _ in range(WARM_UPS):
        first.enter()
    return first, last, clock


def test_the_door_lets_in_as_many_as_there_is_room_for(ends):
    first, last, _ = ends
    tickets = [first.enter() for _ in range(3)]
    with pytest.raises(EnsembleFull, match="3 requests are inside, accepted: 3"):
        first.enter()
    last.leave(tickets[0])
    first.enter()
    with pytest.raises(EnsembleFull):
        first.enter()


def test_a_request_that_fails_on_its_way_frees_its_place_with_the_next(ends):
    first, last, _ = ends
    _lost, second, _ = (first.enter() for _ in range(3))
    last.leave(second)
    for _ in range(2):
        first.enter()
    with pytest.raises(EnsembleFull):
        first.enter()


def test_an_answer_out_of_order_frees_no_more_than_there_is(ends):
    first, last, _ = ends
    one, two, three = (first.enter() for _ in range(3))
    for ticket in (three, one, two):
        last.leave(ticket)
    for _ in range(3):
        first.enter()
    with pytest.raises(EnsembleFull):
        first.enter()


def test_where_nothing_comes_out_one_request_at_a_time_tries(ends):
    """Every request inside was lost with a process that died: the door must not stay shut."""
    first, last, clock = ends
    for _ in range(3):
        first.enter()
    clock.s += RETRY_S - 1
    with pytest.raises(EnsembleFull):
        first.enter()
    clock.s += 2
    ticket = first.enter()
    with pytest.raises(EnsembleFull):
        first.enter()
    last.leave(ticket)
    for _ in range(3):
        first.enter()


def test_a_process_that_starts_again_opens_an_empty_house(ends, tmp_path):
    first, last, clock = ends
    before = [first.enter() for _ in range(3)]
    again = Admission(tmp_path / "counts", clock)
    again.open_door(1)
    for ticket in before:
        last.leave(ticket)  # they were still on their way
    for _ in range(WARM_UPS + 1):
        again.enter()
    with pytest.raises(EnsembleFull):
        again.enter()

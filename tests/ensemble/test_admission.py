"""The bound on requests in the ensemble, and attempts to change it."""

import pytest
from holding import computing_process

from emotalk_contract.errors import InvalidTicket
from emotalk_contract.tensors import GRAPHS
from emotalk_ensemble.admission import (
    IDLE_S,
    MAX_IDLE_S,
    MISTRUST_S,
    RING,
    TRY_S,
    WARM_UPS,
    Computing,
    EnsembleFull,
    Entrance,
    Exit,
)

pytestmark = pytest.mark.unit

LIMIT = 3

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self):
        self.s = 1000.0

    def __call__(self):
        return int(self.s * 1e9)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "admission"


@pytest.fixture
def entrance(path, clock):
    made = Entrance(LIMIT, path, clock)
    for _ in range(WARM_UPS):
        made.admit()
    return made


@pytest.fixture
def exit_(path, clock):
    made = Exit(path, clock)
    for _ in range(WARM_UPS):
        made.give_back(0)
    return made


def fill(entrance):
    """Admit as many as there is room for, and return their tickets."""
    tickets = []
    while True:
        try:
            tickets.append(entrance.admit())
        except EnsembleFull:
            return tickets


def test_as_many_are_admitted_as_there_is_room_for(entrance, exit_):
    tickets = fill(entrance)
    assert len(tickets) == LIMIT
    with pytest.raises(EnsembleFull, match="Exceeds maximum queue size: 3 requests compute or wait, accepted: 3"):
        entrance.admit()
    exit_.give_back(tickets[0])
    assert len(fill(entrance)) == 1


def test_a_request_that_failed_on_its_way_frees_its_place_with_the_next_that_comes_back(entrance, exit_):
    _lost, second, _ = fill(entrance)
    exit_.give_back(second)
    assert len(fill(entrance)) == 2


def test_an_answer_out_of_order_frees_no_more_than_there_is(entrance, exit_):
    one, two, three = fill(entrance)
    for ticket in (three, one, two):
        exit_.give_back(ticket)
    assert len(fill(entrance)) == LIMIT


def test_after_an_overtaken_ticket_came_back_overtaking_proves_nothing(entrance, exit_, clock):
    """A caller who hands tickets from step to step overtakes what computes; that must not admit any number."""
    one, _two, three = fill(entrance)
    exit_.give_back(three)
    exit_.give_back(one)  # overtaken, and alive
    for _ in range(5):
        newest = fill(entrance)[-1]
        exit_.give_back(newest)
    assert len(fill(entrance)) == 1
    clock.s += MISTRUST_S + 1
    exit_.give_back(newest_ticket(entrance))
    assert len(fill(entrance)) == LIMIT


def newest_ticket(entrance):
    return int(entrance._tickets[entrance._outstanding[-1] % RING])


@pytest.mark.parametrize("ticket", [2**62, 2**63 - 1, -(2**63), -1, 0, 1, 2, RING, RING + 1])
def test_a_ticket_that_was_not_issued_is_refused_and_changes_nothing(entrance, exit_, ticket):
    fill(entrance)
    with pytest.raises(InvalidTicket, match=f"TICKET is {ticket}; accepted"):
        exit_.give_back(ticket)
    assert fill(entrance) == []


def test_a_ticket_comes_back_once(entrance, exit_):
    one, *_ = fill(entrance)
    exit_.give_back(one)
    fill(entrance)
    with pytest.raises(InvalidTicket, match="came back before"):
        exit_.give_back(one)
    assert fill(entrance) == []


def test_tickets_cannot_be_guessed_from_one_another(entrance):
    tickets = fill(entrance)
    assert len({ticket // RING for ticket in tickets}) == LIMIT
    assert all(2**46 * RING <= ticket < 2**63 for ticket in tickets)


def test_where_no_network_computes_what_is_outstanding_is_lost(entrance, exit_, path, clock):
    """So many requests to the first step alone lock nobody out."""
    Computing("wav2vec_frontend", path, clock)
    fill(entrance)
    clock.s += IDLE_S / 2
    assert fill(entrance) == []
    clock.s += IDLE_S
    assert len(fill(entrance)) == LIMIT


def test_while_a_network_computes_only_single_requests_are_admitted_and_ever_fewer(entrance, path, clock):
    network = Computing("wav2vec_frontend", path, clock)
    fill(entrance)
    with network.told(1):
        admitted = []
        for _ in range(int(16 / TRY_S)):
            clock.s += TRY_S
            admitted += fill(entrance)
    assert len(admitted) == 6  # after 1, 2, 4, 8, 16 and 32 times TRY_S


def run(entrance, network, clock, requests):
    """Let ``network`` run that many, one after another, without a pause; return how many were admitted meanwhile."""
    admitted = 0
    for _ in range(requests):
        with network.told(1):
            clock.s += IDLE_S / 2
        admitted += len(fill(entrance))
    return admitted


def test_computing_of_more_than_was_admitted_is_that_of_direct_callers(entrance, path, clock):
    """Whoever calls a network directly, and the first step, keeps nobody out either."""
    network = Computing("wav2vec_content", path, clock)
    fill(entrance)
    assert run(entrance, network, clock, LIMIT) == 0
    assert run(entrance, network, clock, LIMIT) >= LIMIT


def test_computing_of_what_was_admitted_keeps_the_bound(entrance, exit_, path, clock):
    """An honest overload: all come back, and as many are admitted."""
    networks = [Computing(model.name, path, clock) for model in GRAPHS]
    waiting = fill(entrance)
    for _ in range(50):
        for network in networks:
            assert run(entrance, network, clock, 1) == 0
        exit_.give_back(waiting.pop(0))
        admitted = fill(entrance)
        assert len(admitted) == 1
        waiting += admitted


def test_a_model_that_is_not_of_the_ensemble_tells_nothing(entrance, path, clock):
    other = Computing("somebody's", path, clock)
    fill(entrance)
    with other.told(1):
        clock.s += TRY_S
        assert len(fill(entrance)) == 1
        clock.s += TRY_S
        assert len(fill(entrance)) == 1


def test_a_network_that_died_while_it_computed_counts_no_more(entrance, path, clock):
    Computing("wav2vec_frontend", path, clock)
    fill(entrance)
    with computing_process(path):
        clock.s += IDLE_S * 2
        assert fill(entrance) == []
    assert len(fill(entrance)) == LIMIT


def test_a_step_that_hangs_is_not_sent_any_number(entrance, path, clock):
    Computing("wav2vec_frontend", path, clock)
    admitted = len(fill(entrance))
    for _ in range(100):
        clock.s += 0.1
        admitted += len(fill(entrance))
    assert admitted <= LIMIT * (3 + 10 / MAX_IDLE_S)


def test_without_networks_that_tell_one_request_at_a_time_tries(entrance, exit_, clock):
    """As with Triton's own C++ backends: the bound stands, but everybody lost is nobody locked out."""
    fill(entrance)
    clock.s += TRY_S / 2
    assert fill(entrance) == []
    clock.s += TRY_S
    (ticket,) = fill(entrance)
    clock.s += TRY_S / 2
    assert fill(entrance) == []
    exit_.give_back(ticket)
    assert len(fill(entrance)) == LIMIT


def test_tries_take_the_place_of_what_is_lost(entrance, clock):
    fill(entrance)
    for _ in range(10):
        clock.s += TRY_S
        assert len(fill(entrance)) == 1
    with pytest.raises(EnsembleFull, match=f"{LIMIT} requests compute or wait"):
        entrance.admit()


def test_a_first_step_that_starts_again_counts_anew_and_tickets_of_before_stay_good(entrance, exit_, path, clock):
    before = fill(entrance)
    again = Entrance(LIMIT, path, clock)
    for _ in range(WARM_UPS):
        again.admit()
    for ticket in before:
        exit_.give_back(ticket)  # they were still on their way
    assert len(fill(again)) == LIMIT


def test_a_last_step_that_starts_again_knows_the_tickets(entrance, path, clock):
    one, *_ = fill(entrance)
    Exit(path, clock).give_back(one)
    assert len(fill(entrance)) == 1


@pytest.mark.parametrize("first", [Entrance, Exit])
def test_a_file_that_was_deleted_is_made_again_whichever_end_notices(entrance, exit_, path, clock, first):
    """As a cleaner of /tmp does; then one end starts again."""
    fill(entrance)
    path.unlink()
    if first is Exit:
        exit_ = Exit(path, clock)
        for _ in range(WARM_UPS):
            exit_.give_back(0)
    tickets = fill(entrance)
    assert len(tickets) == LIMIT
    for ticket in tickets:
        exit_.give_back(ticket)
    assert len(fill(entrance)) == LIMIT


def test_many_more_than_the_ring_holds_pass(entrance, exit_):
    for _ in range(RING + 10):
        exit_.give_back(entrance.admit())
    assert len(fill(entrance)) == LIMIT

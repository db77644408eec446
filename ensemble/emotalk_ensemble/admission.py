"""A bound on how many requests are in the ensemble.

Rules that this module guards: **a request for which there is no room is refused before a network computes for it**, and
**what one caller sends directly to a step counts for nobody else.**

Why not Triton's own ``max_queue_size``: a bounded queue keeps its dynamic batcher from preparing the next batch ahead,
and a request that comes just as the instance is about to be free may then sleep until the batcher's own time-out of
500 ms (Triton 2.51 does so as soon as two requests overlap). So the queues of the steps are unbounded, and the
two Python steps at the ensemble's ends count.

Theory of operation. The first step gives each request that it admits a ticket: a number that nobody can guess. The
ticket travels with the request as the tensor TICKET, and the last step notes that it came back; it refuses one that was
not issued or came back before. What was issued and did not come back is *outstanding*, and bounded.

A ticket may be lost: its request failed on its way, or a caller asked the first step directly, which Triton does not
let it tell from the ensemble. They are given up as follows:

* a ticket that a later one overtook is lost, for requests pass in order (unless overtaken ones have come back lately);
* while no network computes, nothing is on its way, and all that is outstanding is lost. The processes of our own
  backend tell when they compute (:class:`Computing`); Triton's C++ backends do not. They also count: a network that
  has run more requests than were admitted runs those of direct callers, and its computing proves nothing;
* where neither helps, one request is admitted beyond the bound whenever nothing came back for :data:`TRY_S`. It comes
  back if the server lives, and overtakes what is lost. While networks are known to compute, tries become rarer.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emotalk_contract.errors import InvalidTicket
from emotalk_contract.tensors import GRAPHS
from emotalk_ensemble.shared_file import Numbers, SharedFile, server_folder

IDLE_S = 0.1
"""Seconds without computing after which nothing is on its way: steps follow each other within a few milliseconds."""
MAX_IDLE_S = 0.4
"""Longest such wait: it doubles while nothing comes back, for a step may hang, and each wait admits as many more."""
TRY_S = 0.25
"""Seconds in which nothing came back after which a full ensemble admits one more request."""
MISTRUST_S = 10.0
"""Seconds for which overtaking proves nothing, after an overtaken ticket came back."""
WARM_UPS = 1
"""Requests that each end sees and the other does not: the configs warm up every step by itself."""
RING = 2**16
"""Tickets that are remembered."""
NAME = "admission"

_NETWORKS = [model.name for model in GRAPHS]
_ISSUED, _NEWEST, _RETURNED_AT, _OVERTAKEN_AT, _COMPUTED_AT, _RUNS = range(6)
_HEAD = _RUNS + len(_NETWORKS)
"""Numbers at the head of the file. Each has one kind of writer: the first step (tickets issued), the last step (newest
that came back; when the last came back; when an overtaken one last did), the networks (when one last computed; from
_RUNS on: requests that each has run)."""

COUNT = _HEAD + 2 * RING
"""Numbers in the file."""
_NS = 1e9
Clock = Callable[[], int]


class EnsembleFull(RuntimeError):
    """As many requests as there may be are outstanding."""


@dataclass(frozen=True, slots=True)
class _Full:
    """The state when the ensemble became full."""

    runs: list[int]
    """Requests that each network had run."""
    issued: int
    """Tickets that had been issued, without those outstanding."""


class _End:
    """Map the file: its head, and two rings that are as long: tickets issued, and tickets that came back."""

    def __init__(self, path: Path | None = None, clock_ns: Clock = time.monotonic_ns) -> None:
        self._path = path or server_folder() / NAME
        self._clock_ns = clock_ns
        self._map()

    def _map(self) -> None:
        self._file = SharedFile(self._path, COUNT)
        numbers = self._file.numbers
        self._head: Numbers = numbers[:_HEAD]
        self._tickets: Numbers = numbers[_HEAD : _HEAD + RING]
        self._returned: Numbers = numbers[_HEAD + RING : COUNT]

    def _follow(self) -> bool:
        """Map the file anew if it was deleted; return whether it was."""
        if not self._file.replaced():
            return False
        self._file.close()
        self._map()
        return True

    def _since(self, when: int) -> float:
        """Return the seconds since ``when``."""
        return (self._clock_ns() - when) / _NS


class Entrance(_End):
    """The first step's end: at most ``limit`` requests are outstanding."""

    def __init__(self, limit: int, path: Path | None = None, clock_ns: Clock = time.monotonic_ns) -> None:
        super().__init__(path, clock_ns)
        self._limit = limit
        self._warm_ups = WARM_UPS
        self._outstanding: deque[int] = deque()
        self._admitted_at = clock_ns()
        self._try_s = TRY_S
        self._idle_s = IDLE_S
        self._cleared_at = 0
        self._full_since: _Full | None = None

    def admit(self) -> int:
        """Return the ticket of one more request.

        Raises:
            EnsembleFull: there is no room.
        """
        if self._follow():
            self._outstanding.clear()
        if len(self._outstanding) >= self._limit:
            self._forget_what_came_back()
        if len(self._outstanding) < self._limit:
            self._try_s = TRY_S
            self._full_since = None
        else:
            self._make_room()
        number = int(self._head[_ISSUED]) + 1
        place = number % RING
        ticket = (1 << 46 | secrets.randbits(46)) * RING + place
        self._tickets[place] = ticket
        self._head[_ISSUED] = number
        if self._warm_ups:
            self._warm_ups -= 1
        else:
            self._outstanding.append(number)
            self._admitted_at = self._clock_ns()
        return ticket

    def _forget_what_came_back(self) -> None:
        """Keep what is outstanding: neither back nor overtaken."""
        newest = int(self._head[_NEWEST])
        trusted = not self._head[_OVERTAKEN_AT] or self._since(int(self._head[_OVERTAKEN_AT])) > MISTRUST_S
        self._outstanding = deque(
            number
            for number in self._outstanding
            if not (trusted and number < newest) and self._returned[number % RING] != self._tickets[number % RING]
        )

    def _make_room(self) -> None:
        """Give up tickets that are lost, or admit one request beyond the bound to find out; see the module."""
        if self._full_since is None:
            self._full_since = _Full(self._runs(), int(self._head[_ISSUED]) - len(self._outstanding))
        told = bool(self._head[_COMPUTED_AT])
        returned_at = int(self._head[_RETURNED_AT])
        if returned_at > self._cleared_at:
            self._idle_s = IDLE_S
        quiet_s = self._since(max(self._admitted_at, returned_at))
        if told and quiet_s > self._idle_s and (self._idle() or self._runs_of_others()):
            self._outstanding.clear()
            self._full_since = None
            self._cleared_at = self._clock_ns()
            self._idle_s = min(2 * self._idle_s, MAX_IDLE_S)
        elif quiet_s >= self._try_s:
            if told:
                self._try_s *= 2
            else:
                self._outstanding.popleft()
        else:
            raise EnsembleFull(
                f"Exceeds maximum queue size: {len(self._outstanding)} requests compute or wait, "
                f"accepted: {self._limit}"
            )

    def _idle(self) -> bool:
        """Return whether no network has computed lately."""
        return self._since(int(self._head[_COMPUTED_AT])) > self._idle_s and not self._file.held()

    def _runs_of_others(self) -> bool:
        """Return whether a network has run more requests, since the ensemble is full, than may have come to it."""
        assert self._full_since is not None  # noqa: S101  # set by the only caller
        came = int(self._head[_ISSUED]) - self._full_since.issued
        return max(now - then for now, then in zip(self._runs(), self._full_since.runs, strict=True)) > came

    def _runs(self) -> list[int]:
        return [int(count) for count in self._head[_RUNS:_HEAD]]


class Exit(_End):
    """The last step's end."""

    def __init__(self, path: Path | None = None, clock_ns: Clock = time.monotonic_ns) -> None:
        super().__init__(path, clock_ns)
        self._warm_ups = WARM_UPS

    def give_back(self, ticket: int) -> None:
        """Note that the request of ``ticket`` has run.

        Raises:
            InvalidTicket: the ticket was not issued, or came back before.
        """
        if ticket == 0 and self._warm_ups:
            self._warm_ups -= 1
            return
        place = ticket % RING
        if ticket == 0 or (self._tickets[place] != ticket and not (self._follow() and self._tickets[place] == ticket)):
            raise InvalidTicket(f"TICKET is {ticket}; accepted: what emotalk_preprocess gave this very request")
        if self._returned[place] == ticket:
            raise InvalidTicket(f"TICKET is {ticket}, which came back before; accepted: each ticket once")
        self._returned[place] = ticket
        issued = int(self._head[_ISSUED])
        number = issued - (issued - place) % RING
        now = self._clock_ns()
        if number > self._head[_NEWEST]:
            self._head[_NEWEST] = number
        else:
            self._head[_OVERTAKEN_AT] = now
        self._head[_RETURNED_AT] = now


class Computing(_End):
    """The end of the network ``model``: tells when it computes. One that is not the ensemble's tells nothing."""

    def __init__(self, model: str, path: Path | None = None, clock_ns: Clock = time.monotonic_ns) -> None:
        super().__init__(path, clock_ns)
        self._place = _RUNS + _NETWORKS.index(model) if model in _NETWORKS else None
        if self._place is not None:
            self._head[_COMPUTED_AT] = clock_ns()

    @contextmanager
    def told(self, requests: int) -> Iterator[None]:
        """Tell for as long as the block runs, which is to run so many requests."""
        if self._place is None:
            yield
            return
        self._follow()
        self._file.hold()
        try:
            yield
        finally:
            self._head[self._place] += requests
            self._head[_COMPUTED_AT] = self._clock_ns()
            self._file.let_go()

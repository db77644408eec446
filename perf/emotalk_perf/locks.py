"""Wrong tokens at a gateway's door: none is let in, and the time of an answer does not tell how a token was wrong.

A gateway in a process of its own, with a file of tokens, is asked over one open connection; the kinds of wrong tokens
take turns in an order that is drawn anew each time, so that all meet the same machine. The slower half of the answers,
in which the machine did something else, is left out, all kinds alike, and each pair of kinds is compared by Welch's
t-test (B. L. Welch, Biometrika 34, 1947), with Bonferroni's correction for the number of pairs.
"""

from __future__ import annotations

import http.client
import math
import random
import re
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from emotalk_client.errors import UnexpectedResponse
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.tokens import Token, digest, new_token, save
from emotalk_perf.report import table

PATH = "/api/v1/convert?format=csv"
REFUSED = 401
OTHERS = 100
"""Tokens in the file beside the one that is guessed at."""
LEVEL = 0.01
"""Of significance, of all pairs together."""
SLOWEST = 0.5
"""Share of all answers that is left out."""
WARM_UP = 100
"""Rounds that are not counted."""
KINDS = ("first character wrong", "last character wrong", "a character short", "unknown token")
_LETTERS = string.ascii_letters + string.digits
_ORDER = random.Random()  # noqa: S311  # of guesses


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds of wrong tokens, compared."""

    kinds: tuple[str, str]
    difference_s: float
    """Of the means."""
    error_s: float
    """Standard error of that."""
    p: float
    """Two-sided: how likely such a difference is where there is not any."""


@dataclass(frozen=True, slots=True)
class Locks:
    """Found by a run."""

    seconds: Mapping[str, np.ndarray[tuple[int], np.dtype[np.float64]]]
    """Of each answer, by kind, without the slowest."""
    asked: int
    let_in: int

    @property
    def pairs(self) -> list[Pair]:
        """Every two kinds."""
        return [Pair((a, b), *welch(self.seconds[a], self.seconds[b])) for a, b in combinations(self.seconds, 2)]

    @property
    def tells(self) -> list[Pair]:
        """Those whose difference is seen at :data:`LEVEL`."""
        pairs = self.pairs
        return [pair for pair in pairs if pair.p < LEVEL / len(pairs)]


def welch(
    a: np.ndarray[tuple[int], np.dtype[np.float64]], b: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[float, float, float]:
    """Return the difference of means, its standard error, and p by Welch's t-test; a hundred samples or more of each.

    With so many, Student's distribution is the normal one to three digits: p = erfc(|t| / sqrt 2).
    """
    difference = float(a.mean() - b.mean())
    error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return difference, error, math.erfc(abs(difference / error) / math.sqrt(2))


def run(count: int) -> Locks:
    """Ask with ``count`` wrong tokens, as many of each kind.

    Raises:
        UnexpectedResponse: the gateway does not start, or does not know the right token.
    """
    right = new_token()
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    let_in = 0
    with _gateway(right) as connection:
        if _asked(connection, right)[0] == REFUSED:
            raise UnexpectedResponse("the gateway does not know its token")
        for number in range(-WARM_UP, math.ceil(count / len(KINDS))):
            for kind in _ORDER.sample(KINDS, len(KINDS)):
                status, took_s = _asked(connection, wrong(kind, right))
                let_in += status != REFUSED
                if number >= 0:
                    seconds[kind].append(took_s)
    most_s = float(np.quantile(np.concatenate(list(seconds.values())), 1 - SLOWEST))
    kept = {kind: np.array([one for one in took if one <= most_s]) for kind, took in seconds.items()}
    return Locks(kept, sum(map(len, seconds.values())), let_in)


def wrong(kind: str, right: str) -> str:
    """Return a token that is not ``right`` in the way that ``kind`` names."""
    if kind == KINDS[0]:
        return _other(right[0]) + right[1:]
    if kind == KINDS[1]:
        return right[:-1] + _other(right[-1])
    return right[:-1] if kind == KINDS[2] else new_token()


def _other(letter: str) -> str:
    return _ORDER.choice(_LETTERS.replace(letter, ""))


def markdown(found: Locks) -> str:
    """The table."""
    head = ("kind", "answers", "median", "mean")
    rows = [
        (kind, str(len(took)), f"{1e6 * np.median(took):.0f} µs", f"{1e6 * took.mean():.1f} µs")
        for kind, took in found.seconds.items()
    ]
    pairs = found.pairs
    least = min(pairs, key=lambda pair: pair.p)
    seen = "; ".join(f"{' and '.join(pair.kinds)} differ" for pair in found.tells) or "no difference is seen"
    widest = 1e6 * max(pair.error_s for pair in pairs)
    kinds = " and ".join(least.kinds)
    return (
        f"{table(head, rows)}\n\nOf {found.asked} wrong tokens {found.let_in} were let in. Welch's t-test of each two "
        f"kinds at {LEVEL:.0%}, corrected for {len(pairs)} pairs: {seen}; the least p is {least.p:.3f} ({kinds}, "
        f"{1e6 * least.difference_s:+.1f} µs). {3 * widest:.1f} µs would be seen. The slower half of all answers is "
        "left out."
    )


@contextmanager
def _gateway(right: str) -> Iterator[http.client.HTTPConnection]:
    """A connection to a gateway that knows ``right``, among others; without a face server, which no guess gets to."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokens.json"
        known: Sequence[str] = [*(new_token() for _ in range(OTHERS)), right]
        save(file, [Token(Caller(f"caller-{number}"), digest(one)) for number, one in enumerate(known)])
        command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", "127.0.0.1:1", "--port", "0"]
        with subprocess.Popen([*command, "--tokens", str(file)], stdout=subprocess.PIPE, text=True) as process:
            try:
                said = process.stdout.readline() if process.stdout is not None else ""
                port = re.search(r"http://127\.0\.0\.1:(\d+)", said)
                if port is None:
                    raise UnexpectedResponse(f"the gateway did not start; it said {said!r}")
                with closing(http.client.HTTPConnection("127.0.0.1", int(port[1]))) as connection:
                    yield connection
            finally:
                process.terminate()


def _asked(connection: http.client.HTTPConnection, token: str) -> tuple[int, float]:
    """Return the status, and the seconds that the answer took."""
    headers = {"Authorization": f"Bearer {token}"}
    began = time.perf_counter()
    connection.request("POST", PATH, b"", headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, time.perf_counter() - began

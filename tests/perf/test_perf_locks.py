"""The parts of ``emotalk-perf locks``: its judge is scipy's, and a leak is seen."""

import numpy as np
import pytest
from scipy import stats

from emotalk_gateway.service.tokens import new_token
from emotalk_perf.locks import KINDS, Locks, markdown, welch, wrong

pytestmark = pytest.mark.unit


@pytest.fixture
def times():
    """``times(*differences)``: the seconds of each kind, 2500 of them, as heavy-tailed as a machine's are."""
    random = np.random.default_rng(5)

    def made(*differences):
        return {
            kind: 4e-4 + extra + random.gamma(2.0, 3e-5, 2500) for kind, extra in zip(KINDS, differences, strict=True)
        }

    return made


@pytest.mark.parametrize("extra", [0.0, 1e-6, 5e-6])
def test_welchs_test_is_scipys(times, extra):
    seconds = times(0, extra, 0, 0)
    a, b = seconds[KINDS[0]], seconds[KINDS[1]][:2000]
    difference, error, p = welch(a, b)
    right = stats.ttest_ind(a, b, equal_var=False)
    assert difference / error == pytest.approx(right.statistic)
    assert p == pytest.approx(right.pvalue, abs=1e-3)


def test_a_leak_is_seen_and_its_absence_is_said(times):
    quiet = Locks(times(0, 0, 0, 0), 10_000, 0)
    assert quiet.tells == []
    assert "no difference is seen" in markdown(quiet)
    leak = Locks(times(0, 6e-6, 0, 0), 10_000, 0)
    assert {KINDS[1]} <= set.intersection(*(set(pair.kinds) for pair in leak.tells))
    assert f"{KINDS[0]} and {KINDS[1]} differ" in markdown(leak)


def test_wrong_tokens_are_wrong_in_their_own_way():
    for _ in range(50):
        right = new_token()
        first, last, short, unknown = (wrong(kind, right) for kind in KINDS)
        assert first[1:] == right[1:]
        assert last[:-1] == right[:-1]
        assert short == right[:-1]
        assert len({right, first, last, short, unknown}) == 5

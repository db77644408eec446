"""Closures of the lips: their phones, their peaks, and how the two are compared."""

import numpy as np
import pytest
from scipy.signal import find_peaks

from emotalk_client import Timed, Utterance
from emotalk_client.faces.closures import contacts
from emotalk_perf.saying import HEIGHT, PROMINENCE, Closures, Promptness, closing, judged, onset, report

pytestmark = pytest.mark.unit


def test_neighbours_are_one_contact():
    phones = [Timed(text, at / 10, (at + 1) / 10) for at, text in enumerate("ʌmpkinbɑb")]
    assert contacts(phones) == [(0.1, 0.3), (0.6, 0.7), (0.8, 0.9)]


@pytest.mark.parametrize("seed", range(20))
def test_peaks_are_those_of_scipy(seed):
    draw = np.random.default_rng(seed)
    press = np.round(np.convolve(draw.uniform(0, 1, 200), np.ones(4) / 4, "same"), 2).astype(np.float32)
    assert closing(press) == find_peaks(press, height=HEIGHT, prominence=PROMINENCE)[0].tolist()


def test_recall_and_precision():
    found = judged("hibari", "en", [(1.0, 1.1), (2.0, 2.1)], [28, 29, 90])
    assert (found.recall, found.precision) == (0.5, pytest.approx(2 / 3))
    assert judged("hibari", "en", [(1.0, 1.1)], []).recall == 0
    assert judged("hibari", "en", [], [3]).precision == 0


def test_the_onset_is_where_the_sound_begins():
    audio = np.concatenate([np.zeros(100), np.full(900, 9000)]).astype(np.int16)
    late = Utterance("b", audio, 1000, (), (Timed("b", 2.15, 2.2),), (), 2.0)
    assert onset(late) == pytest.approx(0.05)


def test_the_report_has_both_tables():
    prompt = Promptness((0.1, 0.2), (0.2, 0.3), (0.4, 0.5), 7.5)
    text = report(prompt, [Closures("hibari", "fa", 3, 4, 0.5, 0.25, "phones", 0.012)])
    assert "| first sound | 150 ms | 195 ms | 200 ms |" in text
    assert "| hibari | fa | phones | 3 | 4 | 0.50 | 0.25 | 12 ms |" in text

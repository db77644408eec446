"""Where the landmarks lie on the head: the tool finds what is stored, so neither head nor network has changed."""

import sys
from pathlib import Path

import numpy as np
import pytest
from drawn import drawing

from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import base
from emotalk_contract.arkit import INDEX

pytestmark = pytest.mark.unit

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        pass
    monkeypatch.syspath_prepend(TOOLS)
    import avatar_anchors

    yield avatar_anchors
    for name in ("avatar_anchors", "head_picture"):
        sys.modules.pop(name, None)


def test_stored_anchors_are_those_of_head_and_network(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["avatar_anchors", "--output", str(tmp_path / "anchors.npz")])
    assert tool.main() == 0
    points = base().skin.points
    with np.load(tmp_path / "anchors.npz") as made:
        found = (points[made["triangles"].astype(int)] * made["shares"][..., None]).sum(axis=1)
    apart = np.linalg.norm(found - base().at_landmarks(points), axis=1)
    # Another driver may draw a pixel otherwise.
    assert apart.mean() < 0.0005
    assert np.quantile(apart, 0.95) < 0.003


def test_borders_that_touch_lie_on_their_own_side():
    head = base()
    moved = head.at_landmarks(np.linalg.norm(head.skin.moves, axis=2).T)
    upper, lower = (list(numbers[2:-2]) for numbers in (mesh478.INNER_UPPER, mesh478.INNER_LOWER))
    assert moved[upper, INDEX["jawOpen"]].max() < 0.5 * moved[lower, INDEX["jawOpen"]].min()
    for side in ("Left", "Right"):
        blink = moved[:, INDEX[f"eyeBlink{side}"]]
        above, below = (list(table[side][2:-2]) for table in (mesh478.EYE_UPPER, mesh478.EYE_LOWER))
        assert blink[above].min() > 1.5 * blink[below].max()

"""Code outside of the export knows no network by name: what one needs is its recipe."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
NAMED = re.compile(r"(?<![a-z0-9])lam(?![a-z0-9])|audio2exp|emotalk\.pth|(emotalk|lam|compact)_?face\b", re.IGNORECASE)
"""LAM-A2E, EmoTalk's checkpoint, and the classes of a face; `emotalk` by itself is this project."""
MODEL_NAMES = re.compile(r"\.model\s*(==|!=|\bin\b|\.startswith|\.endswith)")
"""A branch on the description of the weights."""
FOLDERS = ("client", "ensemble", "perf", "model_repository")
EXCEPT = PROJECT / "perf" / "emotalk_perf" / "gpu"
"""Measures the export's own networks, in PyTorch on a GPU, without a server."""
SOURCES = sorted(
    path
    for folder in FOLDERS
    for kind in ("py", "js", "pbtxt")
    for path in (PROJECT / folder).rglob(f"*.{kind}")
    if EXCEPT not in path.parents
)


def named(text):
    return [line for line in text.splitlines() if NAMED.search(line) or MODEL_NAMES.search(line)]


def test_no_line_names_a_network():
    assert len(SOURCES) > 100
    found = {str(path.relative_to(PROJECT)): lines for path in SOURCES if (lines := named(path.read_text("utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "if face == 'LAM': pass",
        "from x import lam",
        "LamFace(file)",
        "the lam-a2e network",
        "if manifest.model == 'a': pass",
    ],
)
def test_a_line_that_does_is_found(line):
    assert named(line)


@pytest.mark.parametrize("line", ["import emotalk_client", "a lamp", "lambda x: x", "islamic", "EmoTalkClient(url)"])
def test_others_are_not(line):
    assert not named(line)

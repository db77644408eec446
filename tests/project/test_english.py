"""How this project writes: the subject first, and one word for one thing."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("client", "ensemble", "export", "model_repository", "perf", "training", "tools")
    for path in sorted((PROJECT / folder).rglob("*.py"))
]
NO_SUBJECT = re.compile(r"(What|Whether|Who|How|Where)\b")
IS_NO = re.compile(r"(?<!\bthere )\b(?:is|are|be) no (?!(?:longer|more|less|later|earlier|other|slower|quicker)\b)")


def texts(path):
    """Yield the texts of a module, docstrings and messages, and whether each is a docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    said = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, id(node) in said


def test_no_docstring_begins_without_its_subject():
    wrong = [
        f"{path.relative_to(PROJECT)}:{line}: {text.strip().splitlines()[0]}"
        for path in SOURCES
        for line, text, docstring in texts(path)
        if docstring and NO_SUBJECT.match(text.strip())
    ]
    assert wrong == []


def test_nothing_is_no_thing():
    wrong = [
        f"{path.relative_to(PROJECT)}:{line}: {text.strip().splitlines()[0]}"
        for path in SOURCES
        for line, text, _ in texts(path)
        if IS_NO.search(text)
    ]
    assert wrong == []

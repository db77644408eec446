"""No package of ours draws from the random generators that belong to the whole program.

Whoever seeds them for a reproducible run of his own would get other numbers whenever a server in the same program is
probed, and Hypothesis takes such a draw for one of the test's.
"""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = ("client", "ensemble", "export", "perf", "training", "tools")
OWN = {"Random", "SystemRandom", "default_rng", "Generator", "SeedSequence", "PCG64"}
"""Names of ``random`` and ``numpy.random`` that make a generator."""


def draws(source):
    """Lines in which ``source`` draws from a generator of the program's."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="random"), attr=name) if name not in OWN:
                yield f"{node.lineno}: random.{name}"
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"), attr=name):
                if name not in OWN:
                    yield f"{node.lineno}: numpy.random.{name}"
            case ast.ImportFrom(module="random" | "numpy.random", names=names):
                yield from (f"{node.lineno}: {one.name}" for one in names if one.name not in OWN)


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_programs_generators_are_left_alone(folder):
    found = [f"{path}:{line}" for path in (ROOT / folder).rglob("*.py") for line in draws(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "line", ["random.uniform(0, 1)", "np.random.rand(3)", "numpy.random.seed(1)", "from random import choice"]
)
def test_a_draw_is_found(line):
    assert list(draws(line))
    assert not list(draws("random.Random(1).random(); np.random.default_rng(0).normal()"))

"""Files for Docker name what exists: options, folders, modules, topics. No Docker is needed to see that they do not."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
COMPOSE = (PROJECT / "deploy" / "compose.kafka.yaml").read_text("utf-8")
COMMANDS = (PROJECT / "docs" / "commands.md").read_text("utf-8")
"""Generated from the commands, and held to them by `make lint`."""


def service(name):
    """The lines of one service."""
    return re.search(rf"^  {name}:\n((?:(?:    .*)?\n)+)", COMPOSE, re.MULTILINE)[1]


def options_of(command):
    section = re.search(rf"^#+ `?{command}`?\n(.*?)(?=^#+ |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)[1]
    return set(re.findall(r"--[a-z0-9-]+", section))


def test_the_workers_options_exist():
    given = set(re.findall(r"^ +- (--[a-z0-9-]+)=", service("worker"), re.MULTILINE))
    assert len(given) >= 5
    assert given <= options_of("emotalk worker")


def test_an_option_that_does_not_exist_would_be_found():
    assert "--broker" not in options_of("emotalk worker")


def test_the_workers_topics_are_made():
    used = set(re.findall(r"--(?:topic|results|dead)=(\S+)", service("worker")))
    assert used == set(re.findall(r"make (\S+) --partitions", service("topics")))


def test_what_is_copied_and_built_from_exists():
    copied = re.findall(r"^ +COPY (.+) \S+$", COMPOSE, re.MULTILINE)
    files = [name for line in copied for name in line.split()] + re.findall(r"dockerfile: (\S+)", COMPOSE)
    assert len(files) > 5
    assert [name for name in files if not (PROJECT / name).exists()] == []


def test_modules_and_extras_exist():
    extras = (PROJECT / "pyproject.toml").read_text("utf-8")
    for extra in re.findall(r'"/src\[([a-z,]+)\]"', COMPOSE):
        for name in extra.split(","):
            assert re.search(rf"^{name} = \[", extras, re.MULTILINE)
    for module in re.findall(r'"-m", "([\w.]+)"', COMPOSE):
        assert (PROJECT / "ensemble" / Path(*module.split(".")).with_suffix(".py")).is_file()


def test_the_image_brings_what_the_models_in_python_import():
    image = (PROJECT / "Dockerfile.triton").read_text("utf-8")
    assert '"onnxruntime>=' in image  # emotalk_live runs its graph in its own process

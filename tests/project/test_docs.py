"""The documentation says what there is, and nothing else."""

import re
import sys
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
PAGES += [PROJECT / "training" / "README.md"]
TEXT = {page: page.read_text("utf-8") for page in PAGES}
SOURCES = [
    path
    for folder in ("client", "ensemble", "export", "perf", "training", "tools")
    for path in sorted((PROJECT / folder).rglob("*.py"))
]

OTHERS = {
    "emotalk_server.probe": {"--live", "--ready", "--deep"},
    "docker": {"--gpus", "--shm-size", "--read-only", "--tmpfs", "--init", "--restart", "--build", "--sbom"},
    "tools/video_cost.py": {"--face", "--glb"},
    "curl": {"--data-binary", "--max-time"},
    "pip": {"--no-deps"},
    "tests/seeded.py": {"--outliers"},
    "perf_analyzer": {
        "--concurrency-range",
        "--input-data",
        "--max-trials",
        "--measurement-mode",
        "--measurement-request-count",
        "--stability-percentage",
        "--verbose-csv",
    },
    "everything": {"--help"},
}
"""Options of other programs that the pages name."""


def commands_page():
    sys.path.insert(0, str(PROJECT / "tools"))
    import commands_page

    return commands_page


def test_the_page_of_commands_is_what_the_commands_say():
    assert (PROJECT / "docs" / "commands.md").read_text("utf-8") == commands_page().page(), "run `make configs`"


def test_every_option_has_a_meaning():
    bare = [f"{c.name} {o.names}" for c in commands_page().commands() for o in c.options if not o.meaning]
    assert bare == []


def test_every_option_that_a_page_names_exists():
    known = set().union(*OTHERS.values())
    for command in commands_page().commands():
        for option in command.options:
            known |= set(re.findall(r"--[a-z][a-z0-9-]*", option.names))
    unknown = {
        f"{page.name}: {option}"
        for page, text in TEXT.items()
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)
        if option not in known
    }
    assert unknown == set()


def test_every_command_that_a_page_names_exists():
    known = {command.name for command in commands_page().commands()}
    known |= {name.rpartition(" ")[0] for name in known}  # such as `emotalk token`, which has commands of its own
    groups = {name.split()[0] for name in known if " " in name}
    for page, text in TEXT.items():
        blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL)
        code = "\n".join([*blocks, *re.findall(r"`(emotalk[^`\n]*)`", text)])
        for group, below in re.findall(r"(?:^|[ /])(emotalk(?:-perf|-train)?) ([a-z][a-z0-9-]*)", code, re.MULTILINE):
            if group in groups:
                assert f"{group} {below}" in known, f"{page.name}: {group} {below}"


def extras():
    return set(tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])


def test_every_extra_is_in_the_readme_and_every_one_named_exists():
    named = set()
    for text in [*TEXT.values(), *(path.read_text("utf-8") for path in SOURCES)]:
        for listed in re.findall(r"emotalk-triton\[([a-z0-9,]+)\]", text):
            named |= set(listed.split(","))
    assert named <= extras()
    table = re.search(r"<!-- extras -->\n(.*?)<!-- /extras -->", TEXT[PROJECT / "README.md"], re.DOTALL)[1]
    assert set(re.findall(r"^\| `([a-z0-9]+)` \|", table, re.MULTILINE)) == extras()


VARIABLE = re.compile(r"EMOTALK_[A-Z0-9_]*[A-Z](?!_)")
NOT_FOR_PEOPLE = {"EMOTALK_SERVER_FOLDER", "EMOTALK_SERVER_OWNER", "EMOTALK_CHAOS_RUN"}
"""Between a program and what it starts."""


def test_every_variable_is_documented_and_every_documented_one_is_read():
    from emotalk_gateway.service.settings import GatewaySettings

    code = [path.read_text("utf-8") for path in [*SOURCES, *sorted((PROJECT / "tests").rglob("*.py"))]]
    read = {name for text in code for name in re.findall(r"[\"\'](EMOTALK_[A-Z0-9_]*[A-Z])[\"\']", text)}
    read |= {f"EMOTALK_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields}
    said = {name for text in TEXT.values() for name in VARIABLE.findall(text)}
    assert said <= read
    assert read - NOT_FOR_PEOPLE <= said


def test_links_lead_somewhere():
    for page, text in TEXT.items():
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_folder_and_module_that_a_page_names_exists():
    for page, text in TEXT.items():
        for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", text):
            made = name.startswith(("training/cache", "training/run", "training/voices"))
            assert made or (PROJECT / name).exists(), f"{page.name}: {name}"
        for name in re.findall(r"`(emotalk_\w+(?:\.\w+)+)`", text):
            parts = name.split(".")
            places = [root.joinpath(*parts[:n]) for n in range(2, len(parts) + 1) for root in ROOTS]
            assert any(p.is_dir() or p.with_suffix(".py").is_file() for p in places), f"{page.name}: {name}"


FOLDERS = ("client", "ensemble", "export", "perf", "training", "tools", "tests", "model_repository")
ROOTS = [PROJECT / folder for folder in ("client", "ensemble", "export", "perf", "training")]

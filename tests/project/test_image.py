"""Dockerfile.triton: the wheel that it builds, from exactly what it copies. No Docker here: its rules, re-made."""

import fnmatch
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.server

PROJECT = Path(__file__).parents[2]
DOCKERFILE = (PROJECT / "Dockerfile.triton").read_text("utf-8")
NEWEST_WITH_A_PUBLISHED_HOLE = (25, 7)
"""Triton's HTTP and shared memory had published holes up to here (CVE-2025-23310, -23319, -23320, -23334)."""


def ignored(path):
    """Say whether .dockerignore keeps ``path`` out of the context: the last rule that matches decides."""
    out = False
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if rule:
            keeps, pattern = rule.startswith("!"), rule.removeprefix("!")
            parts = Path(path).parts
            prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
            tails = parts if pattern.startswith("**/") else prefixes
            if any(fnmatch.fnmatch(part, pattern.removeprefix("**/")) for part in tails):
                out = not keeps
    return out


def context(folder):
    """Lay out in ``folder`` what the COPY lines copy of what .dockerignore lets in."""
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, check=True, capture_output=True, text=True)
    files = [name for name in tracked.stdout.splitlines() if not ignored(name) and (PROJECT / name).is_file()]
    for sources, target in re.findall(r"^COPY (.+) (/src\S*)$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            found = [name for name in files if name == source or name.startswith(f"{source}/")]
            assert found, f"COPY {source}: nothing of that name is let into the context"
            for name in found:
                below = name.removeprefix(source).lstrip("/")
                to = folder / target.strip("/") / (below or ("" if not target.endswith("/") else source))
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, to)
    return folder / "src"


def test_what_is_copied_builds_a_complete_wheel(tmp_path, wheel):
    source = context(tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    built = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as image, zipfile.ZipFile(wheel) as ours:
        missing = {name for name in set(ours.namelist()) - set(image.namelist()) if "__pycache__" not in name}
    assert missing == set()


def test_the_image_is_newer_than_every_published_hole():
    (year, month) = re.search(r"^ARG TRITON_TAG=(\d\d)\.(\d\d)-py3$", DOCKERFILE, re.MULTILINE).groups()
    assert (int(year), int(month)) > NEWEST_WITH_A_PUBLISHED_HOLE


def test_its_user_is_not_root():
    (user,) = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert user not in ("root", "0")

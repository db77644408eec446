"""Without the extras of avatars every command and the gateway start all the same, and say what is missing."""

import subprocess
import sys

import pytest
from registering_parts import photograph

pytestmark = pytest.mark.unit

WITHOUT = """
import importlib.machinery, sys

found = importlib.machinery.PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in {missing!r} else found(name, path, target)

importlib.machinery.PathFinder.find_spec = find_spec
"""
EXTRAS = ("PIL", "av", "moderngl")


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=EXTRAS) + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_gateway_can_be_imported():
    said = run("import emotalk_gateway.app, emotalk_gateway.http.serving")
    assert said.returncode == 0, said.stderr


def test_commands_start():
    said = run("from emotalk_cli import main; sys.argv = ['emotalk', '--help']; main()")
    assert said.returncode == 0, said.stderr
    assert "avatar" in said.stdout


def test_a_registration_says_what_to_install(tmp_path):
    photo = tmp_path / "me.jpg"
    photo.write_bytes(photograph())
    code = "from emotalk_cli import main; sys.argv = ['emotalk', *sys.argv[1:]]; main()"
    said = run(code, "avatar", "register", photo, "--store", tmp_path / "s", "--url", "127.0.0.1:1")
    assert said.returncode == 1
    assert said.stderr.startswith("emotalk: MissingExtra: ")
    assert "emotalk-triton[avatar]" in said.stderr
    assert "Traceback" not in said.stderr

"""``emotalk token``: made once, listed without it, revoked."""

import threading

import pytest

from emotalk_cli import token as module
from emotalk_gateway.service.errors import InvalidSettings
from emotalk_gateway.service.tokens import find, load

pytestmark = pytest.mark.unit


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens.json"


def made(run, file, name="studio", *more):
    done = run("token", "new", name, "--scope", "animate", "--file", file, *more)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_one_is_made_listed_and_revoked(run, file):
    limits = ["--scope", "live", "--requests", 60, "--streams", 2, "--speech-s", 600, "--expires", "2020-05-01"]
    shown = made(run, file, "studio", *limits)
    other = made(run, file, "b")
    assert find(shown, load(file)).line() == {
        "name": "studio",
        "sha256": load(file)[0].digest.hex(),
        "scopes": ["animate", "live"],
        "requests": 60,
        "streams": 2,
        "speech_s": 600.0,
        "expires": "2020-05-01T00:00:00Z",
    }
    listed = run("token", "list", "--file", file).output
    assert shown not in listed
    for word in ("studio", "animate live", "60", "600", "2020-05-01", "over", "b"):
        assert word in listed
    assert "revoked" in run("token", "revoke", "studio", "--file", file).output
    assert find(shown, load(file)) is None
    assert find(other, load(file)).caller.name == "b"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new", "studio", "--scope", "live"], "a token of 'studio' already"),
        (["new", "a b", "--scope", "live"], "the name of token 1 is 'a b'"),
        (["new", "b", "--scope", "root"], "'root'.*accepted: some of animate"),
        (["new", "b", "--scope", "live", "--requests", 0], "requests of 'b' is 0"),
        (["new", "b", "--scope", "live", "--expires", "soon"], "'soon'"),
        (["revoke", "b"], "not a token of 'b'; accepted: studio"),
    ],
)
def test_what_cannot_be_is_refused_and_the_file_left(run, file, arguments, words):
    made(run, file)
    before = file.read_text()
    with pytest.raises(InvalidSettings, match=words):
        raise run("token", *arguments, "--file", file).exception
    assert file.read_text() == before


def test_of_two_that_change_the_file_neither_is_lost(file):
    begun = threading.Barrier(8)

    def add(number):
        begun.wait()
        module.new(f"n{number}", file, ["live"])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.caller.name for one in load(file)) == [f"n{number}" for number in range(8)]

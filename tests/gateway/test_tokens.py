"""Tokens as values: the file, its digests, scopes and limits, by themselves."""

import copy
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_gateway.service import tokens
from emotalk_gateway.service.access import Access
from emotalk_gateway.service.callers import ANYONE, OPERATOR, SCOPES, Caller, Limits
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.errors import (
    ClipTooLong,
    InvalidSettings,
    NotAuthorised,
    NotPermitted,
    TooManyRequests,
    TooManyStreams,
    TooMuchSpeech,
    problem_of,
)
from emotalk_gateway.service.limiting import WINDOW_S, Limiter, Window
from emotalk_gateway.service.metrics import Metrics
from emotalk_gateway.service.rate import HeldRate
from emotalk_gateway.service.settings import GatewaySettings
from emotalk_gateway.service.tokens import Token, digest, find, load, new_token, parsed, save

pytestmark = pytest.mark.unit

DIGEST = digest("sesame").hex()


def line(**more):
    return {"name": "studio", "sha256": DIGEST, "scopes": ["animate"], **more}


def access(path=None, **settings):
    metrics = Metrics(Capacity("uploads", 1), Capacity("streams", 1), HeldRate())
    return Access(GatewaySettings(tokens=path, **settings), metrics)


def test_a_token_is_found_again_and_is_not_in_the_file(tmp_path):
    made = [new_token() for _ in range(20)]
    file = tmp_path / "tokens.json"
    save(file, [Token(Caller(f"caller-{n}"), digest(one)) for n, one in enumerate(made)])
    assert file.stat().st_mode & 0o777 == 0o600
    content, known = file.read_text(), load(file)
    assert len(set(made)) == len(made)
    for number, one in enumerate(made):
        assert len(one) > 40
        assert one not in content
        assert find(one, known).caller.name == f"caller-{number}"
        for wrong in (one[:-1], one + "x", one.swapcase(), "x" + one[1:], ""):
            assert find(wrong, known) is None
    assert list(tmp_path.iterdir()) == [file]


def test_every_token_is_compared_found_or_not(monkeypatch):
    compared = []
    monkeypatch.setattr(tokens.hmac, "compare_digest", lambda a, b: compared.append(b) or a == b)
    known = [Token(Caller(f"n{n}"), digest(f"token {n}")) for n in range(5)]
    for shown in ("token 0", "token 4", "none"):
        compared.clear()
        find(shown, known)
        assert len(compared) == len(known)


def test_what_is_written_is_what_is_read(tmp_path):
    end = datetime(2027, 1, 1, tzinfo=timezone.utc)
    limits = Limits(60, 2, 600.5)
    kept = (
        Token(Caller("studio", frozenset({"animate", "live"}), limits), digest("a"), end),
        Token(Caller("b@c-d_e.f", frozenset(SCOPES)), digest("b")),
    )
    save(tmp_path / "t.json", kept)
    assert load(tmp_path / "t.json") == kept
    assert not kept[1].expired(end)
    assert kept[0].expired(end)
    assert not kept[0].expired(datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "not an object of tokens"),
        ({}, "not an object of tokens"),
        ({"tokens": {}}, "not an object of tokens"),
        ({"tokens": [], "more": 1}, "not an object of tokens"),
        ({"tokens": ["x"]}, "token 1 has 'x'"),
        ({"tokens": [line(), line(name="b", rate=1)]}, "token 2 has.*'rate'"),
        ({"tokens": [line(name="")]}, "the name of token 1 is ''"),
        ({"tokens": [line(name="a\nb")]}, "the name of token 1"),
        ({"tokens": [line(name="x" * 65)]}, "the name of token 1"),
        ({"tokens": [line(sha256=DIGEST[:-1])]}, "the sha256 of 'studio'"),
        ({"tokens": [line(sha256=DIGEST.upper())]}, "the sha256 of 'studio'"),
        ({"tokens": [line(scopes=[])]}, "the scopes of 'studio'"),
        ({"tokens": [line(scopes=["root"])]}, "the scopes of 'studio'.*'root'.*accepted: some of animate"),
        ({"tokens": [line(scopes="animate")]}, "the scopes of 'studio'"),
        ({"tokens": [line(requests=0)]}, "requests of 'studio' is 0"),
        ({"tokens": [line(requests=1.5)]}, "requests of 'studio' is 1.5"),
        ({"tokens": [line(streams=True)]}, "streams of 'studio' is True"),
        ({"tokens": [line(speech_s="9")]}, "speech_s of 'studio' is '9'"),
        ({"tokens": [line(speech_s=float("nan"))]}, "speech_s of 'studio' is nan"),
        ({"tokens": [line(requests=None)]}, "requests of 'studio' is None"),
        ({"tokens": [line(expires="soon")]}, "the end of 'studio' is 'soon'"),
        ({"tokens": [line(expires=5)]}, "the end of 'studio' is 5"),
        ({"tokens": [line(), line(name="b")]}, "the sha256 .* is there twice"),
        ({"tokens": [line(), line(sha256="0" * 64)]}, "the name 'studio' is there twice"),
    ],
)
def test_a_file_that_cannot_be_is_refused_in_words(tmp_path, content, words):
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidSettings, match=words):
        load(file)


def test_a_file_that_is_not_there_not_json_or_too_large(tmp_path):
    file = tmp_path / "tokens.json"
    with pytest.raises(InvalidSettings, match=r"cannot be read: No such file"):
        load(file)
    for content in (b"\xff", b"{", b"[" * 100_000):
        file.write_bytes(content)
        with pytest.raises(InvalidSettings, match="not JSON"):
            load(file)
    file.write_bytes(b" " * (tokens.MOST_FILE_BYTES + 1))
    with pytest.raises(InvalidSettings, match="more than"):
        load(file)
    with pytest.raises(InvalidSettings, match="cannot be written"):
        save(tmp_path / "none" / "t.json", [])
    many = [line(name=f"n{n}", sha256=f"{n:064x}") for n in range(tokens.MOST_TOKENS + 1)]
    with pytest.raises(InvalidSettings, match=f"{tokens.MOST_TOKENS + 1} tokens"):
        parsed({"tokens": many})


def test_who_asks_is_known_by_what_is_shown(tmp_path):
    assert access().caller(None, "admin") is ANYONE
    assert access().caller("whatever", "live") is ANYONE
    own = access(token="one for all")
    assert own.caller("one for all", "admin") is OPERATOR
    file = tmp_path / "tokens.json"
    save(
        file,
        [
            Token(Caller("a", frozenset({"animate"})), digest("A")),
            Token(Caller("old"), digest("old"), datetime(2020, 1, 1, tzinfo=timezone.utc)),
        ],
    )
    both = access(file, token="one for all")
    assert both.caller("one for all", "admin") is OPERATOR
    assert both.caller("A", "animate").name == "a"
    with pytest.raises(NotPermitted, match=r"'a' has the scopes animate; accepted: one with live"):
        both.caller("A", "live")
    for shown in (None, "", 5, [], "B", "a", "ä", "\ud800"):
        with pytest.raises(NotAuthorised, match="missing" if not isinstance(shown, str) or not shown else "wrong"):
            both.caller(shown, "animate")
    with pytest.raises(NotAuthorised, match="'old' expired at 2020-01-01 00:00 UTC"):
        both.caller("old", "animate")


def test_a_new_file_counts_at_once_and_a_broken_one_not_at_all(tmp_path, caplog):
    file = tmp_path / "tokens.json"
    save(file, [Token(Caller("a"), digest("A"))])
    asked = access(file)
    save(file, [Token(Caller("b"), digest("B"))])
    assert asked.caller("B", "live").name == "b"
    with pytest.raises(NotAuthorised):
        asked.caller("A", "live")
    file.write_text('{"tokens": [')
    assert asked.caller("B", "live").name == "b"
    assert asked.stale
    assert "the tokens of before go on" in caplog.text
    file.unlink()
    assert asked.caller("B", "live").name == "b"
    save(file, [Token(Caller("c"), digest("C"))])
    assert asked.caller("C", "live").name == "c"
    assert not asked.stale
    with pytest.raises(InvalidSettings):
        access(tmp_path / "none.json")


class Clock:
    now = 1000.3

    def __call__(self):
        return self.now


def test_requests_of_a_minute():
    clock = Clock()
    limiter = Limiter(clock)
    caller, other = Caller("a", limits=Limits(requests=3)), Caller("b", limits=Limits(requests=1))
    for _ in range(3):
        limiter.request(caller)
        clock.now += 1
    with pytest.raises(TooManyRequests, match="'a' began 3 requests in a minute; accepted: 3") as caught:
        limiter.request(caller)
    limiter.request(other)
    told = problem_of(caught.value)
    assert (told.status, told.codes.grpc, told.close_code) == (429, "RESOURCE_EXHAUSTED", 1013)
    clock.now += told.retry_after_s - 1
    with pytest.raises(TooManyRequests):
        limiter.request(caller)
    clock.now += 1
    limiter.request(caller)
    for _ in range(1000):
        limiter.request(Caller("c"))


def test_speech_of_a_minute():
    clock = Clock()
    limiter = Limiter(clock)
    caller = Caller("a", limits=Limits(speech_s=10))
    limiter.clip(caller, 6)
    with pytest.raises(TooMuchSpeech, match=r"'a' had 6.0 s of speech in a minute and 5.0 s more .*accepted: 10 s"):
        limiter.clip(caller, 5)
    with pytest.raises(ClipTooLong, match=r"10.5 s long; accepted: at most 10 s"):
        limiter.clip(caller, 10.5)
    limiter.clip(caller, 4)
    with pytest.raises(TooMuchSpeech) as caught:
        limiter.speech(caller, 0.02)
    clock.now += caught.value.retry_after_s
    limiter.speech(caller, 12)  # a sentence is counted once it is made, however long it became
    with pytest.raises(TooMuchSpeech):
        limiter.speech(caller, 0.02)


def test_streams_at_once():
    limiter, caller = Limiter(), Caller("a", limits=Limits(streams=2))
    with limiter.stream(caller), limiter.stream(caller):
        with pytest.raises(TooManyStreams, match="'a' has 2 streams; accepted: 2 at once"), limiter.stream(caller):
            pass
        with limiter.stream(Caller("b")):
            pass
    with limiter.stream(caller):
        pass


def test_all_of_a_minute_fits_once_the_rest_is_over():
    """Sums that cancel but for their rounding."""
    window = Window()
    window.add(1.078691259866292, 5.0)
    assert window.wait_s(8, 8.0, 5.0) == 61.0


@given(
    most=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 30), st.floats(0.1, 8)), max_size=200),
)
def test_in_no_minute_more_than_the_limit(most, steps):
    window, now, taken = Window(), 5.0, []
    for step, amount in steps:
        now += step
        wait_s = window.wait_s(most, amount, now)
        if wait_s == 0:
            window.add(amount, now)
            taken.append((now, amount))
        elif amount <= most:
            assert copy.deepcopy(window).wait_s(most, amount, now + wait_s + 1e-6) == 0  # it forgets what is over
    for began, _ in taken:
        assert sum(amount for at, amount in taken if began <= at <= began + WINDOW_S) <= most + 1e-6

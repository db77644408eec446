"""A conversation's avatar: chosen, refused in words, and the conversation goes on."""

import asyncio

import avatar_packages
import numpy as np
import pytest
from fake import FakeTransport
from wscaller import Caller

from emotalk_avatar.store import AvatarStore
from emotalk_client import AsyncEmoTalkClient
from emotalk_gateway.app import create_app
from emotalk_gateway.service.callers import Caller as Somebody
from emotalk_gateway.service.settings import GatewaySettings
from emotalk_gateway.service.tokens import Token, digest, save

pytestmark = pytest.mark.unit

GUARD_S = 60
SPEECH = np.random.default_rng(0).normal(0, 0.1, 16_000).astype("<f4").tobytes()


@pytest.fixture
def store(tmp_path):
    return AvatarStore(tmp_path / "avatars")


async def answer(caller, kind):
    """The next message of ``kind``."""
    while True:
        said = await asyncio.wait_for(caller.answers.get(), GUARD_S)
        if isinstance(said, dict) and said["type"] == kind:
            return said


def app_of(folder, **settings):
    client = AsyncEmoTalkClient("fake:1", transport=FakeTransport())
    return create_app(GatewaySettings(avatars=folder, **settings), client)


def begin(caller, **start):
    caller.say({"type": "start", "sample_rate": 16_000, "format": "float32", **start})


async def test_an_avatar_is_chosen_in_the_middle_of_speech(store, tmp_path):
    avatar = store.add(avatar_packages.draft(name="Ada"))
    async with Caller(app_of(tmp_path / "avatars")) as caller:
        begin(caller)
        caller.say(SPEECH)
        caller.say({"type": "avatar_selection", "avatar_id": avatar.id})
        told = await answer(caller, "avatar_selected")
        assert told == {"type": "avatar_selected", "avatar_id": avatar.id, "avatar_name": "Ada"}
        caller.say({"type": "end"})
        assert (await answer(caller, "end"))["frames"] == 30


@pytest.mark.parametrize("wrong", ["nobody", "", "../../etc", "x" * 10_000, "\x00"])
async def test_an_unknown_one_is_refused_in_words_and_the_conversation_goes_on(store, tmp_path, wrong):
    store.add(avatar_packages.draft())
    async with Caller(app_of(tmp_path / "avatars")) as caller:
        begin(caller)
        caller.say({"type": "avatar_selection", "avatar_id": wrong})
        told = await answer(caller, "avatar_refused")
        assert told["avatar_id"] == wrong
        assert told["error"] == "UnknownAvatar"
        assert "accepted" in told["message"]
        caller.say(SPEECH)
        caller.say({"type": "end"})
        assert (await answer(caller, "end"))["frames"] == 30


async def test_a_gateway_without_avatars_says_so():
    async with Caller(app_of(None)) as caller:
        begin(caller)
        caller.say({"type": "avatar_selection", "avatar_id": "a"})
        assert (await answer(caller, "avatar_refused"))["error"] == "AvatarsOff"


async def test_what_belongs_to_others_is_unknown_and_a_token_must_be_one_for_avatars(store, tmp_path):
    hers = store.add(avatar_packages.draft(owner="ada"))
    callers = {
        "a": Somebody("ada", frozenset(["live", "avatars"])),
        "b": Somebody("bob", frozenset(["live", "avatars"])),
        "e": Somebody("eve", frozenset(["live"])),
    }
    tokens = [Token(caller, digest(letter * 32)) for letter, caller in callers.items()]
    save(tmp_path / "tokens.json", tokens)
    app = app_of(tmp_path / "avatars", tokens=tmp_path / "tokens.json")
    for token, told in (("a" * 32, None), ("b" * 32, "UnknownAvatar"), ("e" * 32, "NotPermitted")):
        async with Caller(app) as caller:
            begin(caller, token=token)
            caller.say({"type": "avatar_selection", "avatar_id": hers.id})
            found = await answer(caller, "avatar_selected" if told is None else "avatar_refused")
            assert found.get("error") == told


@pytest.mark.parametrize("wrong", [None, 7, {}, ["a"]])
async def test_what_is_not_an_id_ends_the_connection_as_other_mistakes_do(tmp_path, wrong):
    async with Caller(app_of(tmp_path / "avatars")) as caller:
        begin(caller)
        caller.say({"type": "avatar_selection", "avatar_id": wrong})
        assert (await answer(caller, "error"))["error"] == "InvalidMessage"


async def test_one_that_asks_often_and_never_reads_is_answered_once_at_a_time(store, tmp_path):
    avatar = store.add(avatar_packages.draft())
    app = app_of(tmp_path / "avatars", stream_idle_s=0.5)
    async with Caller(app) as caller:
        begin(caller)
        await answer(caller, "started")
        caller.reads.clear()
        for _ in range(50):
            caller.say({"type": "avatar_selection", "avatar_id": avatar.id})
        await asyncio.wait_for(asyncio.shield(caller.task), GUARD_S)
        assert app.state.service.streams.admitted == 0
        caller.reads.set()

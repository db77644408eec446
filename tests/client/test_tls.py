"""TLS and tokens on a real gRPC socket, with certificates that are made here."""

import asyncio
import datetime

import grpc
import numpy as np
import pytest
import trustme
from fakegrpc import FakeTriton

from emotalk_cli.connection import security
from emotalk_client import AsyncEmoTalkClient, EmoTalkClient, InvalidTls, NotAuthenticated, Tls, TlsFailed
from emotalk_client.errors import ServerUnavailable

pytestmark = pytest.mark.unit

CLIP = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
GUARD_S = 120


class Authority:
    """A certificate authority, and files of what it vouches for."""

    def __init__(self, folder):
        self.ca = trustme.CA()
        self.folder = folder
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def issued(self, name, **how):
        cert = self.ca.issue_cert(name, **how)
        chain, key = self.folder / f"{len(list(self.folder.iterdir()))}.pem", self.folder / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
        key.write_bytes(cert.private_key_pem.bytes())
        return chain, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def credentials(authority, name="127.0.0.1", ask=False, **how):
    chain, key = authority.issued(name, **how)
    pair = [(key.read_bytes(), chain.read_bytes())]
    return grpc.ssl_server_credentials(pair, authority.file.read_bytes() if ask else None, ask)


def animate(client):
    return asyncio.wait_for(client.animate(CLIP, sample_rate=16_000), GUARD_S)


def clients(server, **how):
    return AsyncEmoTalkClient(server.url, retries=0, **how)


async def test_a_server_that_one_trusts_gives_faces(authority):
    fake = FakeTriton(credentials=credentials(authority))
    async with fake as server, clients(server, tls=Tls(ca=authority.file)) as client:
        assert len(await animate(client)) == 30
        await client.ready(GUARD_S)


async def test_both_sides_show_certificates(authority):
    chain, key = authority.issued("client.example")
    async with FakeTriton(credentials=credentials(authority, ask=True)) as server:
        async with clients(server, tls=Tls(authority.file, chain, key)) as client:
            assert len(await animate(client)) == 30
        async with clients(server, tls=Tls(authority.file)) as client:
            with pytest.raises((TlsFailed, ServerUnavailable)):
                await animate(client)
        assert server.received == 1


@pytest.mark.parametrize("wrong", ["unknown authority", "name", "expired"])
async def test_a_server_that_one_does_not_trust_gets_nothing(authority, tmp_path, wrong):
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    how = {"name": {"name": "elsewhere.example"}, "expired": {"not_after": past}}.get(wrong, {})
    ca = Authority(tmp_path).file if wrong == "unknown authority" else authority.file
    async with FakeTriton(credentials=credentials(authority, **how)) as server:
        async with clients(server, tls=Tls(ca)) as client:
            with pytest.raises(
                TlsFailed, match=r"no connection in TLS with 127\.0\.0\.1:\d+: .*accepted: a certificate"
            ):
                await animate(client)
        assert server.received == 0


async def test_tls_with_a_server_that_speaks_none_is_said():
    async with FakeTriton() as server, clients(server, tls=True) as client:
        with pytest.raises(TlsFailed, match="no connection in TLS"):
            await animate(client)


async def test_the_right_token_gives_faces_and_no_other(authority):
    async with FakeTriton(credentials=credentials(authority), token="secret") as server:
        tls = Tls(authority.file)
        async with clients(server, tls=tls, token="secret") as client:
            assert len(await animate(client)) == 30
            await client.ready(GUARD_S)
        for token in (None, "wrong"):
            async with clients(server, tls=tls, token=token) as client:
                with pytest.raises(NotAuthenticated, match="the right token: who are you"):
                    await animate(client)
        assert server.received == 1


async def test_live_streams_take_it_too(authority):
    fake = FakeTriton(credentials=credentials(authority), token="secret")
    async with fake as server, clients(server, tls=Tls(authority.file), token="secret") as client:
        session = client.live(sample_rate=16_000)
        await session.feed(CLIP)
        assert len(await asyncio.wait_for(session.flush(), GUARD_S)) == 30


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"certificate": "a.pem"}, "a certificate is given, and no key"),
        ({"key": "a.pem"}, "a key is given, and no certificate"),
    ],
)
def test_half_a_pair_is_refused(how, words):
    with pytest.raises(InvalidTls, match=words):
        Tls(**how)


async def test_files_that_are_none_are_refused_in_words(tmp_path):
    for ca, words in ((tmp_path / "missing.pem", "cannot be read"), (tmp_path, "cannot be read")):
        async with AsyncEmoTalkClient("127.0.0.1:1", tls=Tls(ca)) as client:
            with pytest.raises(InvalidTls, match=words):
                await animate(client)
    (tmp_path / "a.pem").write_text("hello")
    async with AsyncEmoTalkClient("127.0.0.1:1", tls=Tls(tmp_path / "a.pem")) as client:
        with pytest.raises(InvalidTls, match="no certificate in it; accepted: PEM"):
            await animate(client)


def test_what_is_no_tls_is_refused():
    with pytest.raises(InvalidTls, match="accepted: True, False, or a Tls"):
        EmoTalkClient("127.0.0.1:1", tls="yes")


def test_commands_take_it_from_the_environment(monkeypatch, authority):
    for name in ("EMOTALK_URL", "EMOTALK_TLS", "EMOTALK_TLS_CA", "EMOTALK_SERVER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert security("host:1") == {"tls": False, "token": None}
    monkeypatch.setenv("EMOTALK_TLS", "1")
    monkeypatch.setenv("EMOTALK_SERVER_TOKEN", "t")
    assert security("host:1") == {"tls": True, "token": "t"}
    monkeypatch.setenv("EMOTALK_TLS_CA", str(authority.file))
    assert security("host:1") == {"tls": Tls(ca=str(authority.file)), "token": "t"}
    assert security(None) == {}

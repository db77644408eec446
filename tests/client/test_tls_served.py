"""Our client and its commands over TLS to a real Triton, behind a balancer that ends TLS."""

import asyncio
import os
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import trustme

from emotalk_client import EmoTalkClient, Tls, TlsFailed
from emotalk_client.errors import ServerUnavailable

pytestmark = pytest.mark.server

CLIP = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
HANG_S = 120


@contextmanager
def balancer(target, context):
    """The address of a port that ends TLS and passes the rest on to ``target``."""
    loop, ready, told = asyncio.new_event_loop(), threading.Event(), {}

    async def joined(reader, writer):
        theirs = await asyncio.open_connection(*target)
        try:
            await asyncio.gather(copy(reader, theirs[1]), copy(theirs[0], writer))
        except OSError:
            pass
        finally:
            writer.close()
            theirs[1].close()

    async def copy(reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve():
        server = await asyncio.start_server(joined, "127.0.0.1", 0, ssl=context)
        told["port"], told["over"] = server.sockets[0].getsockname()[1], asyncio.Event()
        ready.set()
        await told["over"].wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(HANG_S)
        yield f"127.0.0.1:{told['port']}"
    finally:
        loop.call_soon_threadsafe(told["over"].set)
        thread.join(HANG_S)
        loop.close()


class Authority:
    def __init__(self, folder):
        self.ca, self.folder, self.file = trustme.CA(), folder, folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def files(self, name, **how):
        issued = self.ca.issue_cert(name, **how)
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return chain, key

    def context(self, name="127.0.0.1", mutual=False, **how):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(name, **how))
        context.set_alpn_protocols(["h2"])
        if mutual:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def target(bundled_server):
    host, port = bundled_server.grpc_url.rsplit(":", 1)
    return host, int(port)


def faces(url, tls):
    with EmoTalkClient(url, tls=tls, retries=0, timeout_s=20) as client:
        return len(client.animate(CLIP, sample_rate=16_000))


@pytest.mark.parametrize("mutual", [False, True])
def test_faces_come_over_tls(authority, target, mutual):
    shown = authority.files("caller.example")
    with balancer(target, authority.context(mutual=mutual)) as url:
        assert faces(url, Tls(authority.file, *shown)) == 30
        if mutual:
            with pytest.raises((TlsFailed, ServerUnavailable)):
                faces(url, Tls(authority.file))


def test_what_is_not_trusted_is_refused_in_words(authority, target, tmp_path):
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    old = datetime.now(timezone.utc) - timedelta(days=30)
    expired = {"not_before": old, "not_after": old + timedelta(days=1)}
    for context, trusted, words in (
        (authority.context(), stranger, "unable to get local issuer|self.signed"),
        (authority.context(**expired), authority.file, "expired"),
        (authority.context("else.example"), authority.file, "Hostname Verification|127.0.0.1"),
    ):
        with balancer(target, context) as url, pytest.raises(TlsFailed, match=words):
            faces(url, Tls(trusted))


def test_a_command_takes_it_from_its_environment(authority, target):
    with balancer(target, authority.context()) as url:
        for trusted, status in ((authority.file, 0), (None, 1)):
            environment = os.environ | {"EMOTALK_URL": url, "EMOTALK_TLS": "1"}
            environment |= {} if trusted is None else {"EMOTALK_TLS_CA": str(trusted)}
            command = [sys.executable, "-m", "emotalk_cli", "health"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S)
            assert done.returncode == status, done.stderr
        assert "TlsFailed" in done.stderr

"""The wire on real sockets: addresses, proxies, other protocols, hangs, what is left behind, forks, event loops."""

import asyncio
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from fakegrpc import DarkProxy, FakeTriton

from emotalk_client import AsyncEmoTalkClient, EmoTalkClient
from emotalk_client.errors import ClientForked, DeadlineExceeded, InvalidAddress, ServerUnavailable, WrongEventLoop
from emotalk_client.wire import calls, forks
from emotalk_client.wire.address import Target, check_address, proxy_before
from emotalk_client.wire.transport import bears_cancellation, translated

pytestmark = pytest.mark.unit

CLIP = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
GUARD_S = 120


def animate(client, **options):
    return asyncio.wait_for(client.animate(CLIP, sample_rate=16_000, **options), GUARD_S)


async def until(condition):
    async def holds():
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(holds(), GUARD_S)


# Many servers behind one name --------------------------------------------------------------------


async def test_calls_are_shared_out_to_all_addresses_of_a_name(monkeypatch):
    async with FakeTriton() as one, FakeTriton() as other:
        name = f"ipv4:{one.url},{other.url}"  # as gRPC sees a headless service
        monkeypatch.setattr(Target, "parse", lambda _: Target("127.0.0.1", one.port))
        async with AsyncEmoTalkClient(name) as client:
            while not (one.received and other.received):  # until both are connected
                await animate(client)
            before = one.received, other.received
            for _ in range(20):
                await animate(client)
            assert [one.received - before[0], other.received - before[1]] == [10, 10]
            await one._server.stop(0)
            before = other.received
            for _ in range(4):
                await animate(client)
            assert other.received == before + 4


# Addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("::1", r"an IPv6 address without a port \(with one: \[::1\]:8001\)"),
        ("::", r"\[::\]:8001"),
        ("[::1]", r"\[::1\]:8001"),
        ("localhost:99999", r"a port in 1\.\.65535"),
        ("localhost:0", r"a port in 1\.\.65535"),
        ("localhost:" + "9" * 6000, r"characters\)"),
        ("[::1]8001", "accepted: host:port"),
    ],
)
def test_an_address_that_cannot_be_says_what_can(url, words):
    with pytest.raises(InvalidAddress, match=words) as caught:
        check_address(url)
    assert len(str(caught.value)) < 500


def test_an_address_of_ipv6_has_its_host_without_brackets():
    assert Target.parse("[fe80::1%eth0]:8001") == Target("fe80::1%eth0", 8001)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "127.0.0.1",
        "127.1",
        "127.8.9.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
    ],
)
def test_loopback_has_many_names(host):
    assert Target(host, 1).is_loopback


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "127.example.org", "localhost.example.org", "::2"])
def test_others_are_not_loopback(host):
    assert not Target(host, 1).is_loopback


# Proxies ---------------------------------------------------------------------------------------

PROXY = "http://user:secret@127.0.0.1:9"


@pytest.fixture
def no_proxies(monkeypatch):
    for name in (*os.environ,):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy", "all_proxy"])
async def test_loopback_is_asked_directly_whatever_proxy_is_set(no_proxies, monkeypatch, variable):
    async with FakeTriton() as triton:
        monkeypatch.setenv(variable, PROXY)
        async with AsyncEmoTalkClient(triton.url, retries=0) as client:
            assert len(await animate(client)) == 30


async def test_a_proxy_that_is_in_the_way_is_named_without_its_password(no_proxies, monkeypatch):
    monkeypatch.setenv("https_proxy", PROXY)
    async with AsyncEmoTalkClient("192.0.2.1:8001", retries=0) as client:
        with pytest.raises(
            ServerUnavailable, match=r"the proxy 127\.0\.0\.1:9, which the variable https_proxy"
        ) as caught:
            await animate(client)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("excepted", "host", "through"),
    [
        ("", "example.org", True),
        ("example.org", "triton.example.org", False),
        ("10.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8, other", "11.1.2.3", True),
    ],
)
def test_what_no_proxy_excepts_is_asked_directly(no_proxies, monkeypatch, excepted, host, through):
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("no_proxy", excepted)
    assert (proxy_before(Target(host, 1)) is not None) is through


# Other protocols -------------------------------------------------------------------------------


@pytest.fixture
def web():
    """A server of HTTP/1.1; ``web.says`` is its answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(server.says).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.says = {}
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"name": "triton", "version": "2.51.0"}, "is Triton's HTTP port"),
        ({"x": 1}, "is a server of HTTP, not of gRPC"),
    ],
)
async def test_a_port_of_http_is_told_apart_and_not_tried_again(web, says, words):
    web.says = says
    async with AsyncEmoTalkClient(f"127.0.0.1:{web.server_port}") as client:
        with pytest.raises(InvalidAddress, match=words):
            await animate(client)


@pytest.mark.parametrize(
    ("code", "message", "kind", "words"),
    [
        (
            "UNAVAILABLE",
            "errors resolving no.invalid:8001: [field:hostname lookup error:address lookup failed for no.invalid:8001: "
            "Domain name not found]",
            ServerUnavailable,
            "no server answers at no.invalid:8001: its host cannot be found",
        ),
        (
            "UNAVAILABLE",
            "DNS resolution failed for no.invalid:8001: C-ares status is not ARES_SUCCESS",
            ServerUnavailable,
            "no server answers at no.invalid:8001: its host cannot be found",
        ),
        (
            "UNIMPLEMENTED",
            "Received http2 header with status: 404",
            InvalidAddress,
            "no.invalid:8001 is not Triton's gRPC endpoint: Received http2 header with status: 404",
        ),
        (
            "UNAVAILABLE",
            "two\nlines",
            ServerUnavailable,
            "no server answers at no.invalid:8001: two lines",
        ),
    ],
)
def test_what_grpc_says_becomes_a_line_of_words(no_proxies, code, message, kind, words):
    error = translated("no.invalid:8001", code, message)
    assert (type(error), str(error)) == (kind, words)


# Event loops -----------------------------------------------------------------------------------


def test_a_second_event_loop_is_told_so():
    held = {}

    async def first():
        async with FakeTriton() as triton:
            held["client"] = AsyncEmoTalkClient(triton.url, retries=0)
            await animate(held["client"])
            await asyncio.to_thread(second_is_refused)

    def second_is_refused():
        with pytest.raises(WrongEventLoop, match="one client for each"):
            asyncio.run(animate(held["client"]))
        with pytest.raises(WrongEventLoop):
            asyncio.run(held["client"].close())

    asyncio.run(first())
    asyncio.run(AsyncEmoTalkClient.close(held["client"]))  # whose loop is gone: nothing is left to close


# What is left behind ---------------------------------------------------------------------------


async def test_calls_that_nobody_waits_for_are_bounded_and_then_new_ones_wait(monkeypatch):
    size = CLIP.nbytes + calls.OVERHEAD_BYTES
    monkeypatch.setattr(calls, "MOST_LEFT_BYTES", 3 * size)
    async with FakeTriton() as triton, AsyncEmoTalkClient(triton.url, retries=0) as client:
        await client.describe()
        triton.answers.clear()
        client._timeout_s = 0.1
        for _ in range(8):
            with pytest.raises(DeadlineExceeded):
                await animate(client)
        await until(lambda: triton.received == 3)
        assert client._transport._calls.left_bytes == pytest.approx(3 * size, rel=0.01)
        assert triton.cancelled == 0  # this version does not bear it
        triton.answers.set()
        await until(lambda: client._transport._calls.left_bytes == 0)
        client._timeout_s = GUARD_S
        assert len(await animate(client)) == 30


async def test_what_waits_for_room_goes_on_when_there_is_some(monkeypatch):
    monkeypatch.setattr(calls, "MOST_LEFT_BYTES", 1)
    async with FakeTriton() as triton, AsyncEmoTalkClient(triton.url, retries=0) as client:
        await client.describe()
        triton.answers.clear()
        left = asyncio.create_task(animate(client))
        await triton.asked.wait()
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        waits = asyncio.create_task(animate(client))
        await client.ready(GUARD_S)  # a whole exchange, on the same connection
        assert triton.received == 1
        triton.answers.set()
        assert len(await waits) == 30


async def test_a_call_that_was_left_for_long_makes_room_after_all(monkeypatch):
    monkeypatch.setattr(calls, "MOST_LEFT_BYTES", 1)
    monkeypatch.setattr(calls, "LET_GO_S", 0.0)
    async with FakeTriton() as triton, AsyncEmoTalkClient(triton.url, retries=0) as client:
        await client.describe()
        triton.answers.clear()
        first = asyncio.create_task(animate(client))
        await triton.asked.wait()
        client._timeout_s = 0.2
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(DeadlineExceeded):
            await animate(client)
        await asyncio.wait_for(triton.left.wait(), GUARD_S)
        await until(lambda: triton.received == 2)
        triton.answers.set()


@pytest.mark.parametrize(("version", "cancelled"), [("2.51.0", 0), ("2.55.0", 0), ("2.56.0", 1), ("2.60.0", 1)])
async def test_a_server_that_bears_it_has_its_calls_cancelled(version, cancelled):
    async with FakeTriton(version) as triton, AsyncEmoTalkClient(triton.url, retries=0) as client:
        await client.describe()
        triton.answers.clear()
        left = asyncio.create_task(animate(client))
        await triton.asked.wait()
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        if cancelled:
            await asyncio.wait_for(triton.left.wait(), GUARD_S)
            assert client._transport._calls.left_bytes == 0
        triton.answers.set()
        assert len(await animate(client)) == 30
        assert triton.cancelled == cancelled


@pytest.mark.parametrize(
    ("version", "bears"),
    [("2.55.0", False), ("2.56.0", True), ("3.0", True), ("25.03", True), ("", False), ("unknown", False)],
)
def test_the_version_says_what_is_borne(version, bears):
    assert bears_cancellation(version) is bears


# Hangs -----------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(calls, "QUIET_S", 0.1)
    monkeypatch.setattr(calls, "ANSWER_S", 0.3)


async def test_a_server_that_hangs_is_noticed_long_before_the_deadline(impatient, monkeypatch):
    async with FakeTriton() as triton, AsyncEmoTalkClient(triton.url, retries=0, timeout_s=600) as client:
        await client.describe()
        triton.answers.clear()
        triton.lives.clear()
        with pytest.raises(ServerUnavailable, match="hangs or is gone"):
            await animate(client)
        monkeypatch.setattr(calls, "ANSWER_S", GUARD_S)
        triton.answers.set()
        triton.lives.set()
        assert len(await animate(client)) == 30


async def test_a_server_that_is_slow_and_lives_is_waited_for(impatient, monkeypatch):
    monkeypatch.setattr(calls, "ANSWER_S", GUARD_S)
    async with FakeTriton() as triton, AsyncEmoTalkClient(triton.url, retries=0) as client:
        await client.describe()
        triton.answers.clear()
        face = asyncio.create_task(animate(client))
        await until(lambda: triton.asked_live >= 3)
        assert not face.done()
        triton.answers.set()
        assert len(await face) == 30


async def test_a_connection_that_goes_dark_is_made_anew_within_the_call(impatient):
    async with FakeTriton() as triton, DarkProxy(triton.port) as proxy:
        client = AsyncEmoTalkClient(proxy.url, timeout_s=600)
        await client.describe()
        proxy.pull_the_cable()
        assert len(await animate(client)) == 30
        await client.close()


# Forks -----------------------------------------------------------------------------------------


def test_a_client_of_another_process_says_so_at_once(monkeypatch):
    client = EmoTalkClient("127.0.0.1:1")
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: 1)
            with pytest.raises(ClientForked, match="spawn"):
                client.animate(CLIP, sample_rate=16_000)
    finally:
        client.close()


def test_grpc_is_not_used_in_a_fork_of_who_used_it(monkeypatch):
    monkeypatch.setattr(forks, "_used_in", 1)
    with EmoTalkClient("127.0.0.1:1") as client, pytest.raises(ClientForked, match="process 1, which used gRPC"):
        client.describe()


FORKS = """
import asyncio, multiprocessing, sys, threading
import numpy as np
from fakegrpc import FakeTriton
from emotalk_client import EmoTalkClient
clip = np.zeros(16_000, np.float32)
url = sys.argv[1]

def tried(work):
    try:
        return len(work())
    except Exception as error:
        return type(error).__name__

def own():
    with EmoTalkClient(url, timeout_s=600) as client:
        return client.animate(clip, sample_rate=16_000)

def child(said, client):
    if client is not None:
        said.put(tried(lambda: client.animate(clip, sample_rate=16_000)))
        client.close()
    said.put(tried(own))

if __name__ == "__main__":
    for method, before in (("fork", False), ("fork", True), ("spawn", True)):
        context = multiprocessing.get_context(method)
        said = context.Queue()
        client = None
        if before:
            client = EmoTalkClient(url, timeout_s=600)
            client.animate(clip, sample_rate=16_000)
        handed = client if method == "fork" else None
        process = context.Process(target=child, args=(said, handed))
        process.start()
        for _ in range(2 if handed else 1):
            print(method, before, said.get(timeout=120))
        process.join(60)
        print("exit", process.exitcode)
        if client is not None:
            print("parent", tried(lambda: client.animate(clip, sample_rate=16_000)))
            client.close()
"""


async def test_forks_get_an_error_at_once_and_others_work(tmp_path):
    helpers = Path(__file__).parents[1] / "helpers"
    script = tmp_path / "forks.py"
    script.write_text(FORKS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(helpers), os.environ.get("PYTHONPATH", "")])}
    async with FakeTriton() as triton:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(script), triton.url),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:
                process.kill()
    assert said.decode().splitlines() == [
        *("fork False 30", "exit 0"),
        *("fork True ClientForked", "fork True ClientForked", "exit 0", "parent 30"),
        *("spawn True 30", "exit 0", "parent 30"),
    ]

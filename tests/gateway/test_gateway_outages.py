"""Live speech while the face server stands still or dies, and callers that leave or do not read: real processes."""

import os
import signal
import socket
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from test_gateway_websocket import RATE, heard, opened, say
from waiting import HANG_S, until

from emotalk_gateway.listening import sockets
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

BINARY = {"format": "float32", "frames": "float32"}


@pytest.fixture(scope="module")
def own_server():
    """One that these tests stop and kill."""
    with EmbeddedServer(supervised=False) as running:
        yield running


@pytest.fixture(scope="module")
def speech(voice):
    return voice[: 4 * RATE]


@contextmanager
def standing_still(server):
    """Triton stopped by SIGSTOP; yields a function that asserts that it still is."""
    pid = server.process.pid

    def check():
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    os.kill(pid, signal.SIGSTOP)
    try:
        yield check
    finally:
        os.kill(pid, signal.SIGCONT)


def agrees(frames, expected):
    assert [index for index, *_ in frames] == list(range(len(expected)))
    assert (np.abs(np.array([w for *_, w in frames]) - expected) > 0.02).mean() < 0.001


def test_barge_in_and_leaving_are_heard_while_the_server_stands_still(gateway_to, own_server, thin, speech):
    expected = thin.animate(speech, sample_rate=RATE).weights
    with gateway_to(own_server.grpc_url) as gateway, opened(gateway, {"format": "float32"}) as caller:
        say(caller, speech[:RATE].astype("<f4"))
        caller.recv(HANG_S)
        with standing_still(own_server) as check:
            for _ in range(5):  # more than a session takes
                say(caller, speech.astype("<f4"))
            caller.send('{"type": "cancel", "fade_s": 0.2}')
            frames, last = heard(caller, "cancelled")
            assert last["faded"] == 6
            with opened(gateway, {"format": "float32"}) as other:
                for _ in range(5):
                    say(other, speech.astype("<f4"))
            gateway.settle(among=1)
            say(caller, speech.astype("<f4"))
            caller.send('{"type": "end", "keep": true}')
            check()
        frames, last = heard(caller, "end")
        agrees(frames, expected)


def test_a_server_that_is_killed_costs_no_frame(gateway_to, own_server, thin, speech):
    expected = thin.animate(speech, sample_rate=RATE).weights
    with gateway_to(own_server.grpc_url) as gateway, opened(gateway, BINARY) as caller:
        say(caller, speech[: 2 * RATE].astype("<f4"))
        rows = np.frombuffer(caller.recv(HANG_S), "<f4").reshape(-1, 54)
        frames = [(int(row[0]), float(row[1]), row[2:]) for row in rows]
        os.killpg(own_server.process.pid, signal.SIGKILL)
        again = threading.Thread(target=own_server.restart)
        again.start()
        say(caller, speech[2 * RATE :].astype("<f4"))
        caller.send('{"type": "end"}')
        more, last = heard(caller, "end")
        again.join(HANG_S)
        assert last == {"type": "end", "frames": 120}
        agrees(frames + more, expected)


def test_a_caller_that_never_reads_is_let_go_of_and_its_connection_with_it(gateway_to, voice, monkeypatch):
    monkeypatch.setattr(sockets, "LINGER_S", 0.3)
    long = np.resize(voice, 300 * RATE).astype("<f4")  # whose frames are more than the system's own buffers take
    with gateway_to(stream_idle_s=0.5, max_waiting_s=900) as gateway, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", gateway.port))
        with opened(
            gateway, {"format": "float32"}, sock=raw, max_queue=1, compression=None, close_timeout=0.1
        ) as caller:
            say(caller, long, RATE // 2)
            caller.send('{"type": "end"}')
            gateway.settle()
            assert 'rejections_total{error="StreamIdle"} 1.0' in gateway.get("/metrics").body.decode()
            until_gone(gateway)


def test_callers_that_never_start_do_not_linger_with_their_connections(gateway_to, monkeypatch):
    """Nor do they say goodbye: they are let go of before uvicorn gives up waiting for it."""
    aborted = []
    abort = sockets.SocketProtocol.on_task_complete

    def noted(protocol, task):
        later = protocol.loop.call_later

        class Loop:
            def call_later(self, seconds, call):
                aborted.append(seconds)
                return later(0, call)

        protocol.loop = Loop()
        abort(protocol, task)

    monkeypatch.setattr(sockets.SocketProtocol, "on_task_complete", noted)
    upgrade = (
        "GET /ws/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with gateway_to(start_timeout_s=3, max_starting=5) as gateway, ExitStack() as stack:
        callers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=HANG_S))
            for _ in range(20)
        ]
        for caller in callers:
            caller.sendall(upgrade.encode())
        said = []
        for caller in callers:
            heard_bytes = b""
            while more := caller.recv(4096):  # to the end of the connection
                heard_bytes += more
            said.append(heard_bytes)
        assert sum(b"GatewayFull" in one for one in said) == 15
        assert sum(b"StartTooLate" in one for one in said) == 5
        assert aborted == [sockets.REFUSED_LINGER_S] * 20
        until_gone(gateway)


def until_gone(gateway):
    """Wait until the gateway has no connection."""
    until(lambda: not gateway.server.server_state.connections, "the connection is still there")

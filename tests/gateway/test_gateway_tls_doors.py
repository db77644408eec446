"""TLS at every door from one set of files: who comes in, who is refused in which words, and new files under load."""

import asyncio
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import grpc
import numpy as np
import pytest
import trustme
from a2fcallers import begun, ended, nvidia, spoken
from asking import RATE
from waiting import HANG_S
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from emotalk_gateway.grpc.audio2face.door import audio2face_door
from emotalk_gateway.grpc.emotalk.door import emotalk_door
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.omniverse.door import OmniverseDoor

pytestmark = pytest.mark.server

LONG_AGO = datetime.now(timezone.utc) - timedelta(days=30)


class Files:
    """What a gateway is given, and what its callers have."""

    def __init__(self, folder):
        self.folder, self.ca = folder, trustme.CA()
        self.own, self.key = folder / "own.pem", folder / "own.key"
        self.authority = folder / "ca.pem"
        self.stranger = folder / "stranger.pem"
        self.callers = folder / "caller.pem", folder / "caller.key"
        self.ca.cert_pem.write_to_path(self.authority)
        trustme.CA().cert_pem.write_to_path(self.stranger)
        self.write(self.ca.issue_cert("caller.example"), *self.callers)
        self.renew()

    def write(self, issued, chain, key):
        """Two files, one after the other: for a moment they do not fit."""
        chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())

    def renew(self, *names, **more):
        self.write(self.ca.issue_cert(*(names or ("127.0.0.1", "localhost")), **more), self.own, self.key)

    def tls(self, mutual=False):
        return DoorTls(self.own, self.key, self.authority if mutual else None)


@dataclass
class Trust:
    """What a caller trusts, and shows."""

    authority: Path
    shown: tuple | None = None

    def context(self):
        context = ssl.create_default_context(cafile=self.authority)
        if self.shown:
            context.load_cert_chain(*self.shown)
        return context

    def channel(self, port):
        key, chain = (self.shown[1].read_bytes(), self.shown[0].read_bytes()) if self.shown else (None, None)
        known = grpc.ssl_channel_credentials(self.authority.read_bytes(), key, chain)
        return grpc.secure_channel(f"127.0.0.1:{port}", known)


def ask_https(port, trust, path="/health/live"):
    with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=HANG_S, context=trust.context())) as line:
        try:
            line.request("GET", path)
            return str(line.getresponse().status)
        except OSError as error:
            return str(error)


def ask_wss(port, trust):
    """On a loop: of websockets' other client two threads use one connection, which OpenSSL does not bear."""

    async def asked():
        async with connect(f"wss://127.0.0.1:{port}/ws/stream", ssl=trust.context()) as line:
            await line.send(json.dumps({"type": "start", "sample_rate": RATE}))
            return "200" if json.loads(await line.recv())["type"] == "started" else "?"

    try:
        return asyncio.run(asyncio.wait_for(asked(), HANG_S))
    except (OSError, WebSocketException) as error:
        return str(error)


def ask_curl(port, trust):
    command = ["curl", "-sS", "--cacert", trust.authority, "-w", "%{http_code}", "-o", "/dev/null"]
    if trust.shown:
        command += ["--cert", trust.shown[0], "--key", trust.shown[1]]
    done = subprocess.run([*command, f"https://127.0.0.1:{port}/health/live"], capture_output=True, text=True)
    return done.stderr or done.stdout


def ask_nvidia(port, trust):
    """By the stubs of NVIDIA's wheel."""
    stub = nvidia()[2].A2FControllerServiceStub
    with trust.channel(port) as line:
        try:
            sound = np.zeros(RATE // 2, "<i2")
            answers = list(stub(line).ProcessAudioStream(iter([begun(RATE), spoken(sound), ended()]), timeout=HANG_S))
        except grpc.RpcError as error:
            return error.details()
        return "200" if len(answers) > 15 else "?"


def ask_emotalk(port, trust):
    asked, answer = (message(f"emotalk.HealthCheck{kind}") for kind in ("Request", "Response"))
    with trust.channel(port) as line:
        try:
            call = line.unary_unary("/emotalk.EmoTalkService/HealthCheck", asked.SerializeToString, answer.FromString)
            return "200" if call(asked(), timeout=HANG_S).status == answer.SERVING else "?"
        except grpc.RpcError as error:
            return error.details()


def ask_omniverse(port, trust):
    return ask_https(port, trust, "/status")


DOORS = {
    "https": ask_https,
    "wss": ask_wss,
    "curl": ask_curl,
    "nvidia": ask_nvidia,
    "emotalk": ask_emotalk,
    "omniverse": ask_omniverse,
}


REFUSED = ("Connection reset", "Socket closed", "did not receive a valid HTTP response", "no close frame received")
"""In the words of callers' libraries that do not show the alert: gRPC, and websockets."""


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def asked(gateway_to, files, tmp_path):
    """``with asked(mutual) as ask``: ``ask(trust)`` is what each door says to a caller with that trust."""
    nvidia()
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")

    @contextmanager
    def opened(mutual=False):
        tls = files.tls(mutual)

        def doors(service):
            return [
                audio2face_door(service, "127.0.0.1", 0, tls),
                emotalk_door(service, "127.0.0.1", 0, tls),
                OmniverseDoor(service, 0, tmp_path, tls),
            ]

        own = {"tls_cert": tls.certificate, "tls_key": tls.key, "tls_client_ca": tls.client_authorities}
        own |= {"ready_timeout_s": HANG_S}  # of a machine that others keep busy
        with gateway_to(doors=doors, **own) as gateway:
            ports = dict.fromkeys(DOORS, gateway.port)
            ports |= dict(zip(("nvidia", "emotalk", "omniverse"), (door.port for door in gateway.doors), strict=True))

            def ask(trust, names=tuple(DOORS)):
                return {name: DOORS[name](ports[name], trust) for name in names}

            yield ask

    return opened


def all_say(said, *words):
    """Each door says one of ``words``."""
    assert set(said) == set(DOORS)
    for door, text in said.items():
        assert any(word in text for word in words), f"{door}: {text}"


@pytest.mark.parametrize("mutual", [False, True])
def test_who_trusts_the_right_authority_is_served_and_a_wrong_one_is_named(asked, files, mutual):
    with asked(mutual) as ask:
        all_say(ask(Trust(files.authority, files.callers)), "200")
        all_say(ask(Trust(files.stranger, files.callers)), "unable to get local issuer", "self-signed", "self signed")


def test_an_expired_certificate_and_one_of_another_name_are_refused_in_words(asked, files):
    known = Trust(files.authority)
    with asked() as ask:
        files.renew(not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1))
        all_say(ask(known), "certificate has expired")
        files.renew("else.example")
        all_say(ask(known), "no alternative certificate subject name", "IP address mismatch", "Hostname Verification")
        files.renew()
        all_say(ask(known), "200")


def test_a_caller_without_a_certificate_or_with_a_strangers_is_told(asked, files, tmp_path):
    theirs = tmp_path / "their.pem", tmp_path / "their.key"
    files.write(trustme.CA().issue_cert("caller.example"), *theirs)
    with asked(mutual=True) as ask:
        all_say(ask(Trust(files.authority)), *REFUSED, "certificate required", "CERTIFICATE_REQUIRED")
        all_say(ask(Trust(files.authority, theirs)), *REFUSED, "unknown ca", "UNKNOWN_CA")
        all_say(ask(Trust(files.authority, files.callers)), "200")


def test_whom_callers_must_be_vouched_for_by_is_followed_too(asked, files, tmp_path):
    """The file of authorities is replaced: whoever was let in is not, and the other way round."""
    new = trustme.CA()
    theirs = tmp_path / "their.pem", tmp_path / "their.key"
    files.write(new.issue_cert("caller.example"), *theirs)
    known = tmp_path / "known.pem"  # as callers trust the gateway, which goes on
    files.ca.cert_pem.write_to_path(known)
    with asked(mutual=True) as ask:
        all_say(ask(Trust(known, files.callers)), "200")
        new.cert_pem.write_to_path(files.authority)
        all_say(ask(Trust(known, theirs)), "200")
        all_say(ask(Trust(known, files.callers)), *REFUSED, "unknown ca", "UNKNOWN_CA")


def test_who_never_begins_tls_is_let_go_of(gateway_to, files):
    with (
        gateway_to(tls_cert=files.own, tls_key=files.key, header_timeout_s=1.0) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=HANG_S) as silent,
    ):
        assert silent.recv(1) == b""


def test_certificates_are_changed_under_load_and_no_request_fails(asked, files):
    """New connections without pause at every door, while files are replaced in place, and broken now and then."""
    known, over = Trust(files.authority), threading.Event()
    said = {name: [] for name in DOORS}
    with asked() as ask:

        def keep_asking(name):
            while not over.is_set():
                said[name].append(ask(known, [name])[name])

        callers = [threading.Thread(target=keep_asking, args=(name,)) for name in DOORS]
        for one in callers:
            one.start()
        for number in range(20):
            before = {name: len(answers) for name, answers in said.items()}
            if number % 4 == 3:
                (files.own if number % 8 == 3 else files.key).write_text("broken")
            else:
                files.renew()
            while any(len(said[name]) < before[name] + 2 for name in DOORS):
                assert any(one.is_alive() for one in callers)
                over.wait(0.01)
        over.set()
        for one in callers:
            one.join(HANG_S)
    for name, answers in said.items():
        assert set(answers) == {"200"}, name
        assert len(answers) >= 40


def serial(port, context):
    with (
        socket.create_connection(("127.0.0.1", port), HANG_S) as line,
        context.wrap_socket(line, server_hostname="127.0.0.1") as secured,
    ):
        return secured.getpeercert()["serialNumber"]


def test_new_files_are_used_at_the_next_connection_of_every_door(gateway_to, files, tmp_path):
    tls = files.tls()

    def doors(service):
        return [audio2face_door(service, "127.0.0.1", 0, tls), OmniverseDoor(service, 0, tmp_path, tls)]

    with gateway_to(doors=doors, tls_cert=tls.certificate, tls_key=tls.key) as gateway:
        ports, context = [gateway.port, *(door.port for door in gateway.doors)], Trust(files.authority).context()
        first = {serial(port, context) for port in ports}
        files.renew()
        second = {serial(port, context) for port in ports}
        files.key.write_text("broken")
        assert {serial(port, context) for port in ports} == second
        figures = gateway.service.metrics.exposition().decode()
        stale = [line for line in figures.splitlines() if line.startswith('emotalk_gateway_stale_files{files="cert')]
        assert [line[-3:] for line in stale] == ["1.0"] * 3
    assert len(first) == len(second) == 1
    assert first != second

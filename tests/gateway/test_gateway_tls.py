"""HTTPS with certificates that are made here: who is let in, and what a new certificate changes."""

import asyncio
import contextlib
import http.client
import io
import json
import socket
import ssl
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import trustme
from waiting import HANG_S
from websockets.asyncio.client import connect

from emotalk_client import AsyncEmoTalkClient
from emotalk_gateway.app import create_app
from emotalk_gateway.http.serving import Server
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.service.errors import InvalidSettings
from emotalk_gateway.service.settings import GatewaySettings, load_settings

pytestmark = pytest.mark.server


class Files:
    """A gateway's files, and an authority that vouches for it and its callers."""

    def __init__(self, folder):
        self.ca = trustme.CA()
        self.cert, self.key, self.client_ca = folder / "cert.pem", folder / "key.pem", folder / "callers.pem"
        self.renew()
        self.ca.cert_pem.write_to_path(self.client_ca)

    def renew(self, ca=None):
        issued = (ca or self.ca).issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(self.key)
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    def settings(self, **more):
        return {"tls_cert": self.cert, "tls_key": self.key, **more}

    def trusting(self, ca=None, shown=False):
        context = ssl.create_default_context(cadata=(ca or self.ca).cert_pem.bytes().decode())
        if shown:
            self.ca.issue_cert("caller.example").configure_cert(context)
        return context


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def asked(port, context, path="/health/live", body=None, kind=None):
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=HANG_S, context=context)
    with contextlib.closing(connection):
        connection.request("POST" if body else "GET", path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def serial(port, context):
    with (
        socket.create_connection(("127.0.0.1", port), HANG_S) as line,
        context.wrap_socket(line, server_hostname="127.0.0.1") as secured,
    ):
        return secured.getpeercert()["serialNumber"]


def test_uploads_and_live_speech_go_over_it(gateway_to, files):
    with gateway_to(**files.settings()) as gateway:
        context = files.trusting()
        sound = io.BytesIO()
        soundfile.write(sound, np.zeros(16_000, np.float32), 16_000, format="WAV")
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        body = head + sound.getvalue() + b"\r\n--b--\r\n"
        status, headers, text = asked(
            gateway.port, context, "/api/v1/process-audio-stream", body, "multipart/form-data; boundary=b"
        )
        assert (status, text.count(b'"timecode"')) == (200, 30)
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["x-content-type-options"] == "nosniff"
        assert asyncio.run(spoken(gateway.port, context)) == 30


async def spoken(port, context):
    """The frames of a second; on a loop, for OpenSSL does not bear two threads on one connection."""
    async with connect(f"wss://127.0.0.1:{port}/ws/stream", ssl=context) as line:
        await line.send(json.dumps({"type": "start", "sample_rate": 16_000}))
        assert json.loads(await line.recv())["type"] == "started"
        await line.send(np.zeros(16_000, "<i2").tobytes())
        await line.send(json.dumps({"type": "end"}))
        frames = 0
        while (message := json.loads(await line.recv()))["type"] == "frames":
            frames += len(message["frames"])
        assert (message["type"], message["frames"]) == ("end", frames)
        return frames


def test_who_does_not_trust_it_and_who_speaks_no_tls_gets_nothing(gateway_to, files):
    with gateway_to(**files.settings()) as gateway:
        with pytest.raises(ssl.SSLCertVerificationError):
            asked(gateway.port, files.trusting(trustme.CA()))
        plain = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=HANG_S)
        plain.request("GET", "/health/live")
        with contextlib.closing(plain), pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        assert asked(gateway.port, files.trusting())[0] == 200


def test_callers_must_show_certificates_where_that_is_asked(gateway_to, files, tmp_path):
    stranger = files.trusting()
    trustme.CA().issue_cert("stranger.example").configure_cert(stranger)
    with gateway_to(**files.settings(tls_client_ca=files.client_ca)) as gateway:
        assert asked(gateway.port, files.trusting(shown=True))[0] == 200
        for refused in (files.trusting(), stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
                asked(gateway.port, refused)


def test_a_new_certificate_is_used_and_a_broken_one_is_not(gateway_to, files, caplog):
    with gateway_to(**files.settings()) as gateway:
        context = files.trusting()
        first = serial(gateway.port, context)
        kept = http.client.HTTPSConnection("127.0.0.1", gateway.port, timeout=HANG_S, context=context)
        kept.request("GET", "/health/live")
        kept.getresponse().read()
        files.renew()
        second = serial(gateway.port, context)
        assert second != first
        files.cert.write_text("broken")
        assert serial(gateway.port, context) == second
        assert "the certificates of before go on" in caplog.text
        files.renew()
        assert serial(gateway.port, context) not in (first, second)
        kept.request("GET", "/health/live")  # a connection that was there before is not cut
        assert kept.getresponse().status == 200
        kept.close()


def test_files_that_cannot_be_used_are_refused_in_words(files, tmp_path):
    for cert in (tmp_path / "missing.pem", files.key):
        with pytest.raises(InvalidSettings, match=r"TLS cannot be had from .*accepted: files in PEM"):
            DoorTls(cert, files.key).read()
    other = trustme.CA().issue_cert("x").private_key_pem
    other.write_to_path(tmp_path / "other.key")
    with pytest.raises(InvalidSettings, match="belonging"):
        DoorTls(files.cert, tmp_path / "other.key").read()
    with pytest.raises(InvalidSettings, match="belong together"):
        load_settings(tls_cert=files.cert)
    with pytest.raises(InvalidSettings, match="without tls_cert"):
        load_settings(tls_client_ca=files.cert)
    settings = GatewaySettings(tls_cert=files.key, tls_key=files.key)
    with pytest.raises(InvalidSettings):
        Server(create_app(settings, AsyncEmoTalkClient("127.0.0.1:1")))


def test_the_command_says_https(triton, files):
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", triton.grpc_url, "--port", "0"]
    command += ["--tls-cert", str(files.cert), "--tls-key", str(files.key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            line = running.stdout.readline()
            port = int(line.partition("https://127.0.0.1:")[2].partition(",")[0])
            assert asked(port, files.trusting())[0] == 200
        finally:
            running.terminate()
        assert running.wait(HANG_S) == 0

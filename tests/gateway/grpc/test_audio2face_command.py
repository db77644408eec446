"""`emotalk gateway --a2f-port` as a person runs it."""

import asyncio
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import grpc
import pytest
from a2fcallers import LIMIT_S, answered, begun, nvidia, opened, sample_app, spoken
from waiting import HANG_S

pytestmark = pytest.mark.server


@contextmanager
def started(triton, *options):
    nvidia()
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", triton.grpc_url, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_is_and_stops_while_calls_go_on(triton, pcm, number):
    with started(triton, "--a2f-port", "0") as (process, said):
        target = re.search(r", Audio2Face-3D (127\.0\.0\.1:\d+), faces from", said)[1]
        async with grpc.aio.insecure_channel(target) as line:
            assert len((await sample_app(line, pcm(1), 16_000)).frames) == 30
            call = opened(line)
            await call.write(begun(16_000))
            await call.write(spoken(pcm(1)))
            assert (await call.read()).HasField("animation_data_stream_header")
            process.send_signal(number)
            heard = await asyncio.wait_for(answered(call), LIMIT_S)
            assert heard.code is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(process.wait, HANG_S) == 0
        assert process.stderr.read() == ""


def test_a_port_that_is_taken_is_named(triton):
    with started(triton, "--a2f-port", "0") as (_, said):
        port = re.search(r"Audio2Face-3D 127\.0\.0\.1:(\d+)", said)[1]
        with started(triton, "--a2f-port", port) as (second, said):
            assert said == ""
            assert second.wait(HANG_S) == 1
            assert f"port {port} of 127.0.0.1 is in use; accepted: a free one (--a2f-port)" in second.stderr.read()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--a2f-port", "0", "--a2f-tls-cert", "nowhere.pem"], "accepted: both, or neither"),
        (["--a2f-port", "0", "--a2f-tls-cert", "nowhere.pem", "--a2f-tls-key", "nowhere.key"], "cannot be read"),
        (["--a2f-host", "127.0.0.1"], "an option of --a2f-… is given without --a2f-port"),
    ],
)
def test_options_that_cannot_be(triton, options, text):
    with started(triton, *options) as (process, said):
        assert said == ""
        assert process.wait(HANG_S) == 1
        assert text in process.stderr.read()

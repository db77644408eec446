"""The server on a root file system that cannot be written to, as its image and the cluster's files have it."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from emotalk_client import EmoTalkClient
from emotalk_server.ports import free_ports

pytestmark = pytest.mark.server

# /tmp stays as it is, for this project may lie there; only its mount is one of its own, which can be written to.
BEFORE = """
mount --bind /tmp /tmp && mount --bind /dev/shm /dev/shm || exit 77
mount --bind / / ; mount -o remount,bind,ro / || exit 77
test -w / && exit 77
test -w /tmp || exit 77
exec "$@"
"""


def test_it_writes_nowhere_but_to_tmp_and_shared_memory():
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a mount of one's own needs root and `unshare`")
    ports = free_ports()
    command = [sys.executable, "-m", "emotalk_server.cli", "--http-port", ports.http, "--grpc-port", ports.grpc]
    command += ["--metrics-port", ports.metrics, "--health-port", 0]
    server = subprocess.Popen(
        ["unshare", "-m", "bash", "-c", BEFORE, "bash", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    with server:
        try:
            line = server.stderr.readline()
            if "ready" not in line:
                rest = line + server.stderr.read()
                if server.wait(60) == 77:
                    pytest.skip(f"this machine mounts nothing: {rest}")
                pytest.fail(rest)
            with EmoTalkClient(f"127.0.0.1:{ports.grpc}") as client:
                assert len(client.animate(np.zeros(16_000, np.float32), sample_rate=16_000)) == 30
        finally:
            server.terminate()
        assert server.wait(60) == 0

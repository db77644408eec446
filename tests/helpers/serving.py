"""Runs `emotalk-server` as a person would, in a folder for temporary files of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from emotalk_server.leavings import PREFIX, REGIONS, SHARED_MEMORY
from emotalk_server.ports import free_ports


def launch(repository, temporary=None, ports=None, options=()):
    """Start it; return the process and its ports."""
    ports = ports or free_ports()
    command = [sys.executable, "-m", "emotalk_server.cli", "--repository", str(repository)]
    command += ["--http-port", str(ports.http), "--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)]
    if "--health-port" not in options:
        command += ["--health-port", "0"]
    environment = os.environ | ({"TMPDIR": str(temporary)} if temporary else {})
    return subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, env=environment), ports


@contextmanager
def served(repository, temporary, ports=None, options=()):
    """Start it; yield the process, its ports and its first line, which says that it is ready."""
    process, ports = launch(repository, temporary, ports, options)
    try:
        line = process.stderr.readline()
        assert "ready" in line, line + process.stderr.read()
        yield process, ports, line
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=120)
        process.stderr.close()


def left_behind(temporary):
    """Return what servers whose temporary files were in ``temporary`` left behind."""
    folders = list(Path(temporary).glob(f"{PREFIX}*"))
    return folders + [path for path in SHARED_MEMORY.glob(f"{REGIONS}*") if _owner(path, temporary)]


def _owner(region, temporary):
    """Return whether nobody's folder claims ``region``."""
    token = region.name.removeprefix(REGIONS)[:8]
    if any((Path(folder) / f"{PREFIX}{token}").exists() for folder in (tempfile.gettempdir(), temporary)):
        return False
    return not _in_use(f"{REGIONS}{token}".encode())


def _in_use(region):
    """Return whether a live process was started with ``region``: it is another test run's."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if region in command.read_bytes():
                return True
    return False

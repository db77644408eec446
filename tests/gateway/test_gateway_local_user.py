"""Another user of the same machine: what that one can read of a gateway, and ask it."""

import json
import os
import subprocess
import sys

import pytest
from doorcallers import CONVERT, Known
from waiting import HANG_S

pytestmark = pytest.mark.server

NOBODY = 65534
LOOK = """
import http.client, json, pathlib, sys
pid, port, path, *files = sys.argv[1:]
found = {}
for file in [f"/proc/{pid}/environ", f"/proc/{pid}/cmdline", *files]:
    try:
        found[file] = pathlib.Path(file).read_bytes().decode("latin-1")
    except OSError as error:
        found[file] = type(error).__name__
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
connection.request("POST", path, b"")
found["asked"] = connection.getresponse().status
print(json.dumps(found))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_another_user_reads_no_secret_and_is_a_stranger_at_the_door(tmp_path):
    for folder in (tmp_path, *tmp_path.parents):  # the folders are open; the files guard themselves
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    known = Known(tmp_path)
    known.add("studio")
    audit = tmp_path / "audit.log"
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", "127.0.0.1:1", "--port", "0"]
    command += ["--tokens", str(known.file), "--audit", str(audit)]
    environment = os.environ | {"EMOTALK_GATEWAY_TOKEN": "one for all"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            port = process.stdout.readline().partition("http://127.0.0.1:")[2].partition(",")[0]
            look = ["/usr/bin/env", "python3", "-c", LOOK, str(process.pid), port, CONVERT, str(known.file), str(audit)]
            done = subprocess.run(
                look,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                text=True,
                timeout=HANG_S,
                cwd="/",
            )
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
        finally:
            process.terminate()
    for file in (f"/proc/{process.pid}/environ", str(known.file), str(audit)):
        assert found[file] == "PermissionError"
    assert "--tokens" in found[f"/proc/{process.pid}/cmdline"]
    assert "one for all" not in done.stdout
    assert found["asked"] == 401
    assert audit.read_text().count("\n") == 1

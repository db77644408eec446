"""Another process that computes, as far as the admission's file can tell, and then is killed."""

import subprocess
import sys
from contextlib import contextmanager

PROGRAM = """
import sys
from pathlib import Path
from emotalk_ensemble.admission import Computing

with Computing("wav2vec_frontend", Path(sys.argv[1]), clock_ns=lambda: 1).told(1):
    print("computing", flush=True)
    sys.stdin.read()
"""


@contextmanager
def computing_process(path):
    """Yield while it computes; it is killed in the middle of that."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout.readline() == b"computing\n"
            yield
        finally:
            process.kill()

"""NVIDIA's perf_analyzer: finds one that runs on this machine, and runs it.

Rule that this module guards: **a perf_analyzer counts as found only once it has started.** The one that pip installs
beside other tools may need a newer C library, and one in the cache may have lost its libraries.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emotalk_perf.errors import AnalyzerFailed, AnalyzerTimeout, AnalyzerUnusable, NotStable

NAME = "perf_analyzer"
PROOF_TIMEOUT_S = 20.0
"""Seconds within which ``--version`` must have answered; it takes some hundredths."""
GRACE_S = 10.0
"""Seconds that it has to end after its time is up."""
_UNSTABLE = "Failed to obtain stable measurement"


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One perf_analyzer on this machine."""

    binary: Path
    description: str
    """Which one it is, for people."""
    libraries: Path | None = None
    """Folder of what it needs and the system has not."""

    def environment(self) -> dict[str, str]:
        """The environment in which it starts."""
        environment = dict(os.environ)
        if self.libraries is not None:
            folders = [str(self.libraries), environment.get("LD_LIBRARY_PATH", "")]
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))
        return environment

    def prove(self) -> None:
        """Start it once.

        Raises:
            AnalyzerUnusable: with the loader's own words.
        """
        try:
            ended = self._ended(["--version"], Path.cwd(), PROOF_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AnalyzerUnusable(f"{self.binary} does not start: {error}") from error
        if ended.returncode != 0:
            raise AnalyzerUnusable(
                f"{self.binary} does not start (exit status {ended.returncode}): {_last_lines(ended.stderr)}"
            )

    def run(self, arguments: Sequence[str], folder: Path, timeout_s: float) -> str:
        """Run it in ``folder``, and return what it printed.

        Raises:
            AnalyzerUnusable: it does not start.
            NotStable: its measurements differed too much.
            AnalyzerTimeout: it was still running after ``timeout_s`` seconds, and was ended.
            AnalyzerFailed: it ended with another error.
        """
        try:
            ended = self._ended(arguments, folder, timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AnalyzerTimeout(f"{NAME} did not end within {timeout_s:g} s") from error
        except OSError as error:
            raise AnalyzerUnusable(f"{self.binary} does not start: {error}") from error
        if ended.returncode == 0:
            return ended.stdout
        if _UNSTABLE in ended.stdout + ended.stderr:
            raise NotStable("its measurements differed too much; more --requests or a quieter machine helps")
        raise AnalyzerFailed(f"exit status {ended.returncode}: {_last_lines(ended.stderr or ended.stdout)}")

    def _ended(self, arguments: Sequence[str], folder: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
        with subprocess.Popen(
            [str(self.binary), *arguments],
            cwd=folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            try:
                said, complained = process.communicate(timeout=timeout_s)
            except BaseException:
                _end(process)
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)


def _end(process: subprocess.Popen[str]) -> None:
    """End it, after its requests in flight if it can wait for them, as it does when interrupted: Triton up to 25.02 may
    crash when a gRPC call ends while it computes.
    """
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def on_path() -> Analyzer | None:
    """The one on PATH, as in NVIDIA's SDK image, if it starts."""
    found = shutil.which(NAME)
    if found is None:
        return None
    analyzer = Analyzer(Path(found).absolute(), f"{NAME} on PATH")
    return analyzer if starts(analyzer) else None


def starts(analyzer: Analyzer) -> bool:
    """Tell whether ``analyzer`` can be used."""
    try:
        analyzer.prove()
    except AnalyzerUnusable:
        return False
    return True


def _last_lines(text: str, count: int = 3) -> str:
    """The end of what a program said, in one line; of an option that it refuses, not its whole manual."""
    lines = [line.strip() for line in text.split("\nUsage:")[0].splitlines()]
    return " ".join([line for line in lines if line][-count:])

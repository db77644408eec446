"""Finds the Triton to run, and lays out the backends it needs.

Two places are known: ``/opt/tritonserver``, as in NVIDIA's images, whose backends are C++; and the ``nvidia-pytriton``
wheel, which carries the complete server with the Python backend only. There this project's Python-based ``onnxruntime``
backend fills the gap.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy

from emotalk_server.errors import TritonNotFound, UnsuitablePython

IMAGE_ROOT = Path("/opt/tritonserver")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Triton:
    """One Triton on this machine."""

    binary: Path
    backends: Path
    """Its own folder of backends."""
    caches: Path
    """Its folder of response caches."""
    stubs: Path | None
    """Folder of Python stubs by version, where they are not in the backend itself."""
    libraries: tuple[Path, ...]
    """Folders that must be on the loader's path."""

    def environment(self) -> dict[str, str]:
        """Environment of the server: its Python models run in this very environment.

        Triton's stub takes the site-packages of the first ``python3`` on PATH, editable installs included. They come
        before PYTHONPATH, which repeats what this interpreter sees: packages that both have are those of the former.
        """
        environment = dict(os.environ)
        folder = str(Path(sys.executable).parent)
        environment["PATH"] = os.pathsep.join([folder, environment.get("PATH", "")])
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
        libraries = [str(path) for path in self.libraries]
        if inherited := environment.get("LD_LIBRARY_PATH"):
            libraries.append(inherited)
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
        # More arenas would only hold on to more memory: after an hour of speech 482 MB instead of 545 MB, no slower.
        environment.setdefault("MALLOC_ARENA_MAX", "2")
        return environment

    def lay_out_backends(self, folder: Path) -> Path:
        """The folder to start the server with: Triton's own, or ``folder``, filled with what must be added.

        Files are copied where Triton refuses links that lead out of its backend folder.
        """
        if (self.backends / "onnxruntime").is_dir() and self.stubs is None:
            return self.backends
        for backend in self.backends.iterdir():
            if backend.name != "python" or self.stubs is None:
                (folder / backend.name).symlink_to(backend)
        if self.stubs is not None:
            shutil.copytree(self.backends / "python", folder / "python")
            shutil.copy2(self.stubs / PYTHON / "triton_python_backend_stub", folder / "python")
        if not (folder / "onnxruntime").exists():
            shutil.copytree(own_backends() / "onnxruntime", folder / "onnxruntime")
        return folder


def own_backends() -> Path:
    """The folder of this project's own backends, which Triton loads and nobody here imports."""
    spec = importlib.util.find_spec("emotalk_ensemble")
    assert spec is not None  # noqa: S101  # it is part of this distribution
    assert spec.origin is not None  # noqa: S101  # and no namespace
    return Path(spec.origin).parent / "backend"


def find_triton() -> Triton:
    """The Triton of this machine.

    Raises:
        TritonNotFound: neither an image's nor the wheel's is there.
        UnsuitablePython: the wheel's is, but not for this Python or NumPy.
    """
    if (IMAGE_ROOT / "bin" / "tritonserver").is_file():
        return Triton(
            IMAGE_ROOT / "bin" / "tritonserver",
            IMAGE_ROOT / "backends",
            IMAGE_ROOT / "caches",
            None,
            (IMAGE_ROOT / "lib",),
        )
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise TritonNotFound(
            f"no Triton found: neither {IMAGE_ROOT} nor the nvidia-pytriton wheel is here. Install "
            "`emotalk-triton[server]` (Python 3.10 to 3.12) or run in NVIDIA's Triton image"
        )
    package = Path(spec.origin).parent
    root = package / "tritonserver"
    _check_python(root)
    libraries = [package.parent / "nvidia_pytriton.libs"]
    if libdir := sysconfig.get_config_var("LIBDIR"):
        libraries.append(Path(libdir))
    return Triton(
        root / "bin" / "tritonserver",
        root / "backends",
        root / "caches",
        root / "python_backend_stubs",
        tuple(libraries),
    )


def _check_python(root: Path) -> None:
    if not (root / "python_backend_stubs" / PYTHON).is_dir():
        raise UnsuitablePython(f"this is Python {PYTHON}; the wheel's Triton runs models on 3.10 to 3.12")
    if int(numpy.__version__.split(".")[0]) >= 2:
        raise UnsuitablePython(
            f"NumPy {numpy.__version__} is installed; Triton's Python backend returns wrong tensors with NumPy 2. "
            "Accepted: numpy<2, as `emotalk-triton[server]` installs it"
        )
    library = sysconfig.get_config_var("INSTSONAME") or ""
    folders = [Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")]
    folders += [folders[0] / (sysconfig.get_config_var("MULTIARCH") or "")]
    if not (library.startswith("libpython") and ".so" in library and any((f / library).exists() for f in folders)):
        soname = f"libpython{PYTHON}.so.1.0"
        if not any((f / soname).exists() for f in folders):
            raise UnsuitablePython(
                f"{soname} was not found in {folders[0]}; Triton's Python models need it. Install it "
                f"(Debian and Ubuntu: `apt install libpython{PYTHON}`)"
            )

"""The bundled model repository, and a check that what is generated from the contract is up to date.

``python -m emotalk_contract.repository [--update] [DIR]`` checks every ``config.pbtxt`` under DIR against the contract,
or writes them again. Without DIR it is the bundled repository, those of the models ``speech`` and ``face_…`` and, in a
checkout, ``docs/protocol.md``.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from pathlib import Path

from emotalk_contract import avatar, speech, tensors
from emotalk_contract.configs import HEADER, config_files
from emotalk_contract.limits import QUEUE_SIZE
from emotalk_contract.recipe import Manifest
from emotalk_contract.reference import protocol

logger = logging.getLogger(__name__)

VERSION = "1"
"""The only version folder of every model."""


def bundled() -> Path:
    """Return the repository that comes with this package: beside the packages in a checkout, inside it in a wheel.

    Raises:
        FileNotFoundError: neither is there (a broken installation).
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "model_repository", package.parents[1] / "model_repository"):
        if (folder / tensors.PREPROCESS.name / VERSION / "model.py").is_file():
            return folder
    raise FileNotFoundError(
        f"model_repository is missing: neither beside {package} nor in it; reinstall emotalk-triton"
    )


def write_configs(repository: Path, manifest: Manifest, queue_size: int = QUEUE_SIZE) -> None:
    """Write every generated config of ``manifest`` under ``repository``."""
    for relative, text in config_files(manifest, queue_size).items():
        path = repository / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    # Triton wants a version folder even where it stays empty; git does not keep empty folders.
    version = repository / tensors.ENSEMBLE.name / VERSION
    version.mkdir(parents=True, exist_ok=True)
    (version / ".gitkeep").touch()


def stale_configs(repository: Path) -> list[Path]:
    """Return the config files under ``repository`` that are missing or differ from what the contract generates."""
    stale = []
    for relative, text in config_files(Manifest.load(repository)).items():
        path = repository / relative
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(path)
    return stale


def speech_repository() -> Path | None:
    """Return the repository of the model ``speech``, which the package that speaks carries; None without it."""
    return _carried("emotalk_speech", f"{speech.SPEECH.name}/{VERSION}/model.py")


def avatar_repository() -> Path | None:
    """Return the repository of the models that see faces, which the package of avatars carries; None without it."""
    return _carried("emotalk_avatar", f"{avatar.FACE_DETECTOR.name}/{VERSION}/model.onnx")


def _carried(package: str, file: str) -> Path | None:
    """Return the folder ``repository`` of ``package``, if it has ``file``."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "repository"
    return path if (path / file).is_file() else None


def _generated() -> dict[Path, str]:
    """Return what is generated beside a repository's own configs, in a checkout: path and text."""
    found: dict[Path, str] = {}
    docs = Path(__file__).resolve().parents[2] / "docs"
    if docs.is_dir():
        found[docs / "protocol.md"] = protocol()
    if (beside := speech_repository()) is not None:
        found[beside / speech.SPEECH.name / "config.pbtxt"] = HEADER + speech.config()
    if (beside := avatar_repository()) is not None:
        for model in avatar.MODELS:
            found[beside / model.name / "config.pbtxt"] = HEADER + avatar.config(model)
    return found


def main(argv: list[str] | None = None) -> int:
    """Check (default) or ``--update`` the configs; return 1 if some are stale."""
    parser = argparse.ArgumentParser(prog="emotalk_contract.repository", description=__doc__)
    parser.add_argument("repository", nargs="?", type=Path, help="default: the bundled one")
    parser.add_argument("--update", action="store_true", help="write the configs instead of checking them")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    repository = arguments.repository or bundled()
    others = _generated() if arguments.repository is None else {}
    if arguments.update:
        write_configs(repository, Manifest.load(repository))
        for path, text in others.items():
            path.write_text(text, "utf-8")
        return 0
    stale = stale_configs(repository)
    stale += [path for path, text in others.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        logger.error("%s is not what the contract generates; run `make configs`", path)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

"""TensorRT plans that a server builds for its own GPU when it starts first, and finds again the next time.

Rule that this module guards: **a plan is served only where its checksum says that it is the one that was built from
this graph, by this TensorRT, for this kind of GPU**; any other is built again.

Theory of operation. The folder of plans, a volume that outlives servers, has a folder for each plan::

    wav2vec_content-4f0c…/model.plan
    wav2vec_content-4f0c…/plan.json      what it was built from and for, its size and SHA-256

The digits are of all that a plan depends on, so that servers with other GPUs, graphs or versions may share the volume.
A plan is built in a folder beside it that is renamed once it is whole. Only who holds the lock builds: the others wait,
and find what was built. What is served is a repository of links, in the server's own folder: configs and models of the
one that was asked for, plans of the volume, and a manifest that names their checksums.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from emotalk_contract.pipeline import pipeline
from emotalk_contract.plans import GRAPH_NAME, PLAN_NAME, profiles
from emotalk_contract.recipe import MANIFEST_NAME, Manifest
from emotalk_contract.repository import VERSION
from emotalk_contract.tensors import Model
from emotalk_server import builder
from emotalk_server.builder import Builder
from emotalk_server.errors import PlansUnusable, StartCancelled
from emotalk_server.integrity import sha256_of

logger = logging.getLogger(__name__)

FACTS = "plan.json"
LOCK = ".lock"
NEW = ".new-"
"""Beginning of the name of a plan's folder while it is built."""
WAIT_S = 0.5
DIGITS = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """A plan that a server needs."""

    model: Model
    graph: Path
    key: Mapping[str, Any]
    """All that it depends on."""

    @property
    def folder(self) -> str:
        """Return the name of its folder."""
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()
        return f"{self.model.name}-{digest[:DIGITS]}"


def lacking(repository: Path) -> list[Model]:
    """Return the networks of ``repository`` that have no plan of their own."""
    models = pipeline(Manifest.load(repository).recipe).graphs
    return [model for model in models if not (repository / model.name / VERSION / PLAN_NAME).is_file()]


def prepare(repository: Path, volume: Path, folder: Path, cancelled: threading.Event) -> Path:
    """Return a repository like ``repository`` in which every network has a plan.

    Args:
        repository: checked; one with plans of its own is returned as it is.
        volume: folder of plans, made where it is missing.
        folder: an empty one, for the links.
        cancelled: ends the wait when it is set.

    Raises:
        TensorRTMissing, GpuMissing: nothing can be built here.
        PlanBuildFailed: a tool failed.
        PlansUnusable: ``volume`` cannot be written.
        StartCancelled: it was stopped meanwhile.
    """
    models = lacking(repository)
    if not models:
        return repository
    found = builder.find()
    manifest = Manifest.load(repository)
    wanted = [_wanted(repository, manifest, model, found) for model in models]
    try:
        plans = _all(wanted, manifest, found, volume, cancelled)
        return _lay_out(repository, manifest, plans, folder)
    except OSError as error:
        raise PlansUnusable(
            f"{volume} cannot hold plans ({error.strerror or error}: {error.filename}); accepted: a folder that this "
            "user can write to, with room for them"
        ) from error


def _wanted(repository: Path, manifest: Manifest, model: Model, found: Builder) -> Wanted:
    folder = repository / model.name / VERSION
    named = manifest.provenance.get("graphs", {}).get(model.name, {})
    files = {name: facts["sha256"] for name, facts in named.items() if GRAPH_NAME in name}
    if GRAPH_NAME not in files:
        files = {path.name: sha256_of(path) for path in sorted(folder.glob(f"{GRAPH_NAME}*"))}
    key = {
        "graph": files,
        "tensorrt": found.version,
        "gpu": found.gpu,
        "precision": manifest.precision,
        "shapes": [asdict(profile) for profile in profiles(model, manifest.widths, manifest.recipe)],
    }
    return Wanted(model, folder / GRAPH_NAME, key)


def _all(
    wanted: Sequence[Wanted], manifest: Manifest, found: Builder, volume: Path, cancelled: threading.Event
) -> dict[str, Path]:
    """Return the plans by model; build those that are not there."""
    volume.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    missing = [one for one in wanted if not whole(volume / one.folder, one)]
    if missing:
        with _lock(volume, cancelled):
            missing = [one for one in missing if not whole(volume / one.folder, one)]
            for left in volume.glob(f"{NEW}*"):  # of a builder that was killed
                shutil.rmtree(left, ignore_errors=True)
            if missing:
                logger.info(
                    "plans: %d of %d must be built for %s with TensorRT %s into %s; that takes minutes",
                    len(missing), len(wanted), found.gpu, found.version, volume,
                )  # fmt: skip
            for number, one in enumerate(missing):
                logger.info("plans: %d of %d: %s", number + 1, len(missing), one.model.name)
                _build(one, manifest, found, volume, cancelled)
    logger.info(
        "plans: %d for %s and TensorRT %s are ready in %s: %d built in %.0f s, %d were there",
        len(wanted), found.gpu, found.version, volume, len(missing), time.monotonic() - began,
        len(wanted) - len(missing),
    )  # fmt: skip
    return {one.model.name: volume / one.folder / PLAN_NAME for one in wanted}


def whole(folder: Path, wanted: Wanted) -> bool:
    """Return True where ``folder`` has the plan that is ``wanted``, and it is undamaged."""
    plan = folder / PLAN_NAME
    if not folder.exists():
        return False
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        if (
            facts["key"] == json.loads(json.dumps(wanted.key))
            and facts["bytes"] == plan.stat().st_size
            and facts["sha256"] == sha256_of(plan)
        ):
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    logger.warning("plans: %s is damaged, and is built again", plan)
    return False


def _build(one: Wanted, manifest: Manifest, found: Builder, volume: Path, cancelled: threading.Event) -> None:
    began = time.monotonic()
    new = Path(tempfile.mkdtemp(prefix=NEW, dir=volume))
    try:
        plan = new / PLAN_NAME
        found.build(
            one.graph, plan, one.model.name, profiles(one.model, manifest.widths, manifest.recipe), manifest.precision,
            cancelled=cancelled, tell=lambda text: logger.info("plans: %s", text),
        )  # fmt: skip
        seconds = time.monotonic() - began
        size = plan.stat().st_size
        facts = {"key": one.key, "bytes": size, "sha256": sha256_of(plan), "seconds": round(seconds, 1)}
        (new / FACTS).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
        new.chmod(0o755)  # servers of other users may share the volume
        _sync(plan)
        _sync(new / FACTS)
        target = volume / one.folder
        if target.exists():
            target.rename(new.with_name(f"{new.name}-old"))
        new.rename(target)
        shutil.rmtree(new.with_name(f"{new.name}-old"), ignore_errors=True)
        logger.info("plans: %s: built in %.0f s, %.1f MB", one.model.name, seconds, size / 1e6)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _lock(volume: Path, cancelled: threading.Event) -> Iterator[None]:
    """Hold the volume's lock, which ends with this process at the latest."""
    with (volume / LOCK).open("a") as lock:
        waited = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited:
                    logger.info("plans: another server builds in %s; waiting for it", volume)
                waited = True
            if cancelled.wait(WAIT_S):
                raise StartCancelled("the server was stopped while another one built plans")
        yield


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _lay_out(repository: Path, manifest: Manifest, plans: Mapping[str, Path], folder: Path) -> Path:
    """Fill ``folder`` with links: a repository that Triton serves."""
    graphs = dict(manifest.provenance.get("graphs", {}))
    for path in sorted(repository.iterdir()):
        if path.name == MANIFEST_NAME:
            continue
        if path.name not in plans:
            (folder / path.name).symlink_to(path)
            continue
        (folder / path.name / VERSION).mkdir(parents=True)
        # The graphs too: the step of live streams has its weights from there.
        for part in (*path.iterdir(), *(path / VERSION).iterdir()):
            if part.name != VERSION:
                (folder / part.relative_to(repository)).symlink_to(part)
        plan = plans[path.name]
        (folder / path.name / VERSION / PLAN_NAME).symlink_to(plan)
        facts = json.loads((plan.parent / FACTS).read_text("utf-8"))
        named = graphs.get(path.name, {})
        graphs[path.name] = {**named, PLAN_NAME: {"sha256": facts["sha256"], "bytes": facts["bytes"]}}
    replace(manifest, provenance={**manifest.provenance, "graphs": graphs}).save(folder)
    return folder

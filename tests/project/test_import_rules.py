"""The import rules are checked, and the check notices: each rule is broken once, in a copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).parents[2]
SOURCES = ("client", "ensemble", "export", "perf", "training")

FUTURE = "from __future__ import annotations"
PLANTED = [
    ("contract", "ensemble/emotalk_contract/timing.py", "import torch"),
    ("layers", "ensemble/emotalk_contract/timing.py", "import emotalk_client"),
    ("layers", "ensemble/emotalk_server/ports.py", "import emotalk_ensemble.admission"),
    ("layers", "client/emotalk_client/errors.py", "import emotalk_gateway"),
    ("layers", "client/emotalk_gateway/service/rate.py", "import emotalk_cli"),
    ("serving", "ensemble/emotalk_ensemble/blinks.py", "import tritonclient"),
    ("onnxruntime", "ensemble/emotalk_ensemble/preprocess.py", "import onnxruntime"),
    ("thin", "client/emotalk_client/settings.py", "import torch"),
    ("wire", "client/emotalk_client/live/session.py", "import tritonclient.grpc"),
    ("layers", "client/emotalk_client/errors.py", "import emotalk_speech"),
    ("layers", "client/emotalk_avatar/errors.py", "import emotalk_speech"),
    ("uploads", "client/emotalk_avatar/decoding/uploads.py", "import emotalk_avatar.decoding.pictures"),
    ("voices", "client/emotalk_cli/app.py", "import emotalk_speech.speaking"),
    ("grpc", "client/emotalk_client/live/session.py", "import grpc"),
    ("grpc", "client/emotalk_gateway/http/sse.py", "import grpc"),
    ("drawing", "client/emotalk_gateway/service/videos.py", "import moderngl"),
    ("video", "client/emotalk_avatar/video/drawing.py", "import emotalk_avatar.detection"),
    ("gateway", "client/emotalk_gateway/service/rate.py", "import emotalk_server"),
    ("service", "client/emotalk_gateway/service/settings.py", "import fastapi"),
    ("doors", "client/emotalk_gateway/page/viewer.py", "import emotalk_gateway.http"),
    ("doors", "client/emotalk_gateway/kafka/lanes.py", "import emotalk_gateway.http"),
    ("doors", "client/emotalk_gateway/grpc/access.py", "import emotalk_gateway.http"),
    ("doors", "client/emotalk_gateway/omniverse/player.py", "import emotalk_gateway.http"),
    ("kafka", "client/emotalk_gateway/http/sse.py", "import confluent_kafka"),
    ("faces", "client/emotalk_client/faces/track.py", "import emotalk_client.faces.animation"),
    ("formats", "client/emotalk_client/faces/formats/npy.py", "import emotalk_client.faces.formats.jsonl"),
    ("circles", "client/emotalk_client/errors.py", "import emotalk_client.client"),
    ("agents", "client/emotalk_client/live/session.py", "import pipecat"),
    ("agents", "client/emotalk_gateway/service/rate.py", "import emotalk_client.integrations.livekit"),
    ("bridges", "client/emotalk_client/integrations/pipecat.py", "import emotalk_client.integrations.livekit"),
    ("cli", "client/emotalk_cli/app.py", "import emotalk_export"),
    ("perf", "perf/emotalk_perf/clips.py", "import emotalk_training"),
    ("perf", "perf/emotalk_perf/clips.py", "import torch"),
    ("gpu", "perf/emotalk_perf/gpu/measure.py", "import emotalk_export.validate"),
    ("export", "export/emotalk_export/layers.py", "import emotalk_client"),
    ("export", "training/emotalk_training/evaluate.py", "import emotalk_client"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    for source in SOURCES:
        shutil.copytree(PROJECT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "static"))
    return folder


def lint(folder, *options):
    """Run the rules on the packages in ``folder``."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    paths = os.pathsep.join(str(folder / source) for source in SOURCES)
    command = [sys.executable, "-c", code, "--no-logo", "--no-cache", *options]
    return subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)


@pytest.mark.parametrize(("rule", "path", "line"), PLANTED, ids=[f"{rule}-{line}" for rule, _, line in PLANTED])
def test_a_forbidden_import_is_noticed(copy, rule, path, line):
    module = copy / path
    before = module.read_text("utf-8")
    module.write_text(
        before.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{line}\n")
    )
    assert line in module.read_text("utf-8"), f"{path} has no place for the import"
    try:
        said = lint(copy, "--contract", rule)
    finally:
        module.write_text(before)
    assert said.returncode == 1
    assert "BROKEN" in said.stdout


def test_as_it_is_all_rules_are_kept(copy):
    said = lint(copy)
    assert said.returncode == 0, said.stdout


def test_each_rule_is_broken_once():
    rules = set()
    for line in (PROJECT / "pyproject.toml").read_text("utf-8").splitlines():
        if line.startswith("id = "):
            rules.add(line.split('"')[1])
    assert rules == {rule for rule, *_ in PLANTED}

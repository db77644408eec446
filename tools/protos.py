"""Compiles the gateway's protos: ``python tools/protos.py [--update]``.

Without ``--update`` it checks that ``protos.binpb`` is what they compile to, and exits with 1 where it is not.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from emotalk_gateway.grpc.messages import COMPILED

FOLDER = Path(__file__).resolve().parents[1] / "client" / "emotalk_gateway" / "grpc" / "protos"

logger = logging.getLogger(__name__)


def compiled() -> bytes:
    """Return the FileDescriptorSet of all protos and what they import, each file after its imports.

    Raises:
        ValueError: the compiler refuses them; its words are on stderr.
    """
    standard = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / COMPILED
        command = ["protoc", f"-I{FOLDER}", f"-I{standard}", "--include_imports", f"--descriptor_set_out={out}"]
        if protoc.main([*command, *(file.name for file in sorted(FOLDER.glob("*.proto")))]) != 0:
            raise ValueError("the protos cannot be compiled")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    for file in files.file:  # which compilers of different versions write differently, and nobody reads
        file.ClearField("source_code_info")
    made: bytes = files.SerializeToString(deterministic=True)
    return made


def main() -> None:
    """Compare, or write with ``--update``."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the file")
    path = FOLDER / COMPILED
    fresh = compiled()
    if parser.parse_args().update:
        path.write_bytes(fresh)
    elif not path.exists() or path.read_bytes() != fresh:
        logger.error("%s is not what the protos compile to; run `make protos`", path.name)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""A server whose queues hold two requests."""

import shutil
from contextlib import contextmanager

from emotalk_contract.recipe import Manifest
from emotalk_contract.repository import write_configs
from emotalk_server import EmbeddedServer


@contextmanager
def narrow_server(repository, folder):
    """Serve a copy of ``repository``, made in ``folder``."""
    copy = folder / "repository"
    shutil.copytree(repository, copy)
    write_configs(copy, Manifest.load(copy), queue_size=2)
    with EmbeddedServer(copy) as server:
        yield server

"""``python -m emotalk_server.probe [--live|--ready|--deep] [URL]``, for the health checks of containers.

Only ``--live`` may restart one: a server that is merely full fails the others. Nothing imports this module, for Python
warns where a module that runs was imported before.
"""

from __future__ import annotations

import argparse
import logging
import sys

from emotalk_server.probing import PATHS, ProbeFailed, get

logger = logging.getLogger(__name__)

DEFAULT_URL = "http://127.0.0.1:8003"
TIMEOUT_S = 10.0


def main(argv: list[str] | None = None) -> int:
    """Return 0 if the server at the URL is what is asked for, else 1."""
    parser = argparse.ArgumentParser(prog="python -m emotalk_server.probe", description="Ask a server for its health.")
    kinds = parser.add_mutually_exclusive_group()
    for kind, words in (
        ("live", "its processes are there: only if they are not, restart it (the default)"),
        ("ready", "it can take a request now"),
        ("deep", "an inference gave a face"),
    ):
        kinds.add_argument(f"--{kind}", dest="path", action="store_const", const=PATHS[kind], help=words)
    parser.set_defaults(path=PATHS["live"])
    parser.add_argument(
        "url", nargs="?", default=DEFAULT_URL, help="emotalk-server's health port; default: %(default)s"
    )
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        get(arguments.url.rstrip("/") + arguments.path, TIMEOUT_S)
    except (ProbeFailed, ValueError) as error:
        logger.error("not healthy: %s", error)  # noqa: TRY400  # one line, for a health check's log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

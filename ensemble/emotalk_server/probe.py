"""Health by inference, over Triton's own HTTP endpoint.

A model whose Python process died stays "ready" for Triton, so asking is not enough: the shortest clip goes through the
whole ensemble. ``python -m emotalk_server.probe [URL]`` does that for container health checks.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import urllib.error
import urllib.request

from emotalk_contract import limits, tensors

logger = logging.getLogger(__name__)

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 10.0


class ProbeFailed(RuntimeError):
    """The ensemble did not answer, or answered with an error."""


def probe(http_url: str, timeout_s: float) -> None:
    """Send the shortest clip, of noise that no cache can know, through the ensemble at ``http_url`` (``http://host:port``).

    Raises:
        ProbeFailed: with the server's own words, if it had any.
    """
    body = {
        "inputs": [
            {
                "name": tensors.AUDIO.name,
                "datatype": tensors.AUDIO.datatype,
                "shape": [1, limits.MIN_SAMPLES],
                "data": [random.uniform(-0.01, 0.01) for _ in range(limits.MIN_SAMPLES)],  # noqa: S311  # no secret
            }
        ]
    }
    post(f"{http_url}/v2/models/{tensors.ENSEMBLE.name}/infer", body, timeout_s)


def post(url: str, body: object, timeout_s: float, headers: dict[str, str] | None = None) -> None:
    """POST ``body`` as JSON; :class:`ProbeFailed` unless the answer is 200."""
    request = urllib.request.Request(  # noqa: S310  # the URL is our own server's
        url, json.dumps(body).encode(), {"Content-Type": "application/json"} | (headers or {})
    )
    try:
        with _opener.open(request, timeout=timeout_s) as response:
            response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise ProbeFailed(error.read().decode("utf-8", "replace")) from error
    except OSError as error:
        raise ProbeFailed(f"{url}: {error}") from error


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy between us and our server


def main(argv: list[str] | None = None) -> int:
    """0 if the ensemble at the URL (default: this machine, port 8000) answers, else 1."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        probe(arguments[0] if arguments else DEFAULT_URL, TIMEOUT_S)
    except ProbeFailed as error:
        logger.error("not serving: %s", error)  # noqa: TRY400  # one line, for a health check's log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

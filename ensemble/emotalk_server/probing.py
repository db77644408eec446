"""Asks servers for their health over HTTP: Triton by an inference, ``emotalk-server`` by its health port."""

from __future__ import annotations

import http.client
import json
import random
import urllib.error
import urllib.request

from emotalk_contract import limits, tensors
from emotalk_contract.live_steps import StepReach, samples_of
from emotalk_contract.tensors import Model

PATHS = {"live": "/health/live", "ready": "/health/ready", "deep": "/health"}
"""Of the health port, by what they tell."""


_NOISE = random.Random()  # noqa: S311  # no secret; a generator of its own, for the program's belongs to the program


class ProbeFailed(RuntimeError):
    """A model did not answer, or answered with an error."""


def probe(http_url: str, timeout_s: float) -> None:
    """Send the shortest clip, of noise that no cache can know, through the ensemble at ``http_url`` (``http://host:port``).

    Raises:
        ProbeFailed: with the server's own words, if it had any.
    """
    _infer(http_url, tensors.ENSEMBLE, limits.MIN_SAMPLES, timeout_s)


def probe_step(http_url: str, reach: StepReach, timeout_s: float) -> None:
    """Send the first step of a live stream, of one feature, to a network of ``reach``; raises as :func:`probe`."""
    _infer(http_url, tensors.LIVE, samples_of(reach.lead, 1), timeout_s)


def _infer(http_url: str, model: Model, samples: int, timeout_s: float) -> None:
    audio = {
        "name": tensors.AUDIO.name,
        "datatype": tensors.AUDIO.datatype,
        "shape": [1, samples],
        "data": [_NOISE.uniform(-0.01, 0.01) for _ in range(samples)],
    }
    post(f"{http_url}/v2/models/{model.name}/infer", {"inputs": [audio]}, timeout_s)


def get(url: str, timeout_s: float) -> str:
    """Return what GET answers; :class:`ProbeFailed` unless that is 200."""
    return _ask(urllib.request.Request(url), timeout_s)  # noqa: S310  # the URL is our own server's


def post(url: str, body: object, timeout_s: float) -> None:
    """POST ``body`` as JSON; :class:`ProbeFailed` unless the answer is 200."""
    # Without this content type Triton would take the body for a form, and parse it on its stack.
    headers = {"Content-Type": "application/json"}
    _ask(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout_s)  # noqa: S310  # likewise


def _ask(request: urllib.request.Request, timeout_s: float) -> str:
    try:
        with _opener.open(request, timeout=timeout_s) as response:
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise ProbeFailed(error.read().decode("utf-8", "replace")) from error
    except (OSError, http.client.HTTPException) as error:
        raise ProbeFailed(f"{request.full_url}: {error or type(error).__name__}") from error
    return content.decode("utf-8", "replace")


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy between us and our server

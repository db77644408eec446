"""An error as an HTTP answer."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse

from emotalk_gateway.service.errors import Problem


def answer(problem: Problem, retry_after_s: int) -> JSONResponse:
    """``problem`` with the headers that belong to its status.

    Args:
        retry_after_s: seconds after which to come again, where the problem does not know.
    """
    headers = {}
    if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(retry_after_s if problem.retry_after_s is None else problem.retry_after_s)
    elif problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.http_body(), problem.status, headers)

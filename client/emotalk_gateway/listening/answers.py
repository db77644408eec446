"""An error as an HTTP answer."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse

from emotalk_gateway.service.errors import Problem


def answer(problem: Problem, retry_after_s: int) -> JSONResponse:
    """``problem`` with the headers that belong to its status."""
    headers = {}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(retry_after_s)
    elif problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.http_body(), problem.status, headers)

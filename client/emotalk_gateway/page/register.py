"""The page at ``/register``: a photograph becomes an avatar; in English, or in Persian from right to left."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

from emotalk_gateway.page.viewer import FRESH, STATIC, policy

PATH = "/register"


def add_register(app: FastAPI) -> None:
    """Add the page; its scripts are those that :func:`~emotalk_gateway.page.viewer.add_viewer` serves."""
    page = (STATIC / "register.html").read_text("utf-8")
    headers = {**FRESH, "Content-Security-Policy": policy(page), "Referrer-Policy": "no-referrer"}

    @app.get(PATH, include_in_schema=False)
    async def register() -> Response:
        return HTMLResponse(page, headers=headers)

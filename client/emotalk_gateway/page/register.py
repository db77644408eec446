"""The page at ``/register``: a photograph becomes an avatar; in English, or in Persian from right to left."""

from __future__ import annotations

import html
import json
from string import Template
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

from emotalk_avatar import limits
from emotalk_gateway.page.viewer import FRESH, STATIC, policy

PATH = "/register"
BOUNDS: dict[str, dict[str, float]] = {
    "presence": {"least": limits.MIN_PRESENCE},
    "interocular_px": {"least": limits.GOOD_INTEROCULAR_PX},
    "yaw_deg": {"most": limits.GOOD_YAW_DEG},
    "pitch_deg": {"most": limits.GOOD_PITCH_DEG},
    "roll_deg": {"most": limits.GOOD_ROLL_DEG},
    "inside": {"least": limits.GOOD_INSIDE},
    "sharpness": {"least": limits.GOOD_SHARPNESS},
    "dark": {"least": 1.0},
    "clipped": {"most": limits.GOOD_CLIPPED},
    "light_ratio": {"most": limits.GOOD_LIGHT_RATIO},
    "blink": {"most": limits.MAX_BLINK},
    "lip_gap": {"most": limits.GOOD_LIP_GAP},
    "smile": {"most": limits.GOOD_SMILE},
}
"""Of a good picture, as :mod:`emotalk_avatar.quality` judges it: for a page that says so in its own language."""


def add_register(app: FastAPI) -> None:
    """Add the page; its scripts are those that :func:`~emotalk_gateway.page.viewer.add_viewer` serves."""
    good = {"bounds": BOUNDS, "contrast": limits.GOOD_CONTRAST, "eye_light": limits.GOOD_EYE_LIGHT}
    facts: dict[str, Any] = {"good": good}
    template = Template((STATIC / "register.html").read_text("utf-8"))
    page = template.substitute(facts=html.escape(json.dumps(facts)))
    headers = {**FRESH, "Content-Security-Policy": policy(page), "Referrer-Policy": "no-referrer"}

    @app.get(PATH, include_in_schema=False)
    async def register() -> Response:
        return HTMLResponse(page, headers=headers)

"""The page at ``/``: to come."""

from __future__ import annotations

from fastapi import FastAPI


def add_viewer(app: FastAPI, result: None = None) -> None:
    """Add the page and what it needs."""

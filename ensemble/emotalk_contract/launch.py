"""Environment variables by which the starter of a Triton talks to the models in it."""

from __future__ import annotations

SERVER_FOLDER = "EMOTALK_SERVER_FOLDER"
"""Environment variable: a folder that one running server owns, readable by its user only, and gone with it."""

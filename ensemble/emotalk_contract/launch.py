"""What whoever starts Triton tells the models in it, through their environment."""

from __future__ import annotations

SERVER_FOLDER = "EMOTALK_SERVER_FOLDER"
"""Environment variable: a folder that one running server owns, readable by its user only, and gone with it."""

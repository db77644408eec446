"""Errors of models that are loaded."""

from __future__ import annotations


class BackendError(RuntimeError):
    """A model that cannot be loaded as its config says."""

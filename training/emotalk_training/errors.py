"""Errors of a training that is asked for what cannot be: without torch, so that a command knows them at once."""

from __future__ import annotations


class TrainingError(ValueError):
    """A training that cannot be done as asked."""


class WidenError(TrainingError):
    """A checkpoint that cannot begin a network: says which sizes both have, and what is accepted."""


class RunError(TrainingError):
    """A folder of a run that cannot be gone on with."""

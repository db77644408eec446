"""The command ``emotalk``; one module a sub-command."""

from emotalk_cli.app import main

__all__ = ["main"]

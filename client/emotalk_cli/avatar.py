"""``emotalk avatar``: photographs become avatars, which are kept in a folder."""

from __future__ import annotations

import typer

avatar = typer.Typer(help="Faces of one's own, and videos of them.", no_args_is_help=True)

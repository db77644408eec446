"""A place to draw in: OpenGL without a window, by the system's EGL (a GPU's, or Mesa's on the processor).

Rule that this module guards: **a context is current only while it draws**, so that several drawings in one process
never draw into each other; and one that cannot be made is an error that says what to install.
"""

from __future__ import annotations

from typing import Any

from emotalk_avatar.video.errors import NoDisplay
from emotalk_client.errors import MissingExtra

PACKAGES = "libegl1 libgl1 libgl1-mesa-dri"
"""Debian's and Ubuntu's."""


def open_context() -> Any:
    """Return a ``moderngl.Context``; use it as ``with context:``.

    Raises:
        MissingExtra: moderngl is not installed.
        NoDisplay: the system has no EGL, or no driver for it.
    """
    try:
        import moderngl
    except ImportError as error:
        raise MissingExtra("drawing needs moderngl; install `emotalk-triton[video]`") from error
    try:
        return moderngl.create_standalone_context(require=330, backend="egl")  # type: ignore[arg-type]  # its types say a dict
    except Exception as error:  # moderngl raises bare ones
        raise NoDisplay(
            f"nothing can be drawn on this machine ({error}); drawing needs EGL and a driver for OpenGL 3.3: "
            f"`apt-get install {PACKAGES}` on Debian and Ubuntu"
        ) from error

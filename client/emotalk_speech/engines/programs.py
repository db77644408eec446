"""Programs that speak or spell: text by standard input, never on a command line, and an end to their time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from emotalk_contract.errors import VoiceNotInstalled

TIMEOUT_S = 20.0
"""Of one sentence."""


def run(command: Sequence[str], text: str, hint: str) -> bytes:
    """Return what ``command`` writes for ``text``.

    Args:
        hint: says how the program is installed.

    Raises:
        VoiceNotInstalled: it is missing, fails, or does not end.
    """
    program = shutil.which(command[0])
    if program is None:
        raise VoiceNotInstalled(hint)
    try:
        done = subprocess.run(
            [program, *command[1:]], input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise VoiceNotInstalled(f"{command[0]} failed ({type(error).__name__}); its server's log may say why") from None
    return done.stdout

"""A program that is started and left alone: no shell, no terminal, nobody waits, and what becomes of it is its own."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Mapping, Sequence


def begin(argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether it has been started, in a session of its own: Ctrl-C here is not meant for it."""
    quiet = subprocess.DEVNULL
    try:
        program = subprocess.Popen(
            argv, stdin=quiet, stdout=quiet, stderr=quiet, env=dict(env), cwd="/", start_new_session=True
        )
    except (OSError, ValueError):  # gone by now, no right to run it, no process left; a NUL in the environment
        return False
    # Only this thread waits for it, so that a server that runs for weeks keeps no dead ones.
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=program.wait, daemon=True).start()
    return True

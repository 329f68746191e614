"""The machine's own tools (ip, mount, iptables…), called with argument lists, never through a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence


class CommandFailed(Exception):
    """A tool of this machine ended with a failure that the lab cannot go on from."""

    def __init__(self, argv: Sequence[str], exit_code: int, stderr: str) -> None:
        super().__init__(f"{' '.join(argv)}: exit {exit_code}: {stderr.strip()}")
        self.argv = tuple(argv)
        self.exit_code = exit_code
        self.stderr = stderr


def attempt(*argv: str, given: str | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a tool and hand back whatever came of it. `given` is its standard input."""
    return subprocess.run(
        argv,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
    )


def call(*argv: str, given: str | None = None, timeout: float = 120) -> str:
    """Run a tool that must succeed; its standard output."""
    done = attempt(*argv, given=given, timeout=timeout)
    if done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stderr or done.stdout)
    return done.stdout

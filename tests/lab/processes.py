"""Small daemons of the lab itself, each in a control group of its own, by which it is also ended."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.cgroup import Cgroup


def start_in(group: Cgroup, argv: Sequence[str], log: Path) -> None:
    """Start a program as a child of process 1, its output in a new log file."""
    group.create()
    script = f"echo $$ > {group.directory}/cgroup.procs; exec {shlex.join(argv)}"
    with open(log, "wb") as output:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )


def await_line(log: Path, word: str, timeout: float = 10) -> None:
    """Until a program has written a word to its log."""
    deadline = time.monotonic() + timeout
    while word not in (text := log.read_text(errors="replace")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{log} does not say {word!r} after {timeout} s: {text[-500:]}")
        time.sleep(0.005)

"""Whose job it is: which process of ours is still looking after it.

A process id alone says little (it may be another's by now), so it goes with the time when it was started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def me() -> str:
    """This process, recognisably."""
    return f"{os.getpid()} {_started(os.getpid())}"


def alive(owner: str | None) -> bool:
    """Whether that very process still runs."""
    pid, _, started = (owner or "").partition(" ")
    return pid.isdigit() and _started(int(pid)) == started != ""


def forget(run_dir: Path) -> None:
    """A run's private directory is of no use any more."""
    shutil.rmtree(run_dir, ignore_errors=True)


def _started(pid: int) -> str:
    """When the process was started, as text that is only compared; "" if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _started_by_ps(pid: int) -> str:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()

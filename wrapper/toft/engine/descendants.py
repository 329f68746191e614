"""Processes that a run of Ansible has started, ended as one.

Ansible's workers are in sessions of their own, so that ending its process group leaves them, and the ssh under them,
alive. They are found by who started whom, before the first of them is ended: after that nobody knows.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable


def descendants(roots: Iterable[int]) -> set[int]:
    """All that these processes have started, and what those have; not the roots themselves."""
    children = defaultdict(list)
    for pid, parent in _table():
        children[parent].append(pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        new = [pid for pid in children[waiting.pop()] if pid not in found]
        found.update(new)
        waiting += new
    return found


def end(pids: Iterable[int]) -> None:
    """These and what they have started meanwhile, by force: what Ansible does with a polite word takes it seconds."""
    ended: set[int] = set()
    left = set(pids)
    while left:
        more = descendants(left)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended |= left
        left = more - ended


def _table() -> list[tuple[int, int]]:
    """(process, parent) of each. ps has these words on Linux and macOS."""
    with subprocess.Popen(["ps", "-A", "-o", "pid=", "-o", "ppid="], stdout=subprocess.PIPE, text=True) as ps:
        rows = [line.split() for line in ps.communicate()[0].splitlines()]
    return [(int(row[0]), int(row[1])) for row in rows if len(row) == 2 and int(row[0]) != ps.pid]

"""Processes found by who started whom, and ended as one."""

from __future__ import annotations

import os
import subprocess
import sys

from toft.engine.descendants import descendants, end

CHAIN = """
import subprocess
with subprocess.Popen(["sleep", "300"], start_new_session=True) as child:
    print(child.pid, flush=True)
"""


def test_those_in_sessions_of_their_own_too() -> None:
    with subprocess.Popen([sys.executable, "-c", CHAIN], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        assert descendants([os.getpid()]) >= {parent.pid, grandchild}
        assert descendants([parent.pid]) == {grandchild}
        end([parent.pid])
        assert parent.wait(timeout=10) == -9
    assert grandchild not in descendants([1]) or _dead(grandchild)


def _dead(pid: int) -> bool:
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout.strip()[:1] in ("", "Z")

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the system says about a command's processes: signals, how one ended, who is left."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from typing import Any, Dict, List
else:
    import _signal as signals  # without `enum`, which `signal` brings


def number_of(name: str) -> int:
    """The number of a signal by its name, with or without SIG. Raises ValueError."""
    short = name.upper()[3:] if name.upper().startswith("SIG") else name.upper()
    number = getattr(signals, "SIG" + short, None) if short.isalnum() else None
    if not isinstance(number, int):
        raise ValueError("no signal %r" % name)
    return int(number)


def outcome(status: int, timed_out: bool) -> Dict[str, Any]:
    """State, exit code and signal out of a wait status."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if timed_out:
        return {"state": "timed_out", "exit_code": 124, "signal": number}
    if number is not None:
        return {"state": "signaled", "exit_code": 128 + number, "signal": number}
    return {"state": "exited", "exit_code": os.WEXITSTATUS(status), "signal": None}


def out_of_memory_kills() -> int:
    """How many processes this Linux has ended for want of memory; 0 elsewhere."""
    try:
        with open("/proc/vmstat", "rb") as file:
            counted = file.read().partition(b"oom_kill ")[2].split(None, 1)
    except OSError:
        return 0
    return int(counted[0]) if counted else 0


def session_members(leader: int) -> List[int]:
    """Living processes of that session (Linux), or of that process group (where only `ps` can tell)."""
    if os.path.exists("/proc/self/stat"):
        try:
            return sorted(pid for pid in _pids() if _in_session(pid, leader))
        except OSError:  # no descriptor left to look with
            return []
    with os.popen("ps -A -o pid= -o pgid= -o stat= 2>/dev/null") as pipe:
        rows = [line.split() for line in pipe]
    return [int(row[0]) for row in rows if len(row) > 2 and row[1] == str(leader) and row[2][0] != "Z"]


def _pids() -> List[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _in_session(pid: int, leader: int) -> bool:
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except OSError:
        return False
    return fields[0] not in (b"Z", b"X") and leader in (int(fields[2]), int(fields[3]))


def wake_on_child() -> int:
    """A descriptor that becomes readable when a child ends."""
    wake, alarm = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(alarm, False)
    signals.signal(signals.SIGCHLD, lambda number, frame: None)
    signals.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    return wake


def drain(wake: int) -> None:
    try:
        while os.read(wake, 4096):
            pass
    except BlockingIOError:
        return


def reset_signals() -> None:
    """What Python, sshd or nohup ignore must not be ignored by the command."""
    for number in range(1, signals.NSIG):
        try:
            signals.signal(number, signals.SIG_DFL)
        except (OSError, ValueError):
            continue
    signals.pthread_sigmask(signals.SIG_SETMASK, [])

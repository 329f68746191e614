"""What a command costs: wall time, CPU of the controller, CPU of the hosts, memory.

Each way of doing something runs in a control group of its own, and whatever it leaves behind (a warm engine, ssh
masters) stays in there; so the group knows all that the way has cost here, and the lab's group all that it has cost
there. Both are read before the command and a moment after it, so that work which a command leaves for later counts
too. Wall is from exec to exit: joining the group comes before, reading the groups after.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.cgroup import Cgroup

AFTERWARDS_S = 0.1
LIMIT_S = 240.0
READY_S = 60.0
PSS = "Pss:"


@dataclass(frozen=True)
class Start:
    """A command as it is started. `given` is its stdin."""

    argv: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)
    given: bytes = b""


@dataclass(frozen=True)
class Cost:
    """Seconds; `output` is stdout and stderr."""

    wall: float
    controller: float
    hosts: float
    status: int
    output: bytes


class TooSlow(Exception):
    """A command did not end in the time that a benchmark gives it."""


class Meter:
    """Control groups below one of this process. `hosts` is the lab's; `beside` are groups whose work during a
    command is the command's as well: ssh masters that several ways share, one at a time.
    """

    def __init__(self, hosts: Cgroup) -> None:
        self._top = Cgroup(f"toft-bench-{os.getpid()}")
        self._hosts = hosts
        self.shared = Cgroup(f"{self._top.path}/shared")
        self.shared.create()

    def group(self, way: str) -> Cgroup:
        group = Cgroup(f"{self._top.path}/{way}")
        group.create()
        return group

    def forget(self, way: str) -> None:
        """Ends all that a way has left running."""
        _end(self.group(way))

    def forget_shared(self) -> None:
        self.shared.kill()

    def end(self) -> None:
        _end(self._top)

    def cost(self, way: str, start: Start, *, cwd: Path, limit: float = LIMIT_S) -> Cost:
        group = self.group(way)
        before = self.read(way)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as stdin:
            stdin.write(start.given)
            stdin.seek(0)
            settings = {"stdin": stdin, "stdout": output, "stderr": output}
            wall, status = _timed(group, start.argv, limit, env=dict(start.env), cwd=cwd, **settings)
            output.seek(0)
            return self.since(way, before, wall, status, output.read())

    def since(self, way: str, before: tuple[float, float], wall: float, status: int, output: bytes) -> Cost:
        """The cost of what began at `before` and has just ended."""
        time.sleep(AFTERWARDS_S)
        controller, hosts = self.read(way)
        return Cost(wall, controller - before[0], hosts - before[1], status, output)

    def warmed(self, way: str, first: Start, ask: Start, cwd: Path) -> None:
        """Runs the first command, which starts an engine, and asks until that is ready."""
        self.cost(way, first, cwd=cwd)
        end = time.monotonic() + READY_S
        while self.cost(way, ask, cwd=cwd).status != 0:
            if time.monotonic() > end:
                raise TimeoutError(f"{way}: nothing warm after {READY_S:g} s")

    def read(self, way: str) -> tuple[float, float]:
        return used(self.group(way)) + used(self.shared), used(self._hosts)

    def memory(self, way: str) -> int:
        """Bytes that a way's processes hold: their own, and their share of what they share."""
        return sum(_pss(pid) for group in (self.group(way), self.shared) for pid in group.processes())

    def run(self, group: Cgroup, argv: Sequence[str], env: Mapping[str, str], *, cwd: Path) -> int:
        """Not measured: what has to be there before."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return _timed(group, argv, LIMIT_S, env=dict(env), cwd=cwd, **quiet)[1]


def used(group: Cgroup) -> float:
    """Seconds of CPU time since the group was made. cgroup v2 counts them on every layout, hybrid ones too."""
    for line in (group.directory / "cpu.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) / 1e6
    raise LookupError(f"{group.directory}/cpu.stat has no usage_usec")


def _pss(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(PSS):
                return int(line.split()[1]) << 10
    return 0


def started(group: Cgroup, argv: Sequence[str], **settings: object) -> tuple[subprocess.Popen[bytes], float]:
    """A process in the group, and when it was about to be exec'ed: the move can take milliseconds."""
    reading, writing = os.pipe()
    register = os.open(group.directory / "cgroup.procs", os.O_WRONLY)

    def join() -> None:
        os.write(register, b"0")
        os.write(writing, struct.pack("d", time.monotonic()))

    process = subprocess.Popen(argv, preexec_fn=join, start_new_session=True, **settings)  # type: ignore[call-overload]
    begun = struct.unpack("d", os.read(reading, 8))[0]
    for fd in (reading, writing, register):
        os.close(fd)
    return process, begun


def _timed(group: Cgroup, argv: Sequence[str], limit: float, **settings: object) -> tuple[float, int]:
    process, begun = started(group, argv, **settings)
    watched = os.pidfd_open(process.pid)
    ended = bool(select.select([watched], [], [], limit)[0])
    wall = time.monotonic() - begun
    os.close(watched)
    if not ended:
        _end(group)
        process.wait()
        raise TooSlow(f"{argv[0]} has not ended in {limit:g} s")
    return wall, process.wait()


def _end(group: Cgroup) -> None:
    group.kill()
    group.remove()

"""1 GB of a command's output, through offload and through ssh: how long, and how much memory is held here meanwhile.

Memory is what all processes of a way hold at most: their own and their share of what they share (Pss), looked at five
times a second. What toft's engine and master held before that, idle, is said beside it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from tests.bench import peers
from tests.bench.contest import Entry, hold
from tests.bench.field import SYSTEM, Field
from tests.bench.figures import Spread
from tests.bench.meter import Cost, Start, started
from tests.bench.results import Results

GB = 1_000_000_000
COMMAND = ("head", "-c", str(GB), "/dev/zero")
CHUNK = 1 << 20
LOOK_S = 0.2


def run(here: Field, results: Results) -> None:
    here.open_masters([SYSTEM])
    toft = peers.toft(here, [SYSTEM], True, "-q", "offload", SYSTEM, *COMMAND)
    ssh = Start(["ssh", "-n", "-F", str(here.ssh_config(True)), "--", SYSTEM, *COMMAND])
    held: dict[str, list[tuple[int, int]]] = {"toft": [], "ssh": []}
    peers.ready(here, [SYSTEM])
    starts = {"toft offload": toft, "ssh": ssh}
    entries = [Entry(name, _taking(here, name.split()[0], start, held)) for name, start in starts.items()]
    hold(entries, 30, first_counts=False, most=5)
    for entry in entries:
        results.row("1 GB", entry)
        idle, peak = (Spread.of([pair[i] / 2**20 for pair in held[entry.name.split()[0]]]) for i in (0, 1))
        results.rows[-1] |= {"idle MiB": idle.to_dict(), "peak MiB": peak.to_dict()}
    here.meter.forget("toft")
    here.close_masters()


def _taking(here: Field, group: str, start: Start, held: dict[str, list[tuple[int, int]]]) -> Callable[[], Cost]:
    def go() -> Cost:
        before = here.meter.read(group)
        idle = here.meter.memory(group)
        env = here.environment() | dict(start.env)
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        process, begun = started(here.meter.group(group), start.argv, env=env, cwd=here.home, **quiet)
        total, peak = _drained(here, group, process)
        status = process.wait()
        wall = time.monotonic() - begun
        if (status, total) != (0, GB):
            raise RuntimeError(f"{start.argv}: {status}, {total} bytes")
        held[group].append((idle, peak))
        return here.meter.since(group, before, wall, status, b"")

    return go


def _drained(here: Field, group: str, process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """All of its output, unread; how much that was, and the most memory that was held."""
    total = peak = 0
    look = time.monotonic() + LOOK_S
    with process.stdout as output:  # type: ignore[union-attr]
        while size := len(os.read(output.fileno(), CHUNK)):
            total += size
            if time.monotonic() > look:
                peak, look = max(peak, here.meter.memory(group)), time.monotonic() + LOOK_S
    return total, peak

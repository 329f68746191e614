"""From 10 to 1,000 nodes: what one more node costs.

The network half is stood in for (see standin.py): nobody has a thousand hosts on two cores, and what is asked is
toft's own part. Real are the inventory that Ansible reads, the probe's fan-out and what it says being read, routing,
the records in SQLite, and rendering; `status` probes and renders, `route` probes and decides, `exec` starts, follows
and records a job for each node. The stand-in's processor time is not toft's: it is said as that of the hosts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.contest import Entry, hold
from tests.bench.meter import Cost, Meter, Start, started
from tests.bench.peers import BIN
from tests.bench.results import Results
from tests.lab.cgroup import Cgroup

COUNTS = (10, 100, 300, 1000)
COMMANDS = {
    "toft status": ("status",),
    "toft route": ("route", "make", "-j8"),
    "toft exec": ("exec", "all", "uptime"),
}
BUDGET_S = 60
LIMIT_S = 60.0
HERE = Path(__file__).parents[2]


def run(results: Results) -> None:
    home = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    nodes = Cgroup(f"toft-bench-nodes-{os.getpid()}")
    nodes.create()
    meter = Meter(nodes)
    try:
        with _stood_in(nodes, home):
            entries = [
                (count, Entry(n, _going(meter, home, count, w))) for count in COUNTS for n, w in COMMANDS.items()
            ]
            _engine(meter, home)
            hold([entry for _, entry in entries], BUDGET_S, first_counts=False, most=7)
        for count, entry in sorted(entries, key=lambda pair: (list(COMMANDS).index(pair[1].name), pair[0])):
            results.row("growth", entry, count=count)
    finally:
        meter.end()
        nodes.kill()
        nodes.remove()
        shutil.rmtree(home)


def _address(number: int) -> str:
    return f"198.18.{number >> 8}.{number & 255}"


def _inventory(home: Path, count: int) -> Path:
    hosts = {f"n{number}": {"ansible_host": _address(number)} for number in range(count)}
    file = home / f"nodes-{count}.yml"
    file.write_text(json.dumps({"all": {"hosts": hosts, "children": {"builders": {"hosts": dict.fromkeys(hosts)}}}}))
    return file


def _environment(home: Path) -> dict[str, str]:
    places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "CACHE")}
    run = home / "r"
    run.mkdir(mode=0o700, exist_ok=True)
    mine = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
    return mine | places | {"XDG_RUNTIME_DIR": str(run), "TOFT_WARM": "1"}


@contextlib.contextmanager
def _stood_in(group: Cgroup, home: Path) -> Iterator[None]:
    file = home / "nodes.json"
    file.write_text(json.dumps({f"n{number}": _address(number) for number in range(COUNTS[-1])}))
    argv = [sys.executable, "-m", "tests.bench.standin", str(file)]
    process, _begun = started(group, argv, env=_environment(home), cwd=HERE, stdout=subprocess.PIPE)
    with process:
        if process.stdout is None or process.stdout.readline() != b"listening\n":
            raise RuntimeError("the stand-in did not begin")
        try:
            yield
        finally:
            process.terminate()


def _toft(home: Path, count: int, *words: str) -> Start:
    return Start([str(BIN / "toft"), "-i", str(_inventory(home, count)), "--json", *words], _environment(home))


def _engine(meter: Meter, home: Path) -> None:
    meter.warmed("toft", _toft(home, COUNTS[0], "route", "true"), _toft(home, COUNTS[0], "engine", "status"), home)


def _going(meter: Meter, home: Path, count: int, words: tuple[str, ...]) -> Callable[[], Cost]:
    start = _toft(home, count, *words)

    def go() -> Cost:
        cost = meter.cost("toft", start, cwd=home, limit=LIMIT_S)
        told = json.loads(cost.output) if cost.status == 0 else {}
        found = len(told.get("nodes") or told.get("candidates") or told.get("jobs") or ())
        if found != count:
            said = cost.output[-600:].decode(errors="replace")
            raise RuntimeError(f"{words} of {count}: exit {cost.status}, {found} told: {said}")
        return cost

    return go

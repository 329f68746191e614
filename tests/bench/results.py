"""What was measured, where, and how it is kept: build/bench/results.json."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.contest import Entry
from tests.bench.figures import Spread, told

FAN = "fan-out"
"""The bench that the first of the tables is about."""


@dataclass
class Results:
    """`rows` are figures as JSON, each with what names it: the bench, the way, and what else tells it apart."""

    machine: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)

    def row(self, bench: str, entry: Entry, **where: Any) -> None:
        self.rows.append({"bench": bench, **where, **entry.figures()})
        spreads = (entry.spread("wall"), entry.spread("controller"), entry.spread("hosts"))
        place = " ".join(_named(key, value) for key, value in where.items())
        wall, controller, hosts = map(told, spreads)
        name = f"{bench} {place} {entry.name}"
        print(f"{name:44} wall {wall:32} controller {controller:32} hosts {hosts}", flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(text, flush=True)

    def find(self, bench: str, way: str, **where: Any) -> dict[str, Any] | None:
        wanted = {"bench": bench, "way": way, **where}
        return next((row for row in self.rows if wanted.items() <= row.items()), None)

    def spread(self, what: str, bench: str, way: str, **where: Any) -> Spread | None:
        row = self.find(bench, way, **where)
        return None if row is None or what not in row else Spread(**row[what])

    def renewed(self, later: Results) -> Results:
        """These, with what a later run has measured anew in its place. The machine is that of the fan-out."""
        benches = {row["bench"] for row in later.rows}
        machine = later.machine if FAN in benches or FAN not in {row["bench"] for row in self.rows} else self.machine
        rows = [row for row in self.rows if row["bench"] not in benches] + later.rows
        others = dict(self.others) | dict(later.others)
        return Results(machine, rows, list(dict.fromkeys(self.notes + later.notes)), list(others.items()))

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(vars(self), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Results:
        told = json.loads(file.read_text())
        return cls(**told | {"others": [(what, figure) for what, figure in told["others"]]})


def _named(key: str, value: object) -> str:
    words = {"warm": "warm" if value else "cold", "count": f"{value} hosts", "case": str(value)}
    return words.get(key, f"{value} {key}")


def this_machine(peers: Mapping[str, str]) -> dict[str, str]:
    return {
        "taken": datetime.now(UTC).date().isoformat(),
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB",
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "OpenSSH": _first_word(["ssh", "-V"]).removeprefix("OpenSSH_"),
        "toft": version("toft"),
        "ansible-core": version("ansible-core"),
        "ansible-runner": version("ansible-runner"),
        **peers,
    }


def _processor() -> str:
    fields = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    told = {name.strip(): value.strip() for name, _colon, value in fields}
    # A Raspberry Pi has no name for its processor, but one for itself.
    return told.get("model name") or told.get("Model") or platform.machine()


def _first_word(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).split()[0].rstrip(",")

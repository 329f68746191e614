"""Ten hosts provisioned by `toft provision`, and by ansible-playbook with its own defaults and with the collection's.

The playbook is toft.fleet.storage, which installs no packages: what a mirror takes is no figure of ours. "first" is on
hosts that have nothing of it, "again" on hosts that are as they should be. All of them and the controller share what
cores this machine has; see apart.py for hosts with a processor of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import toft.engine.provisioning
from toft.engine.runner import NO_CONFIGURATION, collections_path

from tests.bench.contest import Entry, hold
from tests.bench.meter import Cost, Meter, Start
from tests.bench.peers import BIN
from tests.bench.results import Results
from tests.lab.cgroup import Cgroup
from tests.lab.laboratory import Lab, system_names

HOSTS = 10
ROUNDS = 6
LIMIT_S = 900.0
COLLECTIONS = Path(collections_path({})[0])
PLAYBOOK, ROLE = "toft.fleet.storage", "storage"
PLAIN, SET, OURS = "ansible-playbook", "ansible-playbook, the collection's settings", "toft provision"
WAYS = (PLAIN, SET, OURS)
MADE = "/etc/toft /usr/local/bin/toft-storage /home/fleet/agentic-system"
"""What the role makes on these hosts."""


def run(results: Results) -> None:
    with standing() as field:
        contest(field, results, "provision", {"first": field.clear, "again": lambda: None}, ROUNDS)


@contextlib.contextmanager
def standing() -> Iterator[Field]:
    """Ten hosts, and a first run that is not counted: what these programs are is in memory from then on."""
    lab = Lab.up(system_names(HOSTS), sshd_defaults=False)
    meter = Meter(Cgroup(lab.claim.cgroup))
    home = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    try:
        field = Field(lab, meter, home, _inventory(home / "inventory", lab))
        field.play(SET)
        yield field
    finally:
        meter.end()
        lab.down()
        shutil.rmtree(home)


@dataclass(frozen=True)
class Field:
    lab: Lab
    meter: Meter
    home: Path
    inventory: Path

    def clear(self) -> None:
        """Takes away what the role made, without Ansible."""
        self.lab.each(lambda host: host.do(f"rm -rf {MADE}"))

    def play(self, way: str) -> Cost:
        cost = self.meter.cost(_group(way), self._start(way), cwd=self.home, limit=LIMIT_S)
        if cost.status != 0:
            raise RuntimeError(f"{way}: {cost.status}: {cost.output[-3000:].decode(errors='replace')}")
        return cost

    def _start(self, way: str) -> Start:
        """Each way has a home of its own, and so ssh masters of its own."""
        home = self.home / _group(way)
        home.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
        if way == OURS:
            return Start([str(BIN / "toft"), "-i", str(self.inventory), "provision", ROLE], environment)
        config = NO_CONFIGURATION if way == PLAIN else COLLECTIONS / toft.engine.provisioning.SETTINGS
        argv = [str(BIN / "ansible-playbook"), PLAYBOOK, "-i", str(self.inventory)]
        places = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
        return Start(argv, environment | places)


def _group(way: str) -> str:
    return f"w{WAYS.index(way)}"


def contest(field: Field, results: Results, bench: str, cases: Mapping[str, Callable[[], None]], rounds: int) -> None:
    """`cases`: what comes before a run, and is not in its figures."""
    entries = [(case, Entry(way, _going(field, way, before))) for case, before in cases.items() for way in WAYS]
    hold([entry for _case, entry in entries], 0, first_counts=True, least=rounds, most=rounds)
    when = {"taken": results.machine["taken"], "load": results.machine["load before"]}
    for case, entry in entries:
        results.row(bench, entry, case=case, **when)


def _going(field: Field, way: str, before: Callable[[], None]) -> Callable[[], Cost]:
    def go() -> Cost:
        before()
        return field.play(way)

    return go


def _inventory(directory: Path, lab: Lab) -> Path:
    """The lab's hosts, all of them with storage."""
    directory.mkdir()
    shutil.copy(lab.inventory, directory / "hosts.yml")
    group = {"hosts": dict.fromkeys(lab.hosts), "vars": {"storage_hot_free_gb": 0.1}}
    (directory / "storage.yml").write_text(json.dumps({ROLE: group}))
    return directory

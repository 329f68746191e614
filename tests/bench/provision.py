"""Ten hosts provisioned by `toft provision`, and by ansible-playbook with its own defaults and with the collection's.

The playbook is toft.fleet.storage, which installs no packages: what a mirror takes is no figure of ours. "first" is on
hosts that have nothing of it, "again" on hosts that are as they should be. All of them and the controller share what
cores this machine has; see apart.py for hosts with a processor of their own.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import toft.engine.provisioning
from toft.engine.runner import NO_CONFIGURATION, collections_path

from tests.bench import field
from tests.bench.contest import Entry, hold
from tests.bench.field import Field
from tests.bench.meter import Cost, Start
from tests.bench.peers import BIN
from tests.bench.results import Results

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
    with standing() as here:
        contest(here, results, "provision", {"first": clear, "again": lambda _here: None}, ROUNDS)


@contextlib.contextmanager
def standing() -> Iterator[Field]:
    """Ten hosts, and a first run that is not counted: what these programs are is in memory from then on."""
    with field.standing(system=HOSTS) as here:
        _inventory(here)
        _play(here, SET)
        yield here


def clear(here: Field) -> None:
    """Takes away what the role made, without Ansible."""
    here.lab.each(lambda host: host.do(f"rm -rf {MADE}"))


def contest(
    here: Field, results: Results, bench: str, cases: Mapping[str, Callable[[Field], None]], rounds: int
) -> None:
    """`cases`: what comes before a run, and is not in its figures."""
    entries = [(case, Entry(way, _going(here, way, before))) for case, before in cases.items() for way in WAYS]
    hold([entry for _case, entry in entries], 0, first_counts=True, least=rounds, most=rounds)
    when = {"taken": results.machine["taken"], "load": results.machine["load before"]}
    for case, entry in entries:
        results.row(bench, entry, case=case, **when)


def _going(here: Field, way: str, before: Callable[[Field], None]) -> Callable[[], Cost]:
    def go() -> Cost:
        before(here)
        return _play(here, way)

    return go


def _play(here: Field, way: str) -> Cost:
    group = f"w{WAYS.index(way)}"
    cost = here.cost(group, _start(here, way, here.home / group), LIMIT_S)
    if cost.status != 0:
        raise RuntimeError(f"{way}: {cost.status}: {cost.output[-3000:].decode(errors='replace')}")
    return cost


def _start(here: Field, way: str, home: Path) -> Start:
    """Each way has a home of its own, and so ssh masters of its own."""
    home.mkdir(exist_ok=True)
    inventory = str(here.home / "inventory")
    if way == OURS:
        return Start([str(BIN / "toft"), "-i", inventory, "provision", ROLE], {"HOME": str(home)})
    config = NO_CONFIGURATION if way == PLAIN else COLLECTIONS / toft.engine.provisioning.SETTINGS
    settings = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    return Start([str(BIN / "ansible-playbook"), PLAYBOOK, "-i", inventory], {"HOME": str(home), **settings})


def _inventory(here: Field) -> None:
    """The lab's hosts, all of them with storage."""
    directory = here.home / "inventory"
    directory.mkdir()
    shutil.copy(here.lab.inventory, directory / "hosts.yml")
    group = {"hosts": dict.fromkeys(here.lab.hosts), "vars": {"storage_hot_free_gb": 0.1}}
    (directory / "storage.yml").write_text(json.dumps({ROLE: group}))

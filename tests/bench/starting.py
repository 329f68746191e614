"""One host and no work: `true` through offload beside clush, ssh and Ansible; and `--version`, a start alone."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench import peers
from tests.bench.contest import Entry, hold
from tests.bench.field import SYSTEM, Field
from tests.bench.meter import Cost, Start
from tests.bench.peers import BIN
from tests.bench.results import Results

ONE = [SYSTEM]
THROUGH_THE_ENGINE = "toft -i F --version"
"""`toft --version` alone is said by the client; with an option it is a command like others."""
BUDGETS = {"offload": {True: 20, False: 20}, "start": {True: 6, False: 8}}


def run(here: Field, results: Results) -> None:
    here.open_masters(ONE)
    for bench, ways in (("offload", OFFLOAD), ("start", START)):
        for warm in (True, False):
            if warm:
                peers.ready(here, ONE)
            entries = [_entry(here, name, way, warm) for name, way in ways.items()]
            hold(entries, BUDGETS[bench][warm], first_counts=not warm, most=15 if bench == "offload" else 60)
            for entry in entries:
                results.row(bench, entry, warm=warm)
            here.meter.forget("toft")
    here.close_masters()


def _offload(here: Field, warm: bool) -> Start:
    return peers.toft(here, ONE, warm, "offload", SYSTEM, "true")


def _ssh(here: Field, warm: bool) -> Start:
    return Start(["ssh", "-n", "-F", str(here.ssh_config(warm)), "--", SYSTEM, "true"])


def _ansible(here: Field, warm: bool) -> Start:
    argv = [str(BIN / "ansible"), SYSTEM, "-i", str(here.inventory(ONE)), "-m", "command", "-a", "true"]
    return Start(argv, peers.ansible_settings(here, warm))


OFFLOAD: dict[str, Callable[[Field, bool], Start]] = {
    "toft offload": _offload,
    "ssh": _ssh,
    "clush": lambda here, warm: peers.clush(here, ONE, warm, "true"),
    "ansible": _ansible,
}
START: dict[str, Callable[[Field, bool], Start]] = {
    "toft --version": lambda here, warm: Start([str(BIN / "toft"), "--version"]),
    THROUGH_THE_ENGINE: lambda here, warm: peers.toft(here, ONE, warm, "--version"),
    "ssh -V": lambda here, warm: Start(["ssh", "-V"]),
}


def _entry(here: Field, name: str, way: Callable[[Field, bool], Start], warm: bool) -> Entry:
    group = name.split()[0]

    def go() -> Cost:
        cost = here.cost(group, way(here, warm))
        if not warm:
            here.meter.forget(group)
        if cost.status != 0:
            raise RuntimeError(f"{name}: {cost.status}: {cost.output[-400:].decode(errors='replace')}")
        return cost

    return Entry(name, go)

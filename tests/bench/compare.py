"""toft and its peers: `uptime` on 1, 10, 50 and 100 hosts, warm and cold, all in turn.

`toft status` asks for more than `uptime` does (it watches each processor for 0.2 s, among others); so the bare
fan-out of the same probe runs in the same rounds, which says what Ansible and the command line add to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench import peers
from tests.bench.bare import Bare
from tests.bench.contest import Entry, hold
from tests.bench.field import Field
from tests.bench.meter import Cost
from tests.bench.peers import Way
from tests.bench.results import FAN, Results

BUDGETS = {(1, True): 15, (10, True): 25, (50, True): 40, (100, True): 80} | {
    (1, False): 12, (10, False): 25, (50, False): 60, (100, False): 120
}  # fmt: skip
"""Seconds for (hosts, warm)."""


class Wrong(Exception):
    """A way did not do what it was to be measured at."""


def run(here: Field, results: Results) -> None:
    there = [way for way in peers.WAYS if way.missing is None]
    for way in peers.WAYS:
        if way.missing is not None:
            results.note(f"{way.name}: {way.missing}")
    for (count, warm), budget in BUDGETS.items():
        names = here.light[:count]
        if warm:
            here.open_masters(names)
            peers.ready(here, names)
        entries = [_entry(here, way, names, warm) for way in there]
        with Bare(here, names) as bare:
            if warm:
                entries.append(Entry("bare mux", bare.cost))
            hold(entries, budget, first_counts=not warm)
        for entry in entries:
            results.row(FAN, entry, count=count, warm=warm)
        if not warm or count == 100:
            here.close_masters()


def _entry(here: Field, way: Way, names: Sequence[str], warm: bool) -> Entry:
    # toft's commands share their engine and masters, and so a group.
    group = way.name.split()[0] if way.name.startswith("toft") else way.name.replace(" ", "-")

    def go() -> Cost:
        start = way.start(here, names, warm)
        cost = here.cost(group, start)
        if not warm:
            here.meter.forget(group)
        if cost.status != 0 or cost.output.count(way.answer) != len(names):
            said = cost.output[-600:].decode(errors="replace")
            raise Wrong(f"{way.name}: {cost.output.count(way.answer)} of {len(names)} answered, {cost.status}: {said}")
        return cost

    return Entry(way.name, go, way.slow)

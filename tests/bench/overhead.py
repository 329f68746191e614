"""100 jobs of no work on four hosts, four at a time on each: what `toft parallel` and GNU parallel take for a job."""

from __future__ import annotations

from tests.bench import peers
from tests.bench.contest import Entry, hold
from tests.bench.field import Field
from tests.bench.meter import Cost, Start
from tests.bench.peers import WAYS
from tests.bench.results import Results

JOBS, HOSTS, SLOTS = 100, 4, 4


def run(here: Field, results: Results) -> None:
    names = here.light[:HOSTS]
    here.open_masters(names)
    peers.ready(here, names)
    ours = ("parallel", "--independent", "--slots", str(SLOTS))
    entries = [_entry(here, "toft parallel", peers.toft(here, names, True, *ours, *["true"] * JOBS))]
    if next(way for way in WAYS if way.name == "GNU parallel").missing is None:
        theirs = ["parallel", "--will-cite", "-j", str(SLOTS), "--slf", str(here.hosts_file(names)), "true"]
        ssh = {"PARALLEL_SSH": f"ssh -F {here.ssh_config(True)}"}
        numbers = "".join(f"{number}\n" for number in range(JOBS)).encode()
        entries.append(_entry(here, "GNU parallel", Start(theirs, ssh, numbers)))
    hold(entries, 30, first_counts=False, most=5)
    for entry in entries:
        results.row("parallel", entry, jobs=JOBS, count=HOSTS)
    here.meter.forget("toft")
    here.close_masters()


def _entry(here: Field, name: str, start: Start) -> Entry:
    def go() -> Cost:
        cost = here.cost(name.split()[0], start)
        if cost.status != 0:
            raise RuntimeError(f"{name}: {cost.status}: {cost.output[-400:].decode(errors='replace')}")
        return cost

    return Entry(name, go)

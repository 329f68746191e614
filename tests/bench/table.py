"""The results as Markdown, for the terminal and the README alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench import apart, provision
from tests.bench.figures import Spread, seconds
from tests.bench.goals import Goal, goals
from tests.bench.peers import WAYS
from tests.bench.results import FAN, Results
from tests.bench.starting import THROUGH_THE_ENGINE

BEGIN, END = "<!-- bench: written by `make bench BENCH=--readme` -->", "<!-- bench: end -->"
PICTURE = "![Seconds to run uptime on 1 to 100 hosts, toft and its peers](tests/bench/bench.svg)"
SIZES = (1, 10, 50, 100)
PROVISIONED = (("provision", "first"), ("provision", "again"), ("apart", "first"))
PROGRAMS = ("ClusterShell", "pdsh", "pssh", "parallel", "pyinfra", "ansible-core", "ansible-runner")


def markdown(results: Results) -> str:
    found = goals(results)
    parts = [_where(results), _ways(results), _goals(found), *_provisioning(results), *_notes(results, found)]
    return "\n\n".join(parts) + "\n"


def _where(results: Results) -> str:
    m = results.machine
    programs = ", ".join(f"{name} {m[name]}" for name in PROGRAMS if name in m)
    return (
        f"{m['cores']} cores of {m['processor']}, {m['memory']}, Linux {m['kernel']}, Python {m['Python']}, OpenSSH "
        f"{m['OpenSSH']}, {programs}; {m['taken']}, load {m['load before']} before it. "
        "Seconds: medians (least to most)."
    )


def _ways(results: Results) -> str:
    head = ["`uptime` on", *(f"{n}" for n in SIZES), "100: CPU here", "CPU of the hosts", "cold: 100", "CPU here"]
    return _table(head, [_way(results, name) for name in ["bare mux", *(way.name for way in WAYS)]])


def _way(results: Results, name: str) -> list[str]:
    def cell(what: str, hosts: int, warm: bool, full: bool = False) -> str:
        spread = results.spread(what, FAN, name, count=hosts, warm=warm)
        return "-" if spread is None else _cell(spread, full)

    walls = [cell("wall", hosts, True, hosts == 100) for hosts in SIZES]
    warm = [cell("controller", 100, True), cell("hosts", 100, True)]
    return [name, *walls, *warm, cell("wall", 100, False, True), cell("controller", 100, False)]


def _cell(spread: Spread, full: bool) -> str:
    bare = [seconds(value).removesuffix(" s") for value in (spread.median, spread.least, spread.most)]
    return f"{bare[0]} ({bare[1]} to {bare[2]})" if full and spread.runs > 1 else bare[0]


def _goals(found: Sequence[Goal]) -> str:
    rows = [[g.what, g.beside, g.both, g.figure, g.at_most, g.verdict] for g in found]
    return _table(["warm, unless it says cold", "beside", "both", "ratio", "goal", ""], rows)


def _provisioning(results: Results) -> Iterable[str]:
    """Beside each figure its ratio to plain ansible-playbook."""
    rows = [[way, *(_beside_plain(results, way, *column) for column in PROVISIONED)] for way in provision.WAYS]
    taken = [row for bench in ("provision", "apart") if (row := results.find(bench, provision.PLAIN))]
    if taken:
        head = ["ten hosts, role storage", "first", "again", "first, hosts apart"]
        when = "; ".join(dict.fromkeys(f"{row['taken']}, load {row['load']} before it" for row in taken))
        yield (
            f"{_table(head, rows)}\n\nApart: each host {apart.ROUND_TRIP_MS} ms away, with {apart.SHARE:g} of a core. "
            f"{when}; ratios to the first line."
        )


def _beside_plain(results: Results, way: str, bench: str, case: str) -> str:
    spread, plain = (results.spread("wall", bench, each, case=case) for each in (way, provision.PLAIN))
    return f"{_cell(spread, True)}, {spread.median / plain.median:.2f}" if spread and plain else "-"


def _notes(results: Results, found: Sequence[Goal]) -> Iterable[str]:
    lines = [
        *_memory(results),
        *_jobs(results),
        *_start(results),
        *(f"{g.what}: {g.why}" for g in found if g.why),
        *results.notes,
    ]
    if lines:
        yield "\n".join(f"- {line}" for line in lines)


def _memory(results: Results) -> Iterable[str]:
    told = []
    for way in ("toft offload", "ssh"):
        peak, idle = (results.spread(what, "1 GB", way) for what in ("peak MiB", "idle MiB"))
        if peak and idle:
            told.append(f"{way} held {peak.median:.0f} MiB at most ({idle.median:.0f} idle)")
    if told:
        yield f"1 GB: {', '.join(told)}"


def _start(results: Results) -> Iterable[str]:
    spread = results.spread("wall", "start", THROUGH_THE_ENGINE, warm=True)
    if spread:
        yield f"a command through the warm engine that does nothing (`{THROUGH_THE_ENGINE}`): {seconds(spread.median)}"


def _jobs(results: Results) -> Iterable[str]:
    spreads = {way: results.spread("wall", "parallel", way) for way in ("toft parallel", "GNU parallel")}
    told = [f"{way} {s.median * 10:.0f} ms" for way, s in spreads.items() if s]
    if told:
        yield f"a job of no work among 100, on 4 hosts: {', '.join(told)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    width = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * each for each in width], *rows]
    return "\n".join(_line(cells, width) for cells in lines)


def _line(cells: Sequence[str], width: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(each) for cell, each in zip(cells, width, strict=True)) + " |"


def into_readme(file: Path, text: str) -> None:
    """The plot and the table between the two marks, which must be there."""
    before, _, rest = file.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise LookupError(f"{file} lacks the marks {BEGIN} and {END}")
    file.write_text(f"{before}{BEGIN}\n{PICTURE}\n\n{text}{END}{after}")

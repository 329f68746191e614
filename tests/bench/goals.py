"""What toft was to reach, as ratios: they hold on any machine of two cores, where seconds do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.figures import seconds
from tests.bench.results import FAN, Results

WARM = {"count": 100, "warm": True}
COLD = {"count": 100, "warm": False}


@dataclass(frozen=True)
class Goal:
    """`value` and `limit` in `unit`; a `value` of None was not measured."""

    what: str
    beside: str
    limit: float
    value: float | None
    unit: str = "x"
    both: str = ""
    """Ours and theirs, whose ratio it is."""
    because: str = ""
    """What a profile says the time goes to."""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        return "reached" if self.value <= self.limit else "missed"

    @property
    def why(self) -> str:
        """Only of interest where it is missed."""
        return f"{self.because} ({PROFILED})" if self.because and self.verdict == "missed" else ""

    @property
    def figure(self) -> str:
        return "-" if self.value is None else _number(self.value, self.unit)

    @property
    def at_most(self) -> str:
        return "1/30" if self.limit == 1 / 30 else _number(self.limit, self.unit)


def _number(value: float, unit: str) -> str:
    digits = f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"
    return digits if unit == "x" else f"{digits} {unit}"


PROFILED = "2026-11-21 and 22, 2 cores of AMD EPYC"
"""When and where the shares below were seen: they are of that day's code, and no part of a later run's results."""
CPU_HERE = (
    "of the time in Python here 32 % is Ansible's strategy, which visits each host three times, 34 % our action "
    "(host variables 10, starting threads 9), 20 % its threads (reading what the probes said 15), 6 % the "
    "inventory, 5 % toft (py-spy, status of 1,000 nodes)"
)
BECAUSE: dict[tuple[str, str], str] = {
    ("`toft status`, 100 hosts", "clush `uptime`"): (
        "52 % of the processors' time on the hosts (sh 22, sshd 12, the login's bash 9, stat and sleep 9), "
        "27 % Python here, 15 % idle; hosts and toft share the cores (perf)"
    ),
    ("`toft status`, 100 hosts, cold", "clush, cold"): (
        "53 % ssh here, nearly all in its own code (the key exchange), 21 % sshd; 11 % ansible-playbook, 3 % toft; "
        "4 % idle (perf)"
    ),
    ("`toft exec`, 100 hosts", "clush"): (
        "75 % Python: 23 the hosts' interpreter, 7 ours, 40 the kernel for both; uptime itself 5 %, 6 % idle (perf)"
    ),
    ("`toft exec`, 100 hosts", "ansible"): "as beside clush",
    ("CPU here of `toft status`, 100 hosts", "clush"): CPU_HERE,
    ("`toft offload NODE true`", "clush"): "65 % Python, half of that in the kernel; 29 % idle (perf)",
    ("1 GB through offload", "ssh"): (
        "35 % Python on the node, nearly all of it in the kernel; sshd 22 %, ssh 18 %, Python here 17 % (perf)"
    ),
    ("`toft status`: CPU here for each node, 10 to 1,000", ""): CPU_HERE,
}
"""What a profile saw where a goal is missed: perf over the whole machine, py-spy over the engine."""


def goals(results: Results) -> list[Goal]:
    wall, processor = _beside(results, "wall"), _beside(results, "controller")
    status, run = (FAN, "toft status"), (FAN, "toft exec")
    clush, offload = (FAN, "clush"), ("offload", "toft offload")
    return [
        wall("`toft status`, 100 hosts", "clush `uptime`", 0.7, status, clush, WARM),
        wall("`toft status`, 100 hosts", "the bare probe", 2.0, status, (FAN, "bare mux"), WARM),
        wall("`toft status`, 100 hosts, cold", "clush, cold", 1.0, status, clush, COLD),
        wall("`toft exec`, 100 hosts", "clush", 0.6, run, clush, WARM),
        wall("`toft exec`, 100 hosts", "ansible", 1 / 30, run, (FAN, "ansible"), WARM),
        processor("CPU here of `toft status`, 100 hosts", "clush", 0.25, status, clush, WARM),
        wall("`toft offload NODE true`", "clush", 1.5, offload, ("offload", "clush"), {"warm": True}),
        wall("`toft --version`", "ssh -V", 2.5, ("start", "toft --version"), ("start", "ssh -V"), {"warm": True}),
        wall("1 GB through offload", "ssh", 1.3, ("1 GB", "toft offload"), ("1 GB", "ssh"), {}),
        Goal("1 GB through offload: memory", "idle", 64, _grown(results), "MiB"),
        *_growth(results),
    ]


Way = tuple[str, str]


def _beside(results: Results, of: str) -> Callable[[str, str, float, Way, Way, Mapping[str, Any]], Goal]:
    def goal(what: str, beside: str, limit: float, ours: Way, theirs: Way, where: Mapping[str, Any]) -> Goal:
        both = [results.spread(of, *way, **where) for way in (ours, theirs)]
        if both[0] is None or both[1] is None or not both[1].median:
            return Goal(what, beside, limit, None)
        told = " / ".join(seconds(each.median) for each in both if each)
        return Goal(
            what, beside, limit, both[0].median / both[1].median, both=told, because=BECAUSE.get((what, beside), "")
        )

    return goal


def _grown(results: Results) -> float | None:
    peak, idle = (results.spread(what, "1 GB", "toft offload") for what in ("peak MiB", "idle MiB"))
    return peak.median - idle.median if peak and idle else None


def _growth(results: Results) -> Iterator[Goal]:
    bends = []
    for way in ("toft status", "toft route", "toft exec"):
        whole, first, last = (slope(results, way, *pair) for pair in ((10, 1000), (10, 300), (300, 1000)))
        what = f"`{way}`: CPU here for each node, 10 to 1,000"
        yield Goal(what, "", 1.0, whole, "ms", because=BECAUSE.get((what, ""), ""))
        if first and last:
            bends.append(last / first)
    yield Goal("linear: the same from 300 to 1,000", "10 to 300", 1.25, max(bends, default=None))


def slope(results: Results, way: str, few: int, many: int) -> float | None:
    """Milliseconds of CPU here for each further node."""
    ends = [results.spread("controller", "growth", way, count=count) for count in (few, many)]
    return (ends[1].median - ends[0].median) / (many - few) * 1000 if ends[0] and ends[1] else None

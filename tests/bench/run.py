"""`make bench`: what toft costs beside its peers, on lab hosts of this machine. Figures to read, never to pass or fail.

    python -m tests.bench.run [NAME]…           all, or those named
    python -m tests.bench.run --readme          writes the last results into README.md and its plot
    make bench BENCH='compare growth'           the same through make

Ways alternate in each round (contest.py), each in a control group of its own (meter.py); the ways and what is warm in
them are in peers.py. The results are kept in build/bench: results.json and bench.svg; a run of some only renews those.
Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from tests.bench import peers, plot, table
from tests.bench.field import standing
from tests.bench.results import Results, this_machine
from tests.bench.setting import Report
from tests.lab.machine import why_not

AGAINST = ("compare", "starting", "stream", "overhead")
"""On one field of hosts."""
ALONE = ("growth", "provision", "apart")
OWN = ("hook", "parallel", "sync")
"""toft by itself."""
ROOT = Path(__file__).parents[2]
KEPT = peers.BUILD / "results.json"
PLOT = peers.BUILD / "bench.svg"
SHOWN = ROOT / "tests/bench/bench.svg"
HOSTS = 100


def main(words: Sequence[str]) -> int:
    if list(words) == ["--readme"]:
        return _into_readme()
    known = (*AGAINST, *ALONE, *OWN)
    wrong = [name for name in words if name not in known]
    if wrong or (reason := why_not()):
        sys.stderr.write(f"no benchmark {wrong[0]}; there are {', '.join(known)}\n" if wrong else f"{reason}\n")
        return 2
    # Hosts and control groups are taken away on every way out.
    signal.signal(signal.SIGTERM, lambda *_told: sys.exit(143))
    peers.install()
    results = Results(this_machine(_versions()))
    _measure(words or known, results)
    _keep(results, whole=not words)
    return 0


def _measure(names: Sequence[str], results: Results) -> None:
    if any(name in AGAINST for name in names):
        with standing(HOSTS) as here:
            for name in (name for name in AGAINST if name in names):
                importlib.import_module(f"tests.bench.{name}").run(here, results)
    for name in (name for name in ALONE if name in names):
        importlib.import_module(f"tests.bench.{name}").run(results)
    report = Report()
    for name in (name for name in OWN if name in names):
        importlib.import_module(f"tests.bench.{name}").run(report)
    results.others += report.lines


def _keep(results: Results, *, whole: bool) -> None:
    if not whole and KEPT.exists():
        results = Results.read(KEPT).renewed(results)
    results.write(KEPT)
    print(f"\n{table.markdown(results)}")
    with contextlib.suppress(ValueError):  # nothing to draw in it
        PLOT.write_text(plot.svg(results))
    print(f"{KEPT}\n{PLOT}")


def _into_readme() -> int:
    if not KEPT.exists():
        sys.stderr.write("no results yet; try: make bench\n")
        return 2
    results = Results.read(KEPT)
    SHOWN.write_text(plot.svg(results))
    table.into_readme(ROOT / "README.md", table.markdown(results))
    return 0


def _versions() -> dict[str, str]:
    """Of the peers."""
    places = [str(path) for path in peers.PEERS.glob("lib/python*/site-packages")]
    pip: dict[str, str] = {d.metadata["Name"]: d.version for d in distributions(path=places)}
    found: dict[str, str] = {name: pip[name] for name in ("ClusterShell", "pyinfra") if name in pip}
    for name, argv in (("pdsh", ["pdsh", "-V"]), ("pssh", ["parallel-ssh", "--version"]), ("parallel", PARALLEL)):
        with contextlib.suppress(OSError):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            found[name] = next(
                (w for w in (done.stdout + done.stderr).split() if w[0].isdigit() or w[:5] == "pdsh-"), "?"
            )
    return {name: version.removeprefix("pdsh-") for name, version in found.items()}


PARALLEL = ["parallel", "--will-cite", "--version"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

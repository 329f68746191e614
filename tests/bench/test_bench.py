"""The benchmark's own judgement: goals from figures, the table, the plot, the stand-in for nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils.load import Load
from ansible_collections.toft.fleet.plugins.plugin_utils import asking, exchange, probing
from ansible_collections.toft.fleet.plugins.plugin_utils.hostvars import from_vars
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from tests.bench import goals, peers, plot, provision, table
from tests.bench.contest import Entry, hold
from tests.bench.figures import Spread, seconds
from tests.bench.meter import Cost
from tests.bench.results import Results

ROOT = Path(__file__).parents[2]
MACHINE = dict.fromkeys(("cores", "processor", "memory", "kernel", "Python", "OpenSSH", "taken", "load before"), "?")


def made(*rows: tuple[str, str, float, float, Mapping[str, object]]) -> Results:
    """Rows of (bench, way, wall, controller, where)."""
    results = Results(dict(MACHINE))
    for bench, way, wall, controller, where in rows:
        figures = {"wall": Spread.of([wall]).to_dict(), "controller": Spread.of([controller]).to_dict()}
        results.rows.append({"bench": bench, "way": way, **where, **figures, "hosts": figures["controller"]})
    return results


def test_a_goal_is_a_ratio_that_is_reached_or_missed() -> None:
    here = {"count": 100, "warm": True}
    results = made(("fan-out", "toft status", 0.6, 0.3, here), ("fan-out", "clush", 1.0, 1.0, here))
    found = {(goal.what, goal.beside): goal for goal in goals.goals(results)}
    status = found["`toft status`, 100 hosts", "clush `uptime`"]
    processor = found["CPU here of `toft status`, 100 hosts", "clush"]
    assert (status.figure, status.verdict, processor.figure, processor.verdict) == ("0.60", "reached", "0.30", "missed")
    assert found["`toft --version`", "ssh -V"].verdict == "not measured"


def test_provisioning_stands_beside_plain_ansible_playbook() -> None:
    when = {"taken": "2026-01-02", "load": "0.1"}
    plain, ours = (
        [(bench, way, wall, 1.0, {"case": case, **when}) for bench, case in table.PROVISIONED]
        for way, wall in ((provision.PLAIN, 80.0), (provision.OURS, 20.0))
    )
    text = table.markdown(made(*plain, *ours))
    line = next(line for line in text.splitlines() if line.startswith(f"| {provision.OURS}"))
    assert line.count("20, 0.25") == len(table.PROVISIONED)
    assert "2026-01-02, load 0.1 before it" in text


def test_a_later_run_of_some_leaves_the_machine_of_the_others() -> None:
    def on(taken: str, *benches: str) -> Results:
        results = made(*[(bench, "toft status", 1.0, 1.0, {}) for bench in benches])
        results.machine["taken"] = taken
        return results

    whole = on("monday", "fan-out", "provision")
    assert whole.renewed(on("tuesday", "provision")).machine["taken"] == "monday"
    assert whole.renewed(on("tuesday", "fan-out")).machine["taken"] == "tuesday"
    assert on("monday", "start").renewed(on("tuesday", "provision")).machine["taken"] == "tuesday"


def test_growth_is_a_slope_and_a_bend_in_it() -> None:
    cpu = {10: 0.1, 100: 0.15, 300: 0.25, 1000: 1.3}
    results = made(*[("growth", "toft route", 1.0, value, {"count": count}) for count, value in cpu.items()])
    found = {goal.what: goal for goal in goals.goals(results)}
    assert found["`toft route`: CPU here for each node, 10 to 1,000"].figure == "1.21 ms"
    assert found["linear: the same from 300 to 1,000"].verdict == "missed"


def test_rounds_alternate_and_slow_ways_sit_out() -> None:
    order: list[str] = []

    def running(name: str) -> Entry:
        def go() -> Cost:
            order.append(name)
            return Cost(0.0, 0.0, 0.0, 0, b"")

        return Entry(name, go, slow=name == "c")

    entries = [running(name) for name in "abc"]
    hold(entries, 60, first_counts=False, most=4)
    assert "".join(order) == "ab" + "abc" + "bca" + "ab" + "abc"
    assert [len(entry.costs) for entry in entries] == [4, 4, 3]


def test_seconds_have_digits_that_mean_something() -> None:
    assert [seconds(each) for each in (12.34, 1.234, 0.1234, 0.0123, 0.00123)] == [
        "12 s",
        "1.23 s",
        "0.12 s",
        "12 ms",
        "1.2 ms",
    ]


@pytest.fixture
def some() -> Results:
    rows = [
        ("fan-out", way.name, 0.1 * count * (1 + warm), 0.1, {"count": count, "warm": warm})
        for way in peers.WAYS
        for count in (1, 10, 50, 100)
        for warm in (True, False)
    ]
    return made(*rows)


def test_the_plot_shows_each_way_in_both_panels(some: Results) -> None:
    root = ET.fromstring(plot.svg(some))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [texts.count(way.name) for way in peers.WAYS] == [2] * len(peers.WAYS)


def test_the_readme_takes_the_table_between_its_marks(some: Results, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{table.BEGIN}\nstale\n{table.END}\nafter\n")
    table.into_readme(file, table.markdown(some))
    text = file.read_text()
    assert "stale" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| clush " in text
    ours = (ROOT / "README.md").read_text()
    assert ours.count(table.BEGIN) == ours.count(table.END) == 1


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transport]:
    runtime = tempfile.mkdtemp(prefix="tb-", dir="/tmp")  # short, as sockets' paths must be
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    nodes = tmp_path / "nodes.json"
    nodes.write_text(json.dumps({"n0": "198.18.0.1"}))
    argv = [sys.executable, "-m", "tests.bench.standin", str(nodes)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"listening\n"
        found = from_vars("n0", {"ansible_host": "198.18.0.1"})
        assert isinstance(found, Transport)
        yield found
        process.kill()
    shutil.rmtree(runtime)


def test_the_stand_in_answers_as_a_node_does(stand_in: Transport) -> None:
    deadline = time.monotonic() + 20
    done = exchange.run(stand_in, probing.COMMAND, probing.script([]), deadline=deadline)
    assert isinstance(done, exchange.Completed)
    load = probing.read(done.stdout)
    assert isinstance(load, Load)
    assert str(load.machine_id).startswith("n0")
    told = asking.ask(stand_in, {"verb": "start", "job": {"id": "jabc"}}, deadline=deadline)
    assert isinstance(told, dict)
    assert told["record"]["id"] == "jabc"

"""`toft parallel` over real hosts, with figures."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Toft
from tests.lab.laboratory import Lab, system_names

FIGURES: list[str] = []
NODES = 4
BURN = "python3 -c 'import time\nend = {seconds}\nwhile time.process_time() < end: pass'"


def figure(text: str) -> None:
    FIGURES.append(text)
    print(f"parallel: {text}")


@pytest.fixture(scope="module")
def standing_four(lab_machine: None) -> Iterator[Lab]:
    standing = Lab.up(system_names(NODES), sshd_defaults=False)
    yield standing
    standing.down()


@pytest.fixture
def four(standing_four: Lab) -> Iterator[Lab]:
    yield standing_four
    standing_four.heal()


@pytest.fixture
def four_toft(tmp_path: Path, four: Lab) -> Iterator[Toft]:
    command = Toft(tmp_path / "home", four.inventory)
    command("exec", "all", "true")  # masters open, login environments known
    yield command
    command.end()


def timed(toft: Toft, *words: str) -> tuple[float, dict]:
    begun = time.monotonic()
    told = toft.json(*words)
    return time.monotonic() - begun, told


def test_four_that_sleep_end_as_one(four_toft: Toft) -> None:
    """Four times `sleep 8` on four nodes: 9.5 s from typing to the end on a quiet machine. How busy this one is
    shows in what one `toft route` costs, which is the same run of Ansible."""
    begun = time.monotonic()
    four_toft("route", "true")
    base = time.monotonic() - begun
    seconds, told = timed(four_toft, "parallel", *["sleep 8"] * NODES)
    assert len({job["node"] for job in told["jobs"]}) == NODES
    first = min(job["started_at"] for job in told["jobs"])
    last = max(job["ended_at"] for job in told["jobs"])
    figure(
        f"4 x sleep 8 on 4 nodes: {seconds:.2f} s from typing to the prompt (one `toft route` now: {base:.2f} s), "
        f"speed-up {told['speedup']}; jobs from {first[14:]} to {last[14:]}"
    )
    assert seconds <= max(9.5, 8 + base + 1.2)


def test_work_on_four_slow_nodes_is_nearly_four_times_as_fast(four: Lab, four_toft: Toft) -> None:
    """Each node has a quarter of a core, so that four of them are no more than this machine has."""
    commands = [f"{BURN.format(seconds=4)} # {n}" for n in range(NODES)]
    for host in four.hosts.values():
        host.slow(0.25)
    _, alone = timed(four_toft, "parallel", "--on", "n1", "--slots", "1", "--independent", *commands)
    _, together = timed(four_toft, "parallel", "--slots", "1", "--independent", *commands)
    gain = alone["wall_s"] / together["wall_s"]
    figure(
        f"4 CPU-bound commands, nodes of a quarter core: {alone['wall_s']:.1f} s one after another on one node, "
        f"{together['wall_s']:.1f} s on four: {gain:.2f} times as fast"
    )
    assert all(job["exit_code"] == 0 for job in alone["jobs"] + together["jobs"])
    assert gain >= 3.5


def test_what_each_command_costs(four_toft: Toft) -> None:
    """A hundred commands that do nothing."""
    _, one = timed(four_toft, "parallel", "true")
    seconds, told = timed(four_toft, "parallel", "--independent", "--slots", "4", *["true"] * 100)
    each = (seconds - one["wall_s"]) / 99 * 1000
    figure(f"100 commands of 0 s on 4 nodes: {seconds:.1f} s, {each:.0f} ms for each further one")
    assert [job["exit_code"] for job in told["jobs"]] == [0] * 100
    assert len({job["id"] for job in told["jobs"]}) == 100
    assert each < 500


def test_the_second_run_is_planned_better_than_the_first(four_toft: Toft) -> None:
    """Short ones typed first, a long one last, on two nodes with a slot each: the first run cannot know."""
    commands = [*(f"sleep 2 # {n}" for n in range(5)), "sleep 9"]
    words = ("parallel", "--on", "n1,n2", "--slots", "1", "--independent")
    _, first = timed(four_toft, *words, *commands)
    plan = four_toft.json(*words, "--dry-run", *commands)
    _, second = timed(four_toft, *words, *commands)
    figure(
        f"5 short and 1 long command on 2 slots: {first['wall_s']:.1f} s before anything was known, then planned "
        f"{plan['wall_s']:.1f} s, taken {second['wall_s']:.1f} s"
    )
    assert abs(plan["jobs"][5]["duration_s"] - 9) < 1, "known from the node that ran it"
    assert second["jobs"][5]["started_at"] in sorted(job["started_at"] for job in second["jobs"])[:2]
    assert second["wall_s"] < first["wall_s"] - 2


def test_a_slow_node_gets_less_once_it_is_known(four: Lab, four_toft: Toft) -> None:
    commands = [f"{BURN.format(seconds=0.8)} # {n}" for n in range(6)]
    words = ("parallel", "--on", "n1,n2", "--slots", "1", "--independent")
    four.hosts["n2"].slow(0.15)
    shares, walls = [], []
    for _ in range(3):
        _, told = timed(four_toft, *words, *commands)
        shares.append(sum(1 for job in told["jobs"] if job["node"] == "n2"))
        walls.append(told["wall_s"])
    figure(f"6 commands, one of 2 nodes slow: {shares} of them on it in three runs, {[round(w, 1) for w in walls]} s")
    assert shares[-1] <= shares[0]
    assert walls[-1] <= walls[0] * 1.15


def test_what_belongs_together_runs_on_one_node_and_in_order(four_toft: Toft) -> None:
    chains = [c for n in range(3) for c in (f"mkdir -p d{n} && hostname > d{n}/x", f"cat d{n}/x && hostname")]
    done = four_toft("-q", "parallel", *chains)
    assert done.returncode == 0, done.stderr
    told: dict[bytes, list[bytes]] = {}
    for line in done.stdout.splitlines():
        mark, _, text = line.partition(b"] ")
        told.setdefault(mark, []).append(text)
    assert len(told) == 3
    assert all(len(lines) == 2 and lines[0] == lines[1] for lines in told.values())


def test_two_at_once_do_each_job_once(four: Lab, four_toft: Toft) -> None:
    marks = "/tmp/marks-twice"
    for host in four.hosts.values():
        host.run(f"rm -rf {marks}; mkdir -m 777 {marks}")
    commands = {who: [f"echo x >> {marks}/{who}{n}" for n in range(12)] for who in "ab"}
    running = [four_toft.begin("parallel", "--independent", *commands[who]) for who in "ab"]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    counts: dict[str, int] = {}
    for host in four.hosts.values():
        for line in host.run(f"cd {marks}; wc -l * 2>/dev/null || true").stdout.splitlines():
            number, name = line.split()
            if name != "total":
                counts[name] = counts.get(name, 0) + int(number)
    assert counts == {f"{who}{n}": 1 for who in "ab" for n in range(12)}


def test_three_suites_in_three_languages(four_toft: Toft, tmp_path: Path) -> None:
    """The example's tests, each where it runs best, on the tree that one stands in."""
    tree = tmp_path / "example"
    shutil.copytree(Path(__file__).with_name("example"), tree)
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=tree, check=True)
    suites = ("python3 numbers/check_mean.py", "sh words/test.sh", "make -C primes check")
    told = four_toft.json("parallel", *suites, cwd=tree)
    figure(f"three suites in three languages: {told['wall_s']:.1f} s on {len({j['node'] for j in told['jobs']})} nodes")
    assert [(job["exit_code"], job["error"]) for job in told["jobs"]] == [(0, None)] * 3
    assert told["edges"] == []
    assert all(".toft/mirror/example-" in job["cwd"] for job in told["jobs"])
    (tree / "words/longest.sh").write_text("echo wrong\n")
    assert four_toft("parallel", *suites, cwd=tree).returncode == 1


def test_what_one_builds_the_next_finds_in_the_mirror(four_toft: Toft, tmp_path: Path) -> None:
    tree = tmp_path / "example"
    shutil.copytree(Path(__file__).with_name("example"), tree)
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    told = four_toft.json("parallel", "make -C primes", "primes/primes 1000 | grep -x 168", cwd=tree)
    assert [(edge["before"], edge["after"]) for edge in told["edges"]] == [(1, 2)]
    assert [job["exit_code"] for job in told["jobs"]] == [0, 0]
    assert not (tree / "primes/primes").exists()

"""`toft parallel` over real hosts. How fast it is, `make bench` measures."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Toft
from tests.lab.laboratory import Lab, system_names

NODES = 4


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


def test_a_hundred_run_once_each(four_toft: Toft) -> None:
    told = four_toft.json("parallel", "--independent", "--slots", "4", *["true"] * 100)
    assert [job["exit_code"] for job in told["jobs"]] == [0] * 100
    assert len({job["id"] for job in told["jobs"]}) == 100
    assert len({job["node"] for job in told["jobs"]}) == NODES


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

"""One process for many commands: upgrades under its feet, the same request many times, very many requests."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.asking import ask
from toft.fleet.warmth import warmth

from tests.command import Toft, until
from tests.faults.report import figure
from tests.faults.test_bytes import reach

ROOT = Path(__file__).parents[2]
AT_ONCE = 20
REQUESTS, COMMANDS = 500, 30


@pytest.fixture
def warm(lab_toft: Toft) -> Iterator[Toft]:
    """The lab's command line, through an engine of its own."""
    lab_toft.warm = lab_toft.runtime
    yield lab_toft
    until(lambda: lab_toft("engine", "stop").returncode == 0 and not pids(lab_toft), what="the engine's end")


def pids(toft: Toft) -> list[int]:
    engine = toft.json("engine", "status")["engine"]
    return [engine["pid"]] if engine else []


def test_one_id_many_times_at_once_is_one_start(lab_toft: Toft, lab) -> None:
    """Promise 33."""
    node, transport = lab.hosts["n1"], reach(lab, "n1")
    node.run("rm -f /tmp/started")
    job = {"id": "j33once", "argv": None, "shell": "echo x >> /tmp/started; sleep 1", "cwd": None, "workdir": None}
    job |= {"env": {}, "timeout_s": None, "stdin": "none", "tty": None}

    def asked(request: dict[str, Any]) -> dict[str, Any]:
        answer = ask(transport, request, deadline=time.monotonic() + 60)
        assert isinstance(answer, dict), answer
        assert answer["ok"], answer
        return answer

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: asked({"verb": "start", "job": job}), range(AT_ONCE)))
    told = Counter("already" if answer["already"] else "started" for answer in answers)
    until(lambda: asked({"verb": "state", "ids": ["j33once"]})["records"][0]["state"] == "exited")
    starts = node.do("cat /tmp/started").count("x")
    figure(33, f"one id {AT_ONCE} times at once: {starts} start; {told['already']} were told that it runs already")
    assert starts == 1
    assert told == {"started": 1, "already": AT_ONCE - 1}


def test_an_upgrade_in_the_middle_of_a_job(warm: Toft, lab, tmp_path: Path) -> None:
    """Promise 20: a job that an older toft started, and one that it follows, are a newer one's as well."""
    installed = tmp_path / "installed"
    shutil.copytree(ROOT / "wrapper/toft", installed / "toft", ignore=shutil.ignore_patterns("__pycache__"))
    collections = "collection/ansible_collections"
    shutil.copytree(ROOT / collections, installed / "ansible_collections", symlinks=True)
    warm.env["PYTHONPATH"] = str(installed)
    node = lab.hosts["n1"]
    node.run("rm -f /tmp/go")
    line = "echo one; while [ ! -e /tmp/go ]; do sleep .1; done; echo two; exit 3"
    job = warm("offload", "--detach", "n1", "--", "sh", "-c", line).stdout.decode().strip()
    (before,) = until(lambda: pids(warm), what="an engine")
    followed = warm.begin("attach", job)
    assert followed.stdout
    assert followed.stdout.readline() == b"one\n"
    for file in (*installed.glob("toft/**/*.py"), *installed.glob("ansible_collections/toft/fleet/plugins/**/*.py")):
        file.write_text(file.read_text() + "\nUPGRADED = True\n")
    later = warm.begin("attach", job)
    assert later.stdout
    assert later.stdout.readline() == b"one\n"
    node.run("touch /tmp/go")
    for process in (followed, later):
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == (b"two\n", 3), err
    until(lambda: not Path(f"/proc/{before}").exists(), what="the old engine's end")
    (after,) = until(lambda: warm("route", "--declared", "true") and pids(warm), what="another engine")
    assert after != before
    figure(20, "upgraded under a running job: followed before and after, both to its end; the engine was replaced")


def test_very_many_requests_leave_nothing_behind(warm: Toft) -> None:
    """Promise 35: what one process holds does not grow with what went through it."""
    warm("route", "--declared", "true")
    (pid,) = until(lambda: pids(warm), what="an engine")
    for _ in range(20):
        assert warmth(warm.environment).told, "a first round, for what is made once"
    before = settled(pid)
    for _ in range(REQUESTS):
        told = warmth(warm.environment).told
        assert told
        assert told["pid"] == pid
    for n in range(COMMANDS):
        done = warm("offload", "n1", "echo", str(n)) if n % 3 == 0 else warm("route", "--declared", "true")
        assert done.returncode == 0, done.stderr
    (same,) = pids(warm)
    assert same == pid
    after = settled(pid)
    figure(
        35,
        f"{REQUESTS} requests and {COMMANDS} commands through one engine: descriptors {before[0]} -> {after[0]}, "
        f"memory {before[1] >> 10} -> {after[1] >> 10} KiB, zombies {after[2]}",
    )
    assert after[0] == before[0]
    assert after[1] - before[1] <= 1 << 20


def settled(pid: int) -> tuple[int, int, int]:
    """What it holds when nothing runs in it."""
    found: tuple[int, int, int] = until(lambda: now if not (now := held(pid))[2] else None, what="all children's end")
    return found


def held(pid: int) -> tuple[int, int, int]:
    """Descriptors, bytes of its own memory, children (zombies as well)."""
    root = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (root / "status").read_text().splitlines())
    children = (root / f"task/{pid}/children").read_text().split()
    return len(list((root / "fd").iterdir())), int(status["RssAnon"].split()[0]) << 10, len(children)

"""The node program's verbs, one session or many at once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import frames

from tests.collection.node_sessions import Node, alive, eventually, node_for


def test_ping_says_who_answers(node: Node) -> None:
    answer = node.ask(verb="ping")
    assert answer["ok"]
    assert answer["protocol"] == 1
    assert answer["jobs"] == str(node.root)
    assert answer["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_ping_leaves_nothing_behind(node: Node) -> None:
    node.ask(verb="ping")
    node.ask(verb="state", ids=["j123"])
    node.ask(verb="list")
    assert not node.root.exists()
    assert list(node.home.iterdir()) == []


def test_start_answers_with_the_running_job(node: Node) -> None:
    job = node.job("sleep", "60", cwd="/usr")
    answer = node.start(job)
    assert (answer["ok"], answer["already"], answer["login"]) == (True, False, "captured")
    record = answer["record"]
    assert record["state"] == "running"
    assert record["command"] == "sleep 60"
    assert record["cwd"] == "/usr"
    os.kill(record["pid"], 0)
    assert (node.root / job["id"] / "live").read_text().strip() == record["boot_id"]
    assert node.ask(verb="signal", id=job["id"], signal="TERM")["ok"]
    eventually(lambda: node.record(job["id"])["state"] == "signaled", "it has ended")
    assert not (node.root / job["id"] / "live").exists()


def test_the_same_id_again_is_the_same_job(node: Node) -> None:
    job = node.job("sh", "-c", f"echo x >> {node.home}/ran; exit 5")
    node.run_job(job)
    again = node.start(job)
    assert (again["ok"], again["already"]) == (True, True)
    assert (again["record"]["state"], again["record"]["exit_code"]) == ("exited", 5)
    assert (node.home / "ran").read_text() == "x\n"


def test_twenty_starts_at_once_start_one(node: Node) -> None:
    job = node.job("sh", "-c", f"echo x >> {node.home}/ran; sleep 60")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(node.start, [job] * 20))
    assert all(answer["ok"] for answer in answers)
    assert sorted(answer["already"] for answer in answers) == [False] + [True] * 19
    assert len({answer["record"]["pid"] for answer in answers} - {None}) == 1
    eventually((node.home / "ran").exists, "it ran")
    assert node.ask(verb="signal", id=job["id"], signal="KILL")["ok"]
    assert (node.home / "ran").read_text() == "x\n"
    assert os.listdir(node.root) == [job["id"]]


def ended(node: Node, job: dict[str, Any]) -> None:
    assert node.ask(verb="signal", id=job["id"], signal="KILL")["ok"]
    eventually(lambda: node.record(job["id"])["state"] == "signaled", "it has ended")


def test_of_many_starts_at_once_only_so_many_are_let_in(node: Node) -> None:
    asked = [node.job("sleep", "60", slots=3) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(node.start, asked))
    let_in = [job for job, answer in zip(asked, answers, strict=True) if answer["ok"]]
    assert len(let_in) == 3
    assert {answer["error"]["code"] for answer in answers if not answer["ok"]} == {"no_slot"}
    assert sorted(os.listdir(node.root)) == sorted(job["id"] for job in let_in), "a refused id is still free"
    one = node.start(node.job("true"))
    assert one["ok"], "who asks for no number is not counted against one"
    for job in let_in:
        ended(node, job)


def test_a_start_waits_for_its_turn(node: Node) -> None:
    first, second = (node.job("sleep", "60", slots=1) for _ in range(2))
    assert node.start(first)["ok"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(node.start, second)
        ended(node, first)
        assert waiting.result()["ok"]
    ended(node, second)


def test_the_same_id_needs_one_slot_however_often_it_is_asked_for(node: Node) -> None:
    job = node.job("sleep", "60", slots=1)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(node.start, [job] * 6))
    assert [answer["ok"] for answer in answers] == [True] * 6, answers
    assert sorted(answer["already"] for answer in answers) == [False] + [True] * 5
    ended(node, job)


def test_a_supervisor_that_was_killed_takes_no_slot(node: Node) -> None:
    job = node.job("sleep", "60", slots=1)
    command = node.start(job)["record"]["pid"]
    fields = Path(f"/proc/{command}/stat").read_text().rpartition(")")[2].split()
    os.kill(int(fields[1]), signal.SIGKILL)
    eventually(lambda: node.record(job["id"])["state"] == "unknown", "nobody looks after it")
    after = node.job("true", slots=1)
    assert node.start(after)["ok"]
    eventually(lambda: not alive(command), "the command does not live on uncontrolled")


@pytest.mark.parametrize("slots", [0, -1, 1.5, "2", True])
def test_slots_are_a_whole_number(node: Node, slots: object) -> None:
    assert node.start(node.job("true", slots=slots))["error"]["code"] == "bad_request"


def test_several_requests_share_a_session(node: Node) -> None:
    session = node.session({"verb": "ping"}, {"verb": "list"})
    assert session.answer()["protocol"] == 1
    assert session.answer()["records"] == []
    assert session.ask({"verb": "ping"})["ok"]
    assert session.close() == 0


def test_states_come_in_the_asked_order(node: Node) -> None:
    done = node.job("true")
    node.run_job(done)
    records = node.ask(verb="state", ids=["j-unknown", done["id"]])["records"]
    assert [record["id"] for record in records] == ["j-unknown", done["id"]]
    assert records[0]["state"] == "not_started"
    assert records[0]["error"]["code"] == "never_seen"
    assert records[1]["state"] == "exited"


def test_a_cancelled_id_never_starts(node: Node) -> None:
    job = node.job("touch", str(node.home / "ran"))
    record = node.ask(verb="cancel", ids=[job["id"]])["records"][0]
    assert record["state"] == "not_started"
    answer = node.start(job)
    assert (answer["ok"], answer["error"]["code"]) == (False, "cancelled")
    assert not (node.home / "ran").exists()
    assert node.ask(verb="list")["records"] == []


def test_cancel_only_reports_a_job_that_is_there(node: Node) -> None:
    job = node.job("sleep", "60")
    node.start(job)
    assert node.ask(verb="cancel", ids=[job["id"]])["records"][0]["state"] == "running"
    node.ask(verb="signal", id=job["id"], signal="KILL")
    eventually(lambda: node.record(job["id"])["state"] == "signaled", "it has ended")


def test_cancel_or_start_wins_never_both(node: Node) -> None:
    for _ in range(5):
        job = node.job("sh", "-c", f"echo x >> {node.home}/ran-{node.id()}")
        with ThreadPoolExecutor(2) as pool:
            started = pool.submit(node.start, job)
            cancelled = pool.submit(node.ask, verb="cancel", ids=[job["id"]])
        refused = not started.result()["ok"]
        tomb = (cancelled.result()["records"][0]["error"] or {}).get("code") == "cancelled"
        assert refused == tomb
        ended = node.record(job["id"])["state"]
        assert ended == ("not_started" if refused else ended)
        if not refused:
            eventually(lambda i=job["id"]: node.record(i)["state"] == "exited", "it has ended")


def test_remove_takes_only_what_has_ended(node: Node) -> None:
    done, running = node.job("true"), node.job("sleep", "60")
    node.run_job(done)
    node.start(running)
    answer = node.ask(verb="remove", ids=[done["id"], running["id"], "j-unknown"])
    assert answer["removed"] == [done["id"]]
    assert {name: why["code"] for name, why in answer["refused"].items()} == {
        running["id"]: "still_running",
        "j-unknown": "never_seen",
    }
    assert os.listdir(node.root) == [running["id"]]
    node.ask(verb="signal", id=running["id"], signal="KILL")
    eventually(lambda: node.record(running["id"])["state"] == "signaled", "it has ended")


def test_a_signal_for_a_job_that_has_ended_is_refused(node: Node) -> None:
    done = node.job("true")
    node.run_job(done)
    assert node.ask(verb="signal", id=done["id"], signal="TERM")["error"]["code"] == "not_running"
    assert node.ask(verb="signal", id="j-unknown", signal="TERM")["error"]["code"] == "not_running"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"verb": "start", "job": {"id": "../x", "argv": ["true"]}}, "bad_id"),
    ({"verb": "start", "job": {"id": "j123"}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": []}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": "true"}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a\0b"]}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "shell": "a"}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "env": {"A=B": "c"}}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "env": {"A": 5}}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "timeout_s": 0}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "stdin": "file"}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "tty": 1}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "tty": {"rows": "x"}}}, "bad_request"),
    ({"verb": "start", "job": {"id": "j123", "argv": ["a"], "tty": {"term": 5}}}, "bad_request"),
    ({"verb": "start"}, "bad_request"),
    ({"verb": "follow", "id": "j-unknown"}, "never_seen"),
    ({"verb": "follow", "id": "../../etc"}, "bad_id"),
    ({"verb": "state", "ids": ["../x"]}, "bad_id"),
    ({"verb": "signal", "id": "j123", "signal": "NONE"}, "bad_request"),
    ({"verb": "remove"}, "bad_request"),
    ({"verb": "dance"}, "bad_request"),
    ({}, "bad_request"),
]


def test_what_makes_no_sense_is_refused_by_name(node: Node) -> None:
    session = node.session()
    for request, code in WRONG:
        answer = session.ask(request)
        assert (answer["ok"], answer["error"]["code"]) == (False, code), request
    assert session.ask({"verb": "ping"})["ok"]
    assert session.close() == 0


def test_frames_out_of_place_are_ignored(node: Node) -> None:
    session = node.session()
    session.send(b"H\0\0\0\0" + b"K\0\0\0\3INT")
    assert session.ask({"verb": "ping"})["ok"]


def test_what_is_no_frame_ends_the_session(node: Node) -> None:
    session = node.session({"verb": "ping"})
    assert session.answer()["ok"]
    session.send(b"GET / HTTP/1.1\r\n\r\n")
    assert session.next() is None
    assert session.close() == 0


def test_values_of_variables_never_touch_the_disk(node: Node) -> None:
    job = node.job("sh", "-c", "exit ${#SECRET}", env={"SECRET": "canary-value"})
    assert node.run_job(job).record["exit_code"] == len("canary-value")
    for path in node.root.rglob("*"):
        if path.is_file():
            assert b"canary-value" not in path.read_bytes(), path
    assert b"SECRET" in (node.root / job["id"] / "record.json").read_bytes()


def test_a_home_of_somebody_elses_is_not_used(node: Node, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give a directory away")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 1234, 1234)
    node.env["HOME"] = str(theirs)
    outcome = node.run("sh", "-c", "echo $HOME")
    assert outcome.stdout.strip() == b"/root"
    assert list(theirs.iterdir()) == []


def test_without_a_state_directory_it_is_in_the_home(node: Node) -> None:
    del node.env["XDG_STATE_HOME"]
    assert node.ask(verb="ping")["jobs"] == str(node.home / ".local" / "state" / "toft" / "jobs")


def test_a_start_whose_client_vanished_is_done_all_the_same(node: Node) -> None:
    job = node.job("sleep", "60")
    session = node.session({"verb": "ping"})
    session.answer()
    session.send(frames.message(frames.REQUEST, {"verb": "start", "job": job}))
    session.process.stdout.close()  # type: ignore[union-attr]
    session.process.stdin.close()  # type: ignore[union-attr]
    session.process.wait(10)
    assert node.record(job["id"])["state"] == "running"
    node.ask(verb="signal", id=job["id"], signal="KILL")
    eventually(lambda: node.record(job["id"])["state"] == "signaled", "it has ended")


def test_interrupting_the_node_program_does_not_tear_a_start(node: Node) -> None:
    session = node.session({"verb": "ping"})
    session.answer()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        session.process.send_signal(number)
    assert session.ask({"verb": "ping"})["ok"]


def test_the_session_holds_nothing_of_a_started_job(node: Node) -> None:
    job = node.job("sleep", "60")
    session = node.session({"verb": "start", "job": job})
    session.answer()
    begun = time.monotonic()
    assert session.close() == 0
    assert time.monotonic() - begun < 5
    supervisor = node.supervisor(job["id"])
    ours = {os.readlink(f"/proc/{supervisor}/fd/{fd}") for fd in (0, 1, 2)}
    assert ours == {"/dev/null"}
    assert os.getsid(supervisor) != os.getsid(0)
    node.ask(verb="signal", id=job["id"], signal="KILL")
    eventually(lambda: node.record(job["id"])["state"] == "signaled", "it has ended")


def test_killed_at_any_moment_of_a_start_it_ran_at_most_once(node: Node) -> None:
    node.run("true")
    chosen = random.Random(16)
    moment, were_there = 0.05, set()
    for number in range(25):
        ran = node.home / f"ran-{number}"
        job = node.job("sh", "-c", f"echo x >> {ran}")
        session = node.session({"verb": "start", "job": job})
        # Around the moment at which it does something that lasts, whenever that is on this machine.
        time.sleep(moment * chosen.uniform(0.7, 1.4))
        session.kill()
        there = node.start(job)["already"]
        were_there.add(there)
        moment *= 0.7 if there else 1.4
        eventually(lambda i=job["id"]: node.record(i)["state"] != "running", "it has ended")
        ended = node.record(job["id"])
        if ended["state"] == "not_started":
            assert ended["error"]["code"] == "never_spawned"
            assert not ran.exists()
        else:
            assert (ended["state"], ran.read_text()) == ("exited", "x\n")
    assert len(jobs_of(node)) == 26
    assert were_there == {False, True}, "some were killed before and some after it, or this tests nothing"


def jobs_of(node: Node) -> list[dict[str, Any]]:
    records = node.ask(verb="list")["records"]
    assert isinstance(records, list)
    return records


@pytest.fixture
def poor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Node]]:
    """A node of a user who may have few processes or few descriptors."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    folder = Path(tempfile.mkdtemp(prefix="toft-poor-", dir="/tmp"))
    folder.chmod(0o755)
    nodes = []

    def make(*limits: str) -> Node:
        made = node_for(folder, python="/usr/bin/python3")
        nodes.append(made)
        node = next(made)
        for path in (folder, node.home):
            os.chown(path, 4321, 4321)
        user = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"]
        node.prefix = [*user, "prlimit", *limits, "--"]
        return node

    yield make
    for made in nodes:
        next(made, None)
    shutil.rmtree(folder)


def test_a_user_without_a_home_and_a_name(poor: Callable[..., Node]) -> None:
    node = poor()
    del node.env["HOME"], node.env["XDG_STATE_HOME"]
    node.env["TOFT_TEST"] = str(node.home)
    node.root = Path("/var/tmp/toft-4321/jobs")
    try:
        assert node.ask(verb="ping")["jobs"] == str(node.root)
        assert stat.S_IMODE(node.root.parent.stat().st_mode) == 0o700
        job = node.job("sh", "-c", "pwd; echo ${HOME-unset}")
        job["env"]["TOFT_TEST"] = str(node.home)
        assert node.run_job(job).stdout == b"/\nunset\n"
    finally:
        shutil.rmtree(node.root.parent)


@pytest.mark.parametrize("most", range(1, 5))
def test_few_processes_are_a_clean_error(poor: Callable[..., Node], most: int) -> None:
    node = poor(f"--nproc={most}")
    job = node.job("sh", "-c", f"echo x > {node.home}/ran")
    answer = node.start(job)
    if answer["ok"]:
        eventually(lambda: node.record(job["id"])["state"] != "running", "it has ended")
        error = node.record(job["id"])["error"]
    else:
        error = answer["error"]
    # Two are this program and what it forks; the command is a third, or a fourth if it is quick.
    assert most > 2 or error is not None
    assert error is None or error["code"] == "no_process"
    assert (node.home / "ran").exists() == (error is None)


def test_few_descriptors_are_a_clean_error(poor: Callable[..., Node]) -> None:
    node = poor()
    node.run("true")
    seen = set()
    for most in range(4, 24):
        node.prefix[node.prefix.index("prlimit") + 1 :] = [f"--nofile={most}", "--"]
        ran = node.home / f"ran-{most}"
        job = node.job("sh", "-c", f"echo x > {ran}")
        try:
            answer = node.start(job)
        except AssertionError:
            seen.add("no program")  # not even Python can start
            continue
        node.prefix[node.prefix.index("prlimit") + 1 :] = ["--"]
        eventually(lambda i=job["id"]: node.record(i)["state"] != "running", "it has ended")
        record = node.record(job["id"])
        error = record["error"] if answer["ok"] else answer["error"]
        seen.add(error["code"] if error else record["state"])
        assert ran.exists() == (record["state"] == "exited"), (most, answer, record)
    assert seen <= {"no program", "no_files", "no_process", "exited"}, seen
    assert {"no_files", "exited"} <= seen

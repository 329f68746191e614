"""`toft parallel` as a person runs it, on this machine as a fleet of one."""

from __future__ import annotations

import os
import pty
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest
from toft.cli.parallel_view import shared

from tests.command import Toft, until

EDGE = {"before", "after", "because"}
JOB = {"id", "command", "node", "reason", "state", "exit_code", "signal", "origin", "cwd", "started_at", "ended_at"}


def test_the_contracts_json(toft: Toft) -> None:
    told = toft.json("parallel", "echo 1 > one", "cat one")
    assert set(told) == {"jobs", "edges", "wall_s", "sequential_s", "speedup"}
    assert [job["number"] for job in told["jobs"]] == [1, 2]
    assert all(set(job) >= JOB for job in told["jobs"])
    (edge,) = told["edges"]
    assert set(edge) >= EDGE
    assert (edge["before"], edge["after"]) == (1, 2)
    one, two = told["jobs"]
    assert one["ended_at"] <= two["started_at"], "the one that reads waits for the one that writes"
    assert two["exit_code"] == 0
    assert told["sequential_s"] == pytest.approx(one["duration_s"] + two["duration_s"], abs=0.01)


def test_lines_are_marked_and_keep_their_stream(toft: Toft) -> None:
    done = toft("parallel", "printf 'a\\nb'", "echo c >&2")
    assert done.returncode == 0
    node = toft.json("status")["nodes"][0]["name"].encode()
    assert sorted(done.stdout.splitlines()) == [b"[1 " + node + b"] a", b"[1 " + node + b"] b"]
    assert b"[2 " + node + b"] c" in done.stderr.splitlines()
    assert b"2 of 2 ok" in done.stderr


def test_quiet_leaves_only_what_the_commands_say(toft: Toft) -> None:
    done = toft("-q", "parallel", "echo a", "exit 3")
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.endswith(b"] a\n")


def test_bytes_that_are_no_text_come_through(toft: Toft) -> None:
    done = toft("-q", "parallel", "printf '\\377\\000\\r x\\n'", "true")
    assert done.stdout.endswith(b"] \xff\x00\r x\n")


ENDS = ((["true", "true"], 0), (["true", "exit 7"], 1), (["kill -9 $$"], 1), (["false", "sleep 0"], 1))


@pytest.mark.parametrize(("commands", "code"), ENDS)
def test_exit_codes(toft: Toft, commands: list[str], code: int) -> None:
    assert toft("parallel", *commands).returncode == code


def test_what_needs_a_failed_one_is_not_started(toft: Toft) -> None:
    told = toft.json("parallel", "touch x; exit 4", "cat x", "echo other")
    one, two, three = told["jobs"]
    assert (one["exit_code"], two["state"], two["exit_code"], three["exit_code"]) == (4, "not_started", 125, 0)
    assert "1 failed" in two["error"]


def test_a_command_is_never_templated_or_split(toft: Toft) -> None:
    canary = "echo '{{ 7*7 }} {% x %} $HOME'; echo \"a  b\""
    done = toft("-q", "parallel", canary, "true")
    assert [line.split(b"] ", 1)[1] for line in done.stdout.splitlines()] == [b"{{ 7*7 }} {% x %} $HOME", b"a  b"]


def test_timeout(toft: Toft) -> None:
    told = toft.json("parallel", "--timeout", "3", "sleep 60", "true")
    assert [(job["state"], job["exit_code"]) for job in told["jobs"]] == [("timed_out", 124), ("exited", 0)]


def test_fail_fast_ends_the_others(toft: Toft) -> None:
    begun = time.monotonic()
    told = toft.json("parallel", "--fail-fast", "--slots", "2", "sleep 120", "exit 3", "touch never")
    assert time.monotonic() - begun < 60
    long, failed, never = told["jobs"]
    assert (long["state"], failed["exit_code"], never["state"]) == ("signaled", 3, "not_started")


def test_slots(toft: Toft) -> None:
    told = toft.json("parallel", "--slots", "1", "sleep 0.3", "sleep 0.3", "sleep 0.3")
    spans = sorted((job["started_at"], job["ended_at"]) for job in told["jobs"])
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_after_and_independent(toft: Toft) -> None:
    told = toft.json("parallel", "--after", "1:2,3", "true", "true", "true")
    assert {(e["before"], e["after"]) for e in told["edges"]} == {(2, 1), (3, 1)}
    assert toft.json("parallel", "--independent", "touch x", "cat /dev/null x || true")["edges"] == []
    for wrong in ("2", "2:2", "9:1", "x:y"):
        assert toft("parallel", "--after", wrong, "true", "true").returncode == 2
    assert toft("parallel", "--after", "1:2", "--after", "2:1", "true", "true").returncode == 2
    assert toft("parallel", "").returncode == 2


def test_the_plan_runs_nothing(toft: Toft, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    done = toft("parallel", "--dry-run", f"touch {mark}", f"cat {mark}")
    assert done.returncode == 0
    assert not mark.exists()
    assert b"2 after 1: 2 needs" in done.stdout
    told = toft.json("parallel", "--dry-run", "sleep 1", "sleep 2")
    assert told["edges"] == []
    assert [job["state"] for job in told["jobs"]] == ["queued", "queued"]
    assert toft.jobs() == []
    assert (
        b"no dependency, no shared file written, different target directories"
        in toft("parallel", "--dry-run", "true", "true").stdout
    )


def test_resume_runs_what_failed_or_is_missing(toft: Toft, tmp_path: Path) -> None:
    log, flag = tmp_path / "log", tmp_path / "flag"
    commands = (f"echo once >> {tmp_path}/count", f"test -e {flag}", "true")
    assert toft("parallel", "--independent", "--joblog", str(log), *commands).returncode == 1
    assert len(log.read_text().splitlines()) == 4
    flag.touch()
    told = toft.json("parallel", "--independent", "--resume", str(log), *commands)
    assert [job["number"] for job in told["jobs"]] == [2]
    assert (tmp_path / "count").read_text() == "once\n"
    assert toft("parallel", "--independent", "--resume", str(log), *commands).returncode == 0
    assert toft("parallel", "--resume", str(log), "other").returncode == 2


def test_what_nobody_knows_the_end_of_is_not_run_again(toft: Toft, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Seq\tHost\n1\tn1\t1\t1\t0\t0\t-1\t0\ttouch never\n")
    done = toft("parallel", "--resume", str(log), "touch never", "true")
    assert done.returncode == 0
    assert b"1 is not run again" in done.stderr


def test_the_timeline_is_one_page(toft: Toft, tmp_path: Path) -> None:
    page = tmp_path / "t.html"
    assert toft("parallel", "--timeline", str(page), "echo '<script>'", "true").returncode == 0
    assert "<script>" not in page.read_text()
    assert "&lt;script&gt;" in page.read_text()


def test_what_was_learned_is_used(toft: Toft) -> None:
    assert not any(job["known"] for job in toft.json("parallel", "--dry-run", "sleep 0.5", "true")["jobs"])
    toft("parallel", "sleep 0.5", "true")
    long, short = toft.json("parallel", "--dry-run", "sleep 0.5", "true")["jobs"]
    assert long["known"]
    assert long["duration_s"] >= 0.5
    assert short["duration_s"] < long["duration_s"]


def test_an_interrupt_ends_what_runs_and_starts_nothing_more(toft: Toft) -> None:
    process = toft.begin("--json", "parallel", "--slots", "1", "sleep 300", "touch never")
    until(lambda: any(job["state"] == "running" for job in toft.jobs()), what="a start")
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 1
    states = {" ".join(job["command"]): job["state"] for job in toft.jobs()}
    assert states == {"sleep 300": "signaled", "touch never": "not_started"}


def test_a_hangup_leaves_it_running(toft: Toft, tmp_path: Path) -> None:
    go = tmp_path / "go"
    process = toft.begin("parallel", f"while [ ! -e {go} ]; do sleep .1; done; echo end")
    until(lambda: any(job["state"] == "running" for job in toft.jobs()), what="a start")
    os.kill(process.pid, signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 255
    go.touch()
    (job,) = until(lambda: [job for job in toft.jobs() if job["state"] == "exited"], what="its end")
    assert job["exit_code"] == 0


def test_on_a_terminal_each_command_has_a_line_and_its_output_stands_above(toft: Toft) -> None:
    ours, theirs = pty.openpty()
    process = toft.begin("parallel", "sleep 1; echo out; printf '\\033[2Jx\\n'", "false", stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:
        pass
    os.close(ours)
    assert process.wait(timeout=30) == 1
    assert b"\x1b[J" in seen
    assert b"sleep 1; echo out" in seen
    assert b"out\r\n" in seen
    assert b"1 of 2 ok, 1 failed" in seen


@pytest.mark.parametrize(
    ("command", "last", "shown"),
    [
        ("make", "", "make"),
        ("make", "cc a.c", "make  cc a.c"),
        ("make " + "x" * 40, "cc a.c", "make xxxxxxxxxxxxxxxx…  cc a.c"),
        ("make " + "x" * 40, "cc " + "y" * 40, "make xxxxxxxxx…  cc yyyyyyyyy…"),
        ("make " + "x" * 40, "", "make " + "x" * 24 + "…"),
    ],
)
def test_a_long_command_leaves_room_for_what_it_says(command: str, last: str, shown: str) -> None:
    assert shared(command, last, 30) == shown


def test_help_begins_with_examples(toft: Toft) -> None:
    shown = toft("parallel", "--help").stdout.decode()
    assert shown.index("toft parallel pytest") < shown.index("--joblog")

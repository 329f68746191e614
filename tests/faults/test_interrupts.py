"""Ctrl-C once, twice, three times; TERM; HUP: nothing survives unsaid."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from tests.command import Toft, until
from tests.faults.report import figure
from tests.faults.test_connectivity import Reader

STUBBORN = "trap '' INT TERM; echo up; while :; do sleep 0.2; done"


def start(toft: Toft, script: str):
    process = toft.begin("offload", "n1", "--", "bash", "-c", script)
    out, err = Reader(process.stdout), Reader(process.stderr)
    until(lambda: b"up" in out.data, what="the job's first word")
    return process, out, err


def interrupt(process, number: int = signal.SIGINT) -> None:
    os.kill(process.pid, number)


def running(host, pattern: str) -> bool:
    return host.run(["pgrep", "-f", pattern]).returncode == 0


def test_once_is_int(lab_toft: Toft, lab) -> None:
    process, out, _ = start(lab_toft, "trap 'echo caught; exit 9' INT; echo up; while :; do sleep 0.1; done")
    interrupt(process)
    assert process.wait(10) == 9
    out.join(5)
    assert out.data == b"up\ncaught\n"


def test_an_untrapped_int_ends_it_by_signal(lab_toft: Toft) -> None:
    process, _, _ = start(lab_toft, "echo up; exec sleep 60")
    interrupt(process)
    assert process.wait(10) == 130


def test_twice_is_kill(lab_toft: Toft, lab) -> None:
    process, _, _ = start(lab_toft, STUBBORN)
    interrupt(process)
    with pytest.raises(Exception, match="timed out"):
        process.wait(1.5)
    interrupt(process)
    assert process.wait(10) == 137
    assert not running(lab.hosts["n1"], "trap '' INT")


def test_three_times_lets_go_and_says_so(lab_toft: Toft, lab) -> None:
    """The node is frozen, so that not even KILL gets through: then we may still leave."""
    process, out, err = start(lab_toft, "trap 'echo caught' INT; echo up; while :; do sleep 0.1; done")
    interrupt(process)
    until(lambda: b"caught" in out.data, what="the first INT at the job")
    with lab.hosts["n1"].freeze():
        interrupt(process)
        time.sleep(1.5)  # signals that wait to be handled are one
        interrupt(process)
        assert process.wait(20) == 255
        err.join(5)
    job_id = re.search(rb"\bj[a-z0-9]{10}\b", err.data)
    assert job_id, err.data
    figure(29, "INT, KILL, let go: as promised; the id is said")
    assert lab_toft("kill", "--signal", "KILL", job_id[0].decode()).returncode in (0, 1)


def test_term_is_passed_on(lab_toft: Toft) -> None:
    process, _, _ = start(lab_toft, "echo up; exec sleep 60")
    interrupt(process, signal.SIGTERM)
    assert process.wait(10) == 143


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_hup_and_quit_leave_it_running(lab_toft: Toft, lab, number: int) -> None:
    host = lab.hosts["n1"]
    host.run("rm -f /tmp/through")
    process, _, err = start(lab_toft, "echo up; while [ ! -e /tmp/through ]; do sleep 0.1; done; echo through")
    interrupt(process, number)
    assert process.wait(10) == 255
    err.join(5)
    host.run("touch /tmp/through")
    job_id = re.search(rb"\bj[a-z0-9]{10}\b", err.data)[0].decode()
    done = lab_toft("attach", job_id)
    assert (done.returncode, done.stdout) == (0, b"up\nthrough\n")


def test_survivors_are_said(lab_toft: Toft, lab) -> None:
    done = lab_toft("offload", "n1", "--", "sh", "-c", "sleep 30 & echo $!")
    pid = done.stdout.decode().strip()
    assert done.returncode == 0
    assert pid in done.stderr.decode()
    lab.hosts["n1"].run(["kill", pid])


def test_an_interrupt_before_the_start_starts_nothing(lab_toft: Toft, lab) -> None:
    lab.hosts["n1"].run("rm -f /tmp/too-late")
    with lab.hosts["n1"].freeze():
        process = lab_toft.begin("offload", "n1", "touch", "/tmp/too-late")
        err = Reader(process.stderr)
        until(lambda: list((lab_toft.home / "state/toft/runs").glob("j*")), what="the run")
        interrupt(process)
        assert process.wait(20) == 130, err.data
    (job,) = [job for job in lab_toft.jobs() if job["command"][-1] == "/tmp/too-late"]
    assert job["state"] == "not_started"
    assert lab.hosts["n1"].run("test -e /tmp/too-late").returncode == 1

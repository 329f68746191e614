"""The machine that gives the orders dies in the middle."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.command import Toft, until
from tests.faults.report import figure

POINTS = 50


@pytest.mark.timeout(600)
def test_killed_at_any_point_it_ran_at_most_once_and_is_listed(lab_toft: Toft, lab) -> None:
    """Promise 16: kill -9 of the command at 50 random points of an offload.

    Each run leaves a mark on the node. A job that was started has exactly one mark and is listed with its end; a job
    that was not started has none, and never gets one.
    """
    host = lab.hosts["n1"]
    lab_toft("status")
    host.run("rm -rf /tmp/marks; mkdir -m 777 /tmp/marks")
    chance = random.Random(16)
    pending = []
    for n in range(POINTS):
        if n % 10 == 0:  # others may come and go on this machine
            begun = time.monotonic()
            assert lab_toft("offload", "n1", "true").returncode == 0
            usual = time.monotonic() - begun
        script = f"echo run >> /tmp/marks/{n}; sleep 1"
        process = lab_toft.begin("offload", "n1", "--", "sh", "-c", script)
        time.sleep(chance.uniform(0, usual * 1.2))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        pending.append(process)

    def settled() -> list[dict]:
        jobs = [job for job in lab_toft.jobs() if "marks" in " ".join(job["command"])]
        return jobs if all(job["state"] in ("exited", "not_started") for job in jobs) else []

    jobs = until(settled, within=60, every=1, what="an end of every job")
    time.sleep(2)
    marks = {n: int(host.run(f"cat /tmp/marks/{n} 2>/dev/null | wc -l").stdout) for n in range(POINTS)}
    started = {int(job["command"][-1].split("/")[3].split(";")[0]): job for job in jobs if job["state"] == "exited"}
    refused = {int(job["command"][-1].split("/")[3].split(";")[0]) for job in jobs if job["state"] == "not_started"}
    duplicates = sum(count > 1 for count in marks.values())
    orphans = sum(count > 0 and n not in started for n, count in marks.items())
    missing = sum(count == 0 and n in started for n, count in marks.items())
    figure(
        16,
        f"{POINTS} kills: {len(started)} ran once and are listed, {len(refused)} provably never ran, "
        f"{POINTS - len(jobs)} died before they had a record; duplicates {duplicates}, orphans {orphans}",
    )
    assert (duplicates, orphans, missing) == (0, 0, 0)
    assert started, "some must have got through, or this tests nothing"
    assert refused or len(jobs) < POINTS, "some must have been too early, or this tests nothing"
    assert {job["exit_code"] for job in started.values()} == {0}

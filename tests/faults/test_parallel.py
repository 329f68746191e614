"""Promises 3, 9, 10 and 19 for many commands at once."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest

from tests.command import Toft, until
from tests.faults.report import figure

PATIENCE = {"TOFT_RECONNECT_TIMEOUT": "10"}


def marks_of(lab, directory: str) -> dict[str, list[str]]:
    """Name of each mark, to the hosts that have it, as often as it was made."""
    found: dict[str, list[str]] = {}
    for host in lab.hosts.values():
        if host.is_on():
            shown = host.run(f"cd {directory} && grep -c '' * /dev/null").stdout
            for line in shown.splitlines():
                name, _, count = line.rpartition(":")
                found.setdefault(name, []).extend([host.name] * int(count))
    return {name: hosts for name, hosts in found.items() if hosts}


def prepared(lab, directory: str) -> None:
    for host in lab.hosts.values():
        host.run(f"rm -rf {directory}; mkdir -m 777 {directory}")


def test_a_node_that_is_switched_off_gives_back_what_never_started(lab_toft: Toft, lab) -> None:
    """Promise 9: what ran there is lost or unknown and never runs again by itself; the rest goes elsewhere."""
    lab_toft.env |= PATIENCE
    lab_toft("exec", "all", "true")
    prepared(lab, "/tmp/power")
    lab.each(lambda host: host.run("rm -f /tmp/power-go"))
    wait = "while [ ! -e /tmp/power-go ]; do sleep 0.1; done"
    commands = [f"echo x >> /tmp/power/{n}; {wait}" for n in range(9)]
    process = lab_toft.begin("--json", "parallel", "--slots", "1", "--independent", *commands)
    until(lambda: sum(job["state"] == "running" for job in lab_toft.jobs()) == 3, what="three that run")
    begun = time.monotonic()
    lab.hosts["n2"].power_cut()
    for name in ("n1", "n3"):
        lab.hosts[name].run("touch /tmp/power-go")
    out, err = process.communicate(timeout=120)
    told = json.loads(out)
    struck = [job for job in told["jobs"] if job["state"] in ("unknown", "lost")]
    others = [job for job in told["jobs"] if job not in struck]
    figure(
        9,
        f"1 of 3 nodes cut off under 9 commands: {len(struck)} {struck[0]['state']} on {struck[0]['node']}, "
        f"{len(others)} ended with 0 elsewhere, {time.monotonic() - begun:.1f} s later all was said",
    )
    assert process.returncode == 255, err
    assert [job["node"] for job in struck] == ["n2"]
    assert all((job["exit_code"], job["node"] in ("n1", "n3")) == (0, True) for job in others)
    marks = marks_of(lab, "/tmp/power")
    assert all(len(hosts) == 1 for hosts in marks.values()), marks
    assert len(marks) == 8, "the one that was struck ran nowhere else"


def test_a_node_that_is_off_from_the_start_costs_nobody_anything(lab_toft: Toft, lab) -> None:
    lab_toft("exec", "all", "true")
    lab.hosts["n3"].power_cut()
    told = lab_toft.json("parallel", *["sleep 0.2"] * 6)
    assert {job["node"] for job in told["jobs"]} == {"n1", "n2"}
    assert all(job["exit_code"] == 0 for job in told["jobs"])


def test_a_supervisor_that_is_killed_leaves_no_command_stuck(lab_toft: Toft, lab) -> None:
    """Promise 10, for one of several."""
    lab_toft("exec", "all", "true")
    process = lab_toft.begin("--json", "parallel", "--on", "n1,n2", "--independent", "sleep 25", "sleep 1", "sleep 2")
    until(lambda: any(j["state"] == "running" and j["command"] == ["sleep 25"] for j in lab_toft.jobs()))
    node = next(job["node"] for job in lab_toft.jobs() if job["command"] == ["sleep 25"])
    killed = (
        lab.hosts[node]
        .run("""python3 -c '
import os, glob
for path in glob.glob("/proc/[0-9]*/cmdline"):
    if open(path, "rb").read() == b"sleep\\x0025\\x00":
        fields = open(os.path.dirname(path) + "/stat").read().rpartition(")")[2].split()
        os.kill(int(fields[1]), 9)
        print("killed")
'""")
        .stdout
    )
    assert killed == "killed\n"
    out, _ = process.communicate(timeout=90)
    told = json.loads(out)
    states = {job["command"][0]: job["state"] for job in told["jobs"]}
    figure(10, f"supervisor killed under 1 of 3 commands: {states}")
    assert states["sleep 25"] == "unknown"
    assert (states["sleep 1"], states["sleep 2"]) == ("exited", "exited")


def test_killed_at_any_point_each_ran_at_most_once_and_is_listed(lab_toft: Toft, lab) -> None:
    """Promise 16 for a schedule: kill -9 of toft at 12 points, from its first record on."""
    lab_toft("exec", "all", "true")
    prepared(lab, "/tmp/kills")
    runs = lab_toft.home / "state/toft/runs"
    chance = random.Random(7)
    for n in range(12):
        words = [f"echo x >> /tmp/kills/{n}-{i}; sleep 0.3" for i in range(6)]
        known = set(runs.glob("j*"))
        process = lab_toft.begin("parallel", "--slots", "1", "--independent", *words)
        until(lambda known=known: set(runs.glob("j*")) - known, every=0.01, what="the first trace of a job")
        time.sleep(chance.uniform(0, 1.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def settled() -> list[dict]:
        jobs = [job for job in lab_toft.jobs() if "kills" in job["command"][0]]
        return jobs if all(job["state"] in ("exited", "not_started") for job in jobs) else []

    jobs = until(settled, within=60, every=1, what="an end of every job")
    time.sleep(1)
    marks = marks_of(lab, "/tmp/kills")
    ran = {job["command"][0].split("/")[3].split(";")[0] for job in jobs if job["state"] == "exited"}
    doubles = [name for name, hosts in marks.items() if len(hosts) > 1]
    orphans = sorted(set(marks) - ran)
    never = sum(job["state"] == "not_started" for job in jobs)
    told = f"doubles {len(doubles)}, orphans {len(orphans)}"
    figure(16, f"parallel killed 12 times: {len(ran)} ran once, {never} provably never; {told}")
    assert (doubles, orphans) == ([], [])
    assert ran
    assert never


def test_one_way_loss_while_starting_never_starts_twice(lab_toft: Toft, lab) -> None:
    """Promise 3: answers of a node are lost while its commands are being started."""
    lab_toft.env |= PATIENCE
    lab_toft("exec", "all", "true")
    prepared(lab, "/tmp/oneway")
    words = [f"echo x >> /tmp/oneway/{n}; sleep 0.5" for n in range(12)]
    process = lab_toft.begin("--json", "parallel", "--slots", "2", "--independent", *words)
    until(lambda: lab.hosts["n1"].run("ls /tmp/oneway").stdout, every=0.02, what="a start")
    with lab.hosts["n1"].cut("out"):
        time.sleep(6)
    out, err = process.communicate(timeout=180)
    marks = marks_of(lab, "/tmp/oneway")
    doubles = [name for name, hosts in marks.items() if len(hosts) > 1]
    figure(3, f"12 commands while one node's answers were lost for 6 s: {len(marks)} ran, {len(doubles)} of them twice")
    assert doubles == []
    assert len(marks) == 12, marks
    assert process.returncode == 0, err
    assert [(job["state"], job["exit_code"]) for job in json.loads(out)["jobs"]] == [("exited", 0)] * 12


def overlap_of(marks: str) -> tuple[int, int]:
    """The most commands that ran at once by their own marks (`+ NANOSECONDS`, `- NANOSECONDS`), and how many ran."""
    events = sorted((int(at), 1 if sign == "+" else -1) for sign, at in map(str.split, marks.splitlines()))
    most = now = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most, sum(change > 0 for _, change in events)


@pytest.mark.parametrize("slots", [1, 2])
def test_two_controllers_at_once_respect_the_slots_of_a_node(lab_toft: Toft, lab, tmp_path, slots: int) -> None:
    """Promise 19: two persons' toft, each with records of its own, ask the same two nodes in the same moment."""
    other = Toft(tmp_path / "other", lab.inventory)
    try:
        for each in (lab_toft, other):
            each("exec", "n1,n2", "true")
        prepared(lab, "/tmp/slots")
        mark = "echo {sign} $(date +%s%N) >> /tmp/slots/marks"
        words = [f"{mark.format(sign='+')}; sleep 0.4; {mark.format(sign='-')}; : {n}" for n in range(12)]
        asked = ["--json", "parallel", "--on", "n1,n2", "--slots", str(slots), "--independent", *words]
        begun = time.monotonic()
        both = [each.begin(*asked) for each in (lab_toft, other)]
        told = [json.loads(process.communicate(timeout=180)[0]) for process in both]
        seconds = time.monotonic() - begun
    finally:
        other.end()
    seen = [overlap_of(lab.hosts[name].run("cat /tmp/slots/marks").stdout) for name in ("n1", "n2")]
    ran = [sum(job["state"] == "exited" and job["exit_code"] == 0 for job in one["jobs"]) for one in told]
    figure(
        19,
        f"two controllers, 12 commands each, 2 nodes with {slots} slot{'s' * (slots > 1)}: at most "
        f"{max(most for most, _ in seen)} at once on a node, {sum(count for _, count in seen)} runs of 24, "
        f"walls {told[0]['wall_s']:.1f} and {told[1]['wall_s']:.1f} s of {seconds:.1f} s",
    )
    assert ran == [12, 12]
    assert sum(count for _, count in seen) == 24
    assert max(most for most, _ in seen) <= slots

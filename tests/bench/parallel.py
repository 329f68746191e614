"""`toft parallel` on four lab hosts: how long, how much faster, and what was learned."""

from __future__ import annotations

from tests.bench.setting import Report, burn, timed
from tests.command import Toft
from tests.lab.laboratory import Lab

NODES = 4


def run(report: Report) -> None:
    with report.lab(NODES) as (lab, toft):
        _four_that_sleep(report, toft)
        _nothing_a_hundred_times(report, toft)
        _learned(report, toft)
        _four_slow(report, lab, toft)
        _one_slow(report, lab, toft)


def _four_that_sleep(report: Report, toft: Toft) -> None:
    for _ in range(3):
        base, _told = timed(toft, "route", "true")
        seconds, told = timed(toft, "parallel", *["sleep 8"] * NODES)
        report(
            "4 x `sleep 8`, 4 nodes",
            f"{seconds:.2f} s from typing to the prompt, {told['wall_s']:.2f} s of them a schedule; "
            f"`toft route` at the same time: {base:.2f} s",
        )


def _nothing_a_hundred_times(report: Report, toft: Toft) -> None:
    one, _told = timed(toft, "parallel", "true")
    seconds, _told = timed(toft, "parallel", "--independent", "--slots", "4", *["true"] * 100)
    report("100 x `true`, 4 nodes", f"{seconds:.1f} s; {(seconds - one) / 99 * 1000:.0f} ms for each further one")


def _learned(report: Report, toft: Toft) -> None:
    """Short ones typed first, a long one last, on two nodes with a slot each: the first run cannot know."""
    commands = [*(f"sleep 2 # {n}" for n in range(5)), "sleep 9"]
    words = ("parallel", "--on", "n1,n2", "--slots", "1", "--independent")
    _, first = timed(toft, *words, *commands)
    plan = toft.json(*words, "--dry-run", *commands)
    _, second = timed(toft, *words, *commands)
    report(
        "5 short and 1 long, 2 slots",
        f"{first['wall_s']:.1f} s knowing nothing; then planned {plan['wall_s']:.1f} s, taken {second['wall_s']:.1f} s",
    )


def _four_slow(report: Report, lab: Lab, toft: Toft) -> None:
    """Each node has a quarter of a core, so that four of them are no more than a small machine has."""
    commands = [f"{burn(4)} # {n}" for n in range(NODES)]
    for host in lab.hosts.values():
        host.slow(0.25)
    alone_words = ("parallel", "--on", "n1", "--slots", "1", "--independent")
    _, alone = timed(toft, *alone_words, *commands)
    _, together = timed(toft, "parallel", "--slots", "1", "--independent", *commands)
    lab.heal()
    report(
        "4 CPU-bound, nodes of 1/4 core",
        f"{alone['wall_s']:.1f} s on one node, {together['wall_s']:.1f} s on four: "
        f"{alone['wall_s'] / together['wall_s']:.2f} times as fast",
    )


def _one_slow(report: Report, lab: Lab, toft: Toft) -> None:
    commands = [f"{burn(0.8)} # {n}" for n in range(6)]
    words = ("parallel", "--on", "n1,n2", "--slots", "1", "--independent")
    lab.hosts["n2"].slow(0.15)
    told = [timed(toft, *words, *commands)[1] for _ in range(3)]
    lab.heal()
    shares = [sum(job["node"] == "n2" for job in each["jobs"]) for each in told]
    walls = [round(each["wall_s"], 1) for each in told]
    report("6 commands, 1 of 2 nodes slow", f"{shares} of them on it in three runs; {walls} s")

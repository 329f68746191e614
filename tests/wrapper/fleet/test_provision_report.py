"""Events folded into a report: those of a real run, recorded, and made ones for what is decided here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toft.engine.events import Event, PlayStarted, Recap, TaskEnded, TaskStarted, read
from toft.fleet.playbooks import Play
from toft.fleet.provision_report import At, Broken, Count, Ledger, Report, Told, broken

RECORDED = Path(__file__).parents[1] / "engine/cases"
PLAYS = [Play("base", "Set up", "all"), Play("base", "Again", "all"), Play("storage", "Set up", "storage")]


def folded(events: list[Event], plays: list[Play] = PLAYS) -> Report:
    ledger = Ledger(plays)
    for event in events:
        ledger.take(event)
    return ledger.report(("base", "storage"), check=False, wall_s=2.0)


def ended(node: str, outcome: Any, task: str = "T", message: str = "") -> TaskEnded:
    return TaskEnded(node, task, outcome, 0.5, message)


def test_a_recorded_run() -> None:
    raw = json.loads((RECORDED / "storage_events.json").read_text())
    report = folded([event for one in raw if (event := read(one))], [Play("storage", "Storage", "storage")])
    told = raw[-1]["event_data"]
    n1 = report.counts["n1"]["storage"]
    assert (n1.changed, n1.skipped, n1.failed) == (told["changed"]["n1"], told["skipped"]["n1"], 0)
    verdicts = {node: roles["storage"].verdict for node, roles in report.counts.items()}
    assert verdicts == {"n1": "changed", "n2": "failed", "n3": "unreachable"}
    failures = {one.at.node: one for one in report.failures}
    assert failures["n2"] == Broken(
        At("n2", "storage", "The owner is there"),
        "n2 has no user keeper.",
        "add it to base_users and run toft.fleet.base, or set storage_owner",
    )
    assert "Connection refused" in failures["n3"].message
    assert failures["n3"].fix == "toft status n3"
    assert report.running == ()


def test_a_recorded_run_of_odd_tasks() -> None:
    """Two hosts; a task with no_log, one that is rescued, a loop in which items fail, an escape on stderr."""
    raw = json.loads((RECORDED / "odd_events.json").read_text())
    report = folded([event for one in raw if (event := read(one))], [Play("odd", "Odd", "all")])
    assert report.failures == (
        Broken(At("a", "odd", "Some items fail"), "a is taken.", "choose another"),
        Broken(
            At("b", "odd", "Say no with colours"),
            "non-zero return code\n\x1b[31mno\x1b[0m",
            "toft provision odd --limit b --check --diff",
        ),
    )
    counts = {node: roles["odd"] for node, roles in report.counts.items()}
    told = raw[-1]["event_data"]
    for name in ("ok", "failed", "skipped"):
        theirs = told["failures" if name == "failed" else name]
        assert {node: getattr(count, name) for node, count in counts.items()} == {"a": 0, "b": 0} | theirs
    assert list(counts) == ["a", "b"]


def test_the_json() -> None:
    report = folded([PlayStarted("Set up"), ended("n1", "changed"), ended("n1", "failed", message="no. Fix: so")])
    assert report.to_dict() == {
        "roles": ["base", "storage"],
        "nodes": [
            {
                "name": "n1",
                "roles": [
                    {"role": "base", "ok": 1, "changed": 1, "failed": 1, "skipped": 0, "unreachable": 0, "seconds": 1.0}
                ],
            }
        ],
        "failures": [{"node": "n1", "role": "base", "task": "T", "message": "no.", "fix": "so"}],
        "changed": 1,
        "check": False,
        "wall_s": 2.0,
        "interrupted": [],
        "diffs": [],
    }


def test_a_tasks_role_is_that_of_its_play() -> None:
    """Two plays have the same name; one goes through its nodes in batches."""
    begun = [PlayStarted("Set up"), ended("n1", "ok"), PlayStarted("Set up"), ended("n2", "ok")]
    # Again the first play's name, directly after itself: a batch. After another play: the next of that name.
    later = [PlayStarted("Again"), ended("n1", "ok"), PlayStarted("Set up"), ended("n1", "changed")]
    report = folded([*begun, *later])
    assert {role: count.ok for role, count in report.counts["n1"].items()} == {"base": 2, "storage": 1}
    assert report.counts["n2"].keys() == {"base"}


def test_a_play_that_nobody_knows_stands_for_itself() -> None:
    report = folded([PlayStarted("Surprise"), ended("n1", "ok"), PlayStarted("Again"), ended("n1", "ok")])
    assert report.counts["n1"].keys() == {"Surprise", "base"}


def test_a_failure_that_was_rescued_is_none() -> None:
    events = [
        PlayStarted("Set up"),
        ended("n1", "failed", "Try"),
        ended("n1", "ok", "Rescue"),
        ended("n2", "failed", "Try"),
        ended("n2", "failed", "Undo and say why", "undone. Fix: this"),
        ended("n3", "unreachable", "Try"),
        Recap({"n2": 1}),
    ]
    report = folded(events)
    assert [(one.at.node, one.at.task) for one in report.failures] == [("n2", "Undo and say why"), ("n3", "Try")]
    assert report.counts["n1"]["base"] == Count(ok=1, seconds=1.0)
    assert report.counts["n2"]["base"].failed == 1


def test_what_had_begun_and_not_ended() -> None:
    events = [PlayStarted("Set up"), TaskStarted("n1", "Install"), TaskStarted("n2", "Install"), ended("n2", "ok")]
    assert folded(events).running == (At("n1", "base", "Install"),)


def test_what_a_watcher_is_told() -> None:
    ledger = Ledger(PLAYS)
    assert ledger.take(PlayStarted("Set up")) is None
    assert ledger.take(TaskStarted("n1", "T")) == Told(At("n1", "base", "T"), "began")
    assert ledger.take(ended("n1", "changed")) == Told(At("n1", "base", "T"), "changed")


FIXES = [
    ("no room. Fix: make some", "no room.", "make some"),
    ("line one\nline two. Fix: type\n  this", "line one\nline two.", "type this"),
    ("Missing sudo password", "Missing sudo password", "toft provision base --limit n1 --ask-become-pass"),
    ("Incorrect sudo password", "Incorrect sudo password", "toft provision base --limit n1 --ask-become-pass"),
    ("odd", "odd", "toft provision base --limit n1 --check --diff"),
    ("Fixed: nothing", "Fixed: nothing", "toft provision base --limit n1 --check --diff"),
]


@pytest.mark.parametrize(("said", "message", "fix"), FIXES)
def test_what_to_type(said: str, message: str, fix: str) -> None:
    at = At("n1", "base", "T")
    assert broken(at, said) == Broken(at, message, fix)

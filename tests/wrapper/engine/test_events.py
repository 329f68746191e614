"""Ansible's events read: those of real runs, recorded, and the few shapes that those did not have."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from toft.engine.events import HIDDEN, Differs, PlayStarted, Recap, TaskEnded, TaskStarted, message, read

CASES = Path(__file__).with_name("cases")


def recorded(name: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((CASES / f"{name}.json").read_text())
    return events


def test_a_run_of_storage() -> None:
    """On three hosts: one set up, one without the owner that the inventory names, one that refuses connections."""
    raw = recorded("storage_events")
    events = [event for one in raw if (event := read(one))]
    assert events[0] == PlayStarted("Storage")
    assert isinstance(events[-1], Recap)
    assert events[-1].failures == {"n2": 1}
    ended = [event for event in events if isinstance(event, TaskEnded)]
    outcomes = Counter((event.node, event.outcome) for event in ended)
    told = raw[-1]["event_data"]
    assert outcomes["n1", "changed"] == told["changed"]["n1"]
    assert outcomes["n1", "skipped"] == told["skipped"]["n1"]
    assert (outcomes["n2", "failed"], outcomes["n3", "unreachable"]) == (1, 1)
    started = [event for event in events if isinstance(event, TaskStarted)]
    assert {(e.node, e.task) for e in ended} <= {(e.node, e.task) for e in started}
    assert all(event.seconds > 0 for event in ended)


def test_what_a_no_log_task_did_is_told_and_what_it_said_is_not() -> None:
    ended = [event for one in recorded("odd_events") if isinstance(event := read(one), TaskEnded)]
    outcomes = {(event.task, event.outcome) for event in ended}
    assert {("Keep a secret that fails", "ignored"), ("Write a secret", "changed")} <= outcomes
    assert "CANARY" not in str(ended)


def test_differences_as_ansible_shows_them() -> None:
    diffs = [event for one in recorded("storage_events") if isinstance(event := read(one), Differs)]
    assert diffs[0].text.startswith("--- before\n+++ after\n")
    assert all("\r" not in diff.text and diff.text.strip() for diff in diffs)


MESSAGES = [
    ({"msg": "no room. Fix: make some"}, "no room. Fix: make some"),
    ({"msg": "non-zero return code", "rc": 7, "stderr": "no\n", "stdout": "x"}, "non-zero return code\nno"),
    ({"msg": "non-zero return code", "rc": 7, "stdout": "why\n", "stderr": ""}, "non-zero return code\nwhy"),
    ({"msg": ["one", "two"]}, "one\ntwo"),
    (
        {"msg": "modules failed", "failed_modules": {"setup": {"msg": "no python", "rc": 127, "stderr": ""}}},
        "no python",
    ),
    ({"msg": "All items completed", "results": [{"msg": "fine"}, {"msg": "a", "failed": True}]}, "a"),
    ({"msg": "x", "results": [{"msg": "a", "failed": True}, {"msg": "a", "failed": True}]}, "a"),
    ({"msg": "secret", "censored": "the output has been hidden"}, HIDDEN),
    ({"msg": "x", "results": [{"censored": "hidden", "msg": "secret"}]}, HIDDEN),
    ({}, "it failed without a word"),
]


@pytest.mark.parametrize(("result", "said"), MESSAGES)
def test_what_a_failed_task_said(result: dict[str, Any], said: str) -> None:
    assert message(result) == said


def ended(kind: str, **data: Any) -> TaskEnded:
    event = read({"event": kind, "event_data": {"host": "n1", "task": "T", "duration": 1.5, **data}})
    assert isinstance(event, TaskEnded)
    return event


def test_an_ignored_failure_is_none() -> None:
    assert ended("runner_on_failed", ignore_errors=True, res={"msg": "x"}).outcome == "ignored"
    assert ended("runner_on_failed", ignore_errors=None, res={"msg": "x"}) == TaskEnded("n1", "T", "failed", 1.5, "x")


def test_a_task_without_a_result_or_a_time() -> None:
    assert ended("runner_on_skipped", duration=None) == TaskEnded("n1", "T", "skipped", 0.0)


def test_events_that_say_nothing_new() -> None:
    for kind in ("runner_item_on_ok", "playbook_on_notify", "verbose", "warning", "playbook_on_task_start"):
        assert read({"event": kind, "event_data": {"host": "n1"}}) is None
    assert read({"event": "runner_on_file_diff", "stdout": "", "event_data": {"host": "n1"}}) is None

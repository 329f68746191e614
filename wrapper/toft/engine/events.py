"""What Ansible tells while a playbook runs, as values: a pure reading of ansible_runner's events.

A play begins; on each node tasks begin and end, one after the other; a file's difference is told before the end of
its task; at the very end Ansible counts. What a task said of itself under `no_log` is not in its events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

CHANGED = re.compile(r"^changed: \[", re.MULTILINE)
Outcome = Literal["ok", "changed", "failed", "ignored", "unreachable", "skipped"]

HIDDEN = "what it said is hidden (no_log)"
LONGEST = 4000
"""Characters of what a module said that are kept: its end, where the reason stands."""


@dataclass(frozen=True)
class PlayStarted:
    """Also each batch of a play with `serial` begins so."""

    play: str


@dataclass(frozen=True)
class TaskStarted:
    node: str
    task: str


@dataclass(frozen=True)
class TaskEnded:
    """`seconds` is what it took on this node; `message` what a failed one said."""

    node: str
    task: str
    outcome: Outcome
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Differs:
    """A difference that a task makes (or would make), as Ansible shows it."""

    node: str
    task: str
    text: str


@dataclass(frozen=True)
class Recap:
    """Ansible's own count of failures by node: those that were rescued or ignored are not in it."""

    failures: Mapping[str, int]


Event = PlayStarted | TaskStarted | TaskEnded | Differs | Recap

_ENDS: Mapping[str, Outcome] = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}


def read(raw: Mapping[str, Any]) -> Event | None:
    """One event of ansible_runner; None for those that add nothing to this model."""
    kind, data = str(raw.get("event")), raw.get("event_data") or {}
    node, task = str(data.get("host", "")), str(data.get("task", ""))
    if kind == "playbook_on_play_start":
        return PlayStarted(str(data.get("play", "")))
    if kind == "runner_on_start":
        return TaskStarted(node, task)
    if kind in _ENDS:
        return _ended(node, task, _ENDS[kind], data, str(raw.get("stdout") or ""))
    if kind == "runner_on_file_diff":
        text = str(raw.get("stdout") or "").replace("\r\n", "\n").strip("\n")
        return Differs(node, task, text) if text.strip() else None
    if kind == "playbook_on_stats":
        return Recap({str(name): int(count) for name, count in (data.get("failures") or {}).items()})
    return None


def _ended(node: str, task: str, outcome: Outcome, data: Mapping[str, Any], shown: str) -> TaskEnded:
    result = data.get("res") or {}
    seconds = float(data.get("duration") or 0.0)
    # A hidden result does not tell even that; what Ansible shows of it does.
    if outcome == "ok" and (result.get("changed") or ("censored" in result and CHANGED.search(shown))):
        outcome = "changed"
    if outcome == "failed" and data.get("ignore_errors"):
        outcome = "ignored"
    bad = outcome in ("failed", "unreachable")
    return TaskEnded(node, task, outcome, seconds, message(result)[-LONGEST:] if bad else "")


def message(result: Mapping[str, Any]) -> str:
    """Why it failed, in the module's words; of a loop, those of the items that failed."""
    if "censored" in result:
        return HIDDEN
    items = [item for item in result.get("results") or () if isinstance(item, Mapping) and _bad(item)]
    if items:
        return "\n".join(dict.fromkeys(message(item) for item in items))
    below = result.get("failed_modules")
    if isinstance(below, Mapping) and below:  # facts are gathered by a module of their own
        return "\n".join(dict.fromkeys(message(one) for one in below.values()))
    said = result.get("msg", "")
    text = "\n".join(map(str, said)) if isinstance(said, list) else str(said)
    # A command's message is only that its code was not zero; a module that broke has its reason here too.
    why = next((str(result[key]).strip() for key in ("stderr", "module_stderr", "stdout") if result.get(key)), "")
    return "\n".join(filter(None, (text.strip(), why if "rc" in result else ""))) or "it failed without a word"


def _bad(result: Mapping[str, Any]) -> bool:
    return bool(result.get("failed") or result.get("unreachable") or "censored" in result)

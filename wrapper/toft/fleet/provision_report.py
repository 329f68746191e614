"""What a provisioning run did: Ansible's events folded into a count for each node and role, and its failures.

`Ledger` is what is known so far. A task's role is that of the play it belongs to: plays come in the order in which
the playbooks have them, so the next one of the same name is meant.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from toft.engine.events import Differs, Event, Outcome, PlayStarted, Recap, TaskEnded, TaskStarted
from toft.fleet.playbooks import Play

FIX = re.compile(r"\s*\bFix:\s+")
SUDO_PASSWORD = re.compile(r"(missing|incorrect) (sudo|become|su|doas) password", re.IGNORECASE)


@dataclass(frozen=True)
class At:
    """A task of a role on a node."""

    node: str
    role: str
    task: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Told:
    """Something that has just happened: a task `began`, ended with an outcome, or `differs`, as `text` shows."""

    at: At
    what: Outcome | Literal["began", "differs"]
    text: str = ""


@dataclass(frozen=True)
class Count:
    """Tasks of one role on one node, counted as Ansible's recap does: `ok` includes what changed something.
    `seconds` is what they took, one after the other."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    unreachable: int = 0
    seconds: float = 0.0

    def plus(self, outcome: Outcome, seconds: float) -> Count:
        grown = {name: getattr(self, name) + 1 for name in _COUNTED[outcome]}
        return replace(self, **grown, seconds=self.seconds + seconds)

    @property
    def verdict(self) -> str:
        """unreachable, failed, changed, ok or skipped: the first that applies."""
        order = ("unreachable", "failed", "changed", "ok")
        return next((name for name in order if getattr(self, name)), "skipped")


_COUNTED: Mapping[Outcome, Sequence[str]] = {
    "ok": ("ok",),
    "changed": ("ok", "changed"),
    "ignored": ("ok",),
    "failed": ("failed",),
    "skipped": ("skipped",),
    "unreachable": ("unreachable",),
}


@dataclass(frozen=True)
class Broken:
    """A task that failed, what was said, and what to type or do."""

    at: At
    message: str
    fix: str

    def to_dict(self) -> dict[str, str]:
        return {**self.at.to_dict(), "message": self.message, "fix": self.fix}


@dataclass(frozen=True)
class Report:
    """`counts` by node, then role, in the order in which they were met; `running` what had begun and not ended."""

    roles: tuple[str, ...]
    counts: Mapping[str, Mapping[str, Count]]
    failures: tuple[Broken, ...]
    running: tuple[At, ...]
    diffs: tuple[tuple[At, str], ...]
    check: bool
    wall_s: float

    @property
    def changed(self) -> int:
        return sum(count.changed for roles in self.counts.values() for count in roles.values())

    def to_dict(self) -> dict[str, Any]:
        return {
            "roles": list(self.roles),
            "nodes": [
                {"name": node, "roles": [{"role": role, **_rounded(count)} for role, count in roles.items()]}
                for node, roles in self.counts.items()
            ],
            "failures": [broken.to_dict() for broken in self.failures],
            "changed": self.changed,
            "check": self.check,
            "wall_s": round(self.wall_s, 3),
            "interrupted": [at.to_dict() for at in self.running],
            "diffs": [{**at.to_dict(), "diff": text} for at, text in self.diffs],
        }


def _rounded(count: Count) -> dict[str, Any]:
    return {**asdict(count), "seconds": round(count.seconds, 3)}


@dataclass
class Ledger:
    """`plays` are those that are to come, in order. Not for two threads."""

    plays: Sequence[Play]
    counts: dict[str, dict[str, Count]] = field(default_factory=lambda: defaultdict(dict))
    running: dict[str, At] = field(default_factory=dict)
    failures: list[Broken] = field(default_factory=list)
    diffs: list[tuple[At, str]] = field(default_factory=list)
    role: str = ""
    _next: int = 0

    def take(self, event: Event) -> Told | None:
        match event:
            case PlayStarted(play):
                self._play(play)
            case TaskStarted(node, task):
                self.running[node] = self.at(node, task)
                self.counts[node]  # nodes stand in the order in which they begin
                return Told(self.running[node], "began")
            case Differs(node, task, text):
                self.diffs.append((self.at(node, task), text))
                return Told(self.at(node, task), "differs", text)
            case TaskEnded():
                return self._ended(event)
            case Recap(failures):
                self._settle(failures)
        return None

    def at(self, node: str, task: str) -> At:
        return At(node, self.role, task)

    def report(self, roles: tuple[str, ...], *, check: bool, wall_s: float) -> Report:
        counts = {node: dict(by_role) for node, by_role in self.counts.items()}
        running = tuple(self.running.values())
        return Report(roles, counts, tuple(self.failures), running, tuple(self.diffs), check, wall_s)

    def _play(self, name: str) -> None:
        """A play in batches (`serial`) begins several times: so the one that we are in may be meant again."""
        at = next((i for i in range(self._next, len(self.plays)) if self.plays[i].name == name), None)
        self.role = name if at is None else self.plays[at].role
        self._next = self._next if at is None else at

    def _ended(self, event: TaskEnded) -> Told:
        at = self.at(event.node, event.task)
        self.running.pop(event.node, None)
        roles = self.counts[event.node]
        roles[at.role] = roles.get(at.role, Count()).plus(event.outcome, event.seconds)
        if event.outcome in ("failed", "unreachable"):
            self.failures.append(broken(at, event.message, unreachable=event.outcome == "unreachable"))
        return Told(at, event.outcome, event.message)

    def _settle(self, failures: Mapping[str, int]) -> None:
        """Only Ansible knows which failures were rescued: of each node, the last so many were not."""
        kept = []
        left = dict(failures)
        for one in reversed(self.failures):
            node, role = one.at.node, one.at.role
            count = self.counts[node][role]
            if count.unreachable or left.get(node, 0) > 0:
                left[node] = left.get(node, 0) - 1
                kept.append(one)
            else:
                self.counts[node][role] = replace(count, failed=count.failed - 1)
        self.failures = kept[::-1]


def broken(at: At, said: str, *, unreachable: bool = False) -> Broken:
    """Roles end what they say with `Fix: …`; for others there is something to type at least."""
    message, *fix = FIX.split(said.strip(), maxsplit=1)
    if fix:
        return Broken(at, message, " ".join(fix[0].split()))
    if SUDO_PASSWORD.search(said):
        return Broken(at, message, f"toft provision {at.role} --limit {at.node} --ask-become-pass")
    if unreachable:
        return Broken(at, message, f"toft status {at.node}")
    return Broken(at, message, f"toft provision {at.role} --limit {at.node} --check --diff")

"""The plan of a `parallel`: its commands, what waits for what, where each could run, how long it will take.

One run of Ansible probes the nodes and decides for each command where it could run; what the commands share
and how long they took before is known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import dependencies, shell
from ansible_collections.toft.fleet.plugins.plugin_utils.dependencies import Circle, Edge
from ansible_collections.toft.fleet.plugins.plugin_utils.plan import Span, simulate
from ansible_collections.toft.fleet.plugins.plugin_utils.prediction import Measured, predict
from ansible_collections.toft.fleet.plugins.plugin_utils.schedule import Place, Schedule, Skip, Task

from toft.engine.requests import Request, Step
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import Fleet
from toft.fleet.follow import BRIEF_S
from toft.store import durations

INDEPENDENT = dependencies.INDEPENDENT


@dataclass(frozen=True)
class Parallel:
    """What to run and how. `slots`: at most so many jobs at once on each node; `after`: pairs (later, earlier);
    `independent`: look for no dependencies; `env`, `cwd`, `timeout_s` hold for each command."""

    commands: tuple[str, ...]
    on: str | None = None
    slots: int | None = None
    after: tuple[tuple[int, int], ...] = ()
    independent: bool = False
    fail_fast: bool = False
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    become: bool = False
    sync: bool | None = None
    """Bring the tree along: True any directory, None a working tree unless `cwd` says where to run, False none."""

    def job(self) -> dict[str, Any]:
        """What every node is asked, but for the command and the id."""
        return {
            "cwd": self.cwd,
            "env": dict(self.env),
            "timeout_s": self.timeout_s,
            "stdin": "none",
            "tty": None,
            "become": self.become,
            "awaited": True,
            "brief_s": BRIEF_S,
        }


@dataclass(frozen=True)
class Allotment:
    """`decisions` by number are routing's, `nodes` by name the action's; `done` are not run again.

    `spans` is what would happen if everything took as long as it is thought to; `skips` what would not run.
    """

    asked: Parallel
    edges: tuple[Edge, ...]
    decisions: Mapping[int, dict[str, Any]]
    nodes: Mapping[str, dict[str, Any]]
    tasks: tuple[Task, ...]
    places: tuple[Place, ...]
    spans: tuple[Span, ...]
    skips: tuple[Skip, ...]
    unpinned: tuple[frozenset[int], ...]

    def command(self, number: int) -> str:
        return self.asked.commands[number - 1]

    @property
    def wall_s(self) -> float:
        """As planned."""
        return max((span.end for span in self.spans), default=0.0)


@dataclass(frozen=True)
class Before:
    """What an earlier run has done: numbers that are not run again, and the nodes on which they ran."""

    left_out: frozenset[int] = frozenset()
    nodes: Mapping[int, str] = field(default_factory=dict)


def edges_of(asked: Parallel) -> tuple[Edge, ...]:
    """Raises Failure where the commands would wait for each other, or for numbers that are none."""
    numbers = range(1, len(asked.commands) + 1)
    for later, earlier in asked.after:
        if later not in numbers or earlier not in numbers or later == earlier:
            raise Failure(f"--after {later}:{earlier}: commands have the numbers 1 to {len(asked.commands)}")
    try:
        lines = [shell.parse(command) for command in asked.commands]
        return dependencies.edges(lines, asked.after, independent=asked.independent)
    except Circle as circle:
        raise Failure(str(circle), "toft parallel --dry-run, and leave out one --after") from circle


def allot(fleet: Fleet, asked: Parallel, before: Before | None = None) -> Allotment:
    """The one run of Ansible. Raises Failure where it cannot even be asked."""
    before = before or Before()
    edges = edges_of(asked)
    body = fleet.body(words=list(asked.commands), form="shell", job=asked.job())
    answer = fleet.ask(Request(asked.on or "all", (Step("allocate"),), body))["allocate"]
    decisions = dict(enumerate(answer["commands"], 1))
    tasks = _tasks(fleet, asked, edges, decisions, before)
    places = tuple(_place(name, told, asked.slots) for name, told in answer["nodes"].items() if told["cause"] is None)
    spans, skips = simulate(tasks, places, edges)
    unpinned = tuple(Schedule(tasks, places, edges).unpinned)
    return Allotment(
        asked, edges, decisions, answer["nodes"], tuple(tasks), places, tuple(spans), tuple(skips), unpinned
    )


def must_run(allotment: Allotment) -> None:
    """Raises Failure (exit 125) if no command at all can be started."""
    if allotment.tasks and not allotment.spans:
        first = allotment.decisions[allotment.tasks[0].number]
        raise Failure(first["why"], "toft status", NOT_STARTED)


def _place(name: str, told: Mapping[str, Any], slots: int | None) -> Place:
    """At least one slot is tried: a node all of whose slots were taken may have one by then."""
    whole = slots if slots is not None else int(told["slots"])
    running = int(told["running"])
    return Place(name, max(1, whole - running), running, max(1, whole))


def _tasks(
    fleet: Fleet,
    asked: Parallel,
    edges: Sequence[Edge],
    decisions: Mapping[int, dict[str, Any]],
    before: Before,
) -> list[Task]:
    numbers = [number for number in decisions if number not in before.left_out]
    nodes = sorted({node for decision in decisions.values() for node in decision["eligible"]})
    runs = durations.of(fleet.store, [asked.commands[n - 1] for n in numbers], str(fleet.cwd))
    history = [Measured(run.command, run.node, run.duration_s) for run in runs if run.ok]
    wanted = [(asked.commands[n - 1], bool(decisions[n]["heavy"])) for n in numbers]
    tasks = [
        Task(number, tuple(decisions[number]["eligible"]), predicted.seconds, predicted.known)
        for number, predicted in zip(numbers, predict(wanted, nodes, history), strict=True)
    ]
    return [replace(task, at=_where(task, edges, before)) for task in tasks]


def _where(task: Task, edges: Sequence[Edge], before: Before) -> str | None:
    """The node on which an earlier run left what this needs."""
    needed = [edge.before for edge in edges if edge.after == task.number and edge.local]
    nodes = [before.nodes[number] for number in needed if number in before.nodes]
    return next((node for node in nodes if node in task.eligible), None)

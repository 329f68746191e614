"""`status`: the live load of every node, in one probe of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toft.engine.requests import Request, Step
from toft.fleet.fleet import Fleet, now
from toft.fleet.nodes import Node, node_from

SORT_KEYS = ("name", "score", "cpu", "memory", "load", "disk", "uptime", "jobs")


@dataclass(frozen=True)
class Status:
    taken_at: str
    nodes: tuple[Node, ...]

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {"taken_at": self.taken_at, "nodes": [node.to_dict() for node in self.nodes]}

    def sorted_by(self, key: str) -> Status:
        """By a column, nodes that have no value last, then by name."""
        return Status(self.taken_at, tuple(sorted(self.nodes, key=lambda node: _rank(node, key))))


def status(fleet: Fleet, patterns: Sequence[str] = ()) -> Status:
    """Ask the nodes that match any of the patterns; all of them when there is none."""
    request = Request(":".join(patterns) if patterns else "all", (Step("probe"),), fleet.body())
    answer = fleet.ask(request)["probe"]
    nodes = tuple(node_from(name, told) for name, told in answer["nodes"].items())
    fleet.remember({name for node in nodes for name in (node.name, *node.groups)})
    return Status(now(), nodes)


def _rank(node: Node, key: str) -> tuple[bool, float, str]:
    value = {
        "name": 0.0,
        "score": node.score,
        "cpu": node.load("cpu_percent"),
        "memory": node.load("memory_percent"),
        "load": (node.load("load") or [None])[0],
        "disk": node.load("disk_percent"),
        "uptime": node.load("uptime_s"),
        "jobs": node.load("jobs"),
    }[key]
    return value is None, float(value or 0.0), node.name

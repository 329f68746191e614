"""Every node with what it does and what it sees of itself, in one run: the collection's action `examine`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toft.engine.inventory import Listed
from toft.engine.requests import Request, Step
from toft.fleet import farm
from toft.fleet.fleet import Fleet
from toft.fleet.nodes import Node, node_from

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Examined:
    """`trial` is what came of a job there, None for a node that is not there; `look` what it told of its `agent` and
    its `tailnet`, each if it was asked and could answer. Texts in both are the node's own."""

    node: Node
    trial: Mapping[str, Any] | None
    look: Mapping[str, Any]


@dataclass(frozen=True)
class Examination:
    """`inventory` has the groups and variables that the compile farm is known by."""

    nodes: tuple[Examined, ...]
    inventory: Listed


def examine(fleet: Fleet) -> Examination:
    """All nodes; Failure if they cannot even be asked."""
    wanted = {"groups": [farm.GROUP, farm.SCHEDULERS], "variables": list(farm.VARIABLES)}
    answer = fleet.ask(Request("all", (Step("examine"),), fleet.body(inventory=wanted)))["examine"]
    nodes = tuple(
        Examined(node_from(name, told), told["trial"], told["look"] or NOTHING)
        for name, told in answer["nodes"].items()
    )
    fleet.remember({name for one in nodes for name in (one.node.name, *one.node.groups)})
    return Examination(nodes, Listed(answer["inventory"]))

"""`route`: where a command would run, and why; nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toft.engine.requests import Request, Step
from toft.fleet.commands import Words
from toft.fleet.fleet import Fleet


@dataclass(frozen=True)
class Route:
    """A decision as toft.fleet.route made it; `decision` is the contract's JSON."""

    decision: dict[str, Any]

    @property
    def node(self) -> str | None:
        node: str | None = self.decision["node"]
        return node


def route(
    fleet: Fleet, words: Words, *, on: str | None = None, declared: bool = False, node: str | None = None
) -> Route:
    """With `declared` nothing is reached: the inventory's word is taken for everything."""
    body = fleet.body(**words.to_body(), declared=declared, node=node)
    answer = fleet.ask(Request(on or "all", (Step("route"),), body))["route"]
    fleet.remember({candidate["node"] for candidate in answer["decision"]["candidates"]})
    return Route(answer["decision"])

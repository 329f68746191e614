"""The mirrors that nodes keep: which there are, and some of them removed by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from toft.engine.requests import Request, Step
from toft.fleet.failures import NOT_STARTED, USAGE, Failure
from toft.fleet.fleet import Fleet
from toft.fleet.settings import home_directory
from toft.fleet.sync import tree_meant

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
THIS = "."


@dataclass(frozen=True)
class Shelf:
    """One node's word. `mirrors` have name, machine, root, used_at, bytes, slots, busy and path."""

    node: str
    mirrors: tuple[dict[str, Any], ...]
    removed: tuple[str, ...]
    refused: dict[str, dict[str, str]]
    error: dict[str, str] | None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Shelf:
        mirrors, removed = tuple(told["mirrors"]), tuple(told["removed"])
        return cls(told["node"], mirrors, removed, told["refused"] or {}, told["error"])


def listed(fleet: Fleet, pattern: str | None) -> list[Shelf]:
    """On every node that matches; on all without a pattern."""
    return _ask(fleet, pattern, ())


def forget(fleet: Fleet, pattern: str | None, names: list[str]) -> list[Shelf]:
    """Remove mirrors by their names; `.` is that of the tree that the person stands in. Raises Failure."""
    wrong = [name for name in names if name != THIS and not NAME.fullmatch(name)]
    if wrong:
        raise Failure(f"--forget {wrong[0]}: that is no mirror's name", "toft sync --list", USAGE)
    return _ask(fleet, pattern, tuple(_meant(fleet, name) for name in names))


def _meant(fleet: Fleet, name: str) -> str:
    if name != THIS:
        return name
    return tree_meant(fleet.cwd, fleet.settings, home_directory(fleet.engine.environment)).name


def _ask(fleet: Fleet, pattern: str | None, names: tuple[str, ...]) -> list[Shelf]:
    body = fleet.body(sync={"forget": list(names)})
    answer = fleet.ask(Request(pattern or "all", (Step("mirrors"),), body))["mirrors"]
    return [Shelf.of(told) for told in answer["shelves"]]


def exit_code(shelves: list[Shelf], names: list[str]) -> int:
    """0 if all was done: a mirror that is on no node at all, or is in use, is a failure; 125 if no node answered."""
    silent = [shelf for shelf in shelves if shelf.error]
    if len(silent) == len(shelves):
        return NOT_STARTED
    busy = any(why["code"] != "no_mirror" for shelf in shelves for why in shelf.refused.values())
    removed = {name for shelf in shelves for name in shelf.removed}
    return int(bool(silent) or busy or len(removed) < len(set(names)))

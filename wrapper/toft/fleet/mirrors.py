"""The tree that a `parallel` was asked in, on each node that gets one of its commands.

It is brought for each command, because each holds a lease of its own on the state that it is to see. The first
command of a node pays for the way; those after it find everything there, with what the earlier ones have built
in it, unless the tree has been edited here meanwhile: a mirror is never changed under a command that runs, so
they get a new state in another slot. On this machine, and where the same storage is, nothing is brought.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.placing import Order, Placed, bring
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.fleet.allotment import Parallel
from toft.fleet.fleet import Fleet
from toft.fleet.settings import home_directory
from toft.fleet.sync import Told, Tree, tree_at, tree_meant


def tree_of(fleet: Fleet, asked: Parallel) -> Tree | None:
    """As for `offload`. Raises Failure for a directory that is too much to bring."""
    home = home_directory(fleet.engine.environment)
    if asked.sync:
        return tree_meant(fleet.cwd, fleet.settings, home)
    return None if asked.sync is False or asked.cwd else tree_at(fleet.cwd, fleet.settings, home)


class Mirrors:
    """Asked from many threads; of those that want the same node one brings at a time. `inside` is the directory
    in the tree that was asked for; a node whose jobs have another one shares this storage."""

    def __init__(self, order: dict[str, Any], inside: str | None, say: Callable[[str], None]) -> None:
        self._order = Order(**order | {"exclude": tuple(order.get("exclude") or ())})
        self._inside, self._say = inside, say
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def on(self, transport: Transport, request: dict[str, Any]) -> Placed | None:
        """Where the job of this request finds the tree; None if it is there anyway."""
        if transport.kind == "local" or request.get("cwd") != self._inside:
            return None
        with self._guard:
            lock = self._locks.setdefault(transport.node, threading.Lock())
        with lock:
            placed = bring(transport, request.get("workdir"), self._order, self._order.tree(), str(request["id"]))
        told = Told.of(placed.to_dict())
        if placed.error is None and told.moved:
            self._say(f"sync: {told.line()}")
        return placed

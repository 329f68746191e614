"""How long commands took where, kept for the next plan: the newest runs of each command on each node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from toft.store.store import Store

if TYPE_CHECKING:
    import sqlite3

KEPT = 10
"""Runs of one command in one directory on one node."""


@dataclass(frozen=True)
class Duration:
    """`command` is the shell line, `directory` where toft was asked, `at` RFC 3339 UTC."""

    command: str
    directory: str
    node: str
    duration_s: float
    ok: bool
    at: str


def add(store: Store, duration: Duration) -> None:
    """Remember one run; older ones beyond KEPT are forgotten."""
    same = "command = ? and directory = ? and node = ?"
    which = (duration.command, duration.directory, duration.node)

    def change(db: sqlite3.Connection) -> None:
        db.execute("insert into durations values (?, ?, ?, ?, ?, ?)", astuple(duration))
        db.execute(
            f"delete from durations where {same} and rowid not in"
            f" (select rowid from durations where {same} order by rowid desc limit ?)",
            (*which, *which, KEPT),
        )

    store.write(change)


def of(store: Store, commands: Sequence[str], directory: str) -> list[Duration]:
    """The oldest first. Runs in this directory, or for a command without any, those in other ones."""
    found: list[Duration] = []
    for command in dict.fromkeys(commands):
        rows = store.rows("select * from durations where command = ? order by rowid", (command,))
        runs = [Duration(c, d, node, seconds, bool(ok), at) for c, d, node, seconds, ok, at in rows]
        found += [run for run in runs if run.directory == directory] or runs
    return found

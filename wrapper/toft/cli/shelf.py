"""`toft sync --list` and `--forget`: the mirrors that nodes keep."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Any

from toft.cli.session import Session
from toft.cli.terminal import Cell, as_json, duration, fitted, size
from toft.fleet import shelf as shelves
from toft.fleet.shelf import Shelf

HEADS = ("NODE", "MIRROR", "OF", "UNUSED", "SIZE", "")


def listed(session: Session, pattern: str | None) -> int:
    found = shelves.listed(session.fleet, pattern)
    _complain(session, found)
    mirrors = [{"node": one.node, **mirror} for one in found for mirror in one.mirrors]
    if session.options.json:
        sys.stdout.write(as_json({"mirrors": mirrors}))
    elif mirrors:
        rows = [_row(mirror, time.time()) for mirror in mirrors]
        sys.stdout.write(fitted(session.out, HEADS, rows, ("UNUSED", "OF")))
    return shelves.exit_code(found, [])


def removed(session: Session, pattern: str | None, names: list[str]) -> int:
    found = shelves.forget(session.fleet, pattern, names)
    code = shelves.exit_code(found, names)
    _complain(session, found)
    gone = [(one.node, name) for one in found for name in one.removed]
    for node, why in [(one.node, why) for one in found for why in one.refused.values()]:
        if why["code"] != "no_mirror" or code:
            session.complain(f"{node}: {why['message']}")
    if session.options.json:
        sys.stdout.write(as_json({"removed": [{"node": node, "name": name} for node, name in gone]}))
    else:
        sys.stdout.write("".join(f"{node}: {name} removed\n" for node, name in gone))
    return code


def _row(mirror: dict[str, Any], now: float) -> list[Cell]:
    used = datetime.fromisoformat(mirror["used_at"]).timestamp()
    owner = f"{mirror['machine']}:{mirror['root']}" if mirror["root"] else "-"
    return [
        Cell(mirror["node"]),
        Cell(mirror["name"]),
        Cell(owner),
        Cell(duration(max(0.0, now - used)), right=True),
        Cell(size(mirror["bytes"]), right=True),
        Cell("in use" if mirror["busy"] else ""),
    ]


def _complain(session: Session, found: list[Shelf]) -> None:
    for one in found:
        if one.error:
            session.complain(one.error["message"])
            if one.error.get("fix"):
                session.complain(f"try: {one.error['fix']}")

"""`toft status`: every node on a line."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Annotated

import typer

from toft.cli.session import Session, command, complete_names
from toft.cli.terminal import Cell, Palette, as_json, clean, duration, fitted, size
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet
from toft.fleet.nodes import Node
from toft.fleet.status import SORT_KEYS, Status, status

HELP = """Show the live load of every node. The score joins CPU, memory and load: lower is better.

\b
  toft status                     all nodes
  toft status builders 'pi*'      a group, and some names
  toft status --sort score        the least loaded first
  toft status --watch 5           again every 5 seconds
  toft status --json | jq '.nodes[] | select(.state != "online")'
"""


DISPENSABLE = ("UP", "DISK", "JOBS", "LOAD", "CORES", "OS", "MEM")
"""Columns that a narrow terminal does without, the first to go first."""


def register(app: typer.Typer) -> None:
    command(app, "status", help=HELP)(show)


def show(
    session: Session,
    patterns: Annotated[list[str] | None, typer.Argument(metavar="[PATTERN]...", autocompletion=complete_names)] = None,
    watch: Annotated[float | None, typer.Option("--watch", metavar="S", min=0.5, help="Again every S seconds.")] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="KEY", help=", ".join(SORT_KEYS))] = "name",
) -> int:
    if sort not in SORT_KEYS:
        raise Failure(f"there is no column {sort!r} to sort by", f"one of: {', '.join(SORT_KEYS)}")
    fleet = session.fleet
    if watch is None:
        _print(session, _taken(fleet, patterns, sort))
        return 0
    while True:
        taken = _taken(fleet, patterns, sort)
        fleet = replace(fleet, asked_at=None)
        if session.out.live and not session.options.json:
            sys.stdout.write("\x1b[H\x1b[2J")
        _print(session, taken)
        time.sleep(watch)


def _taken(fleet: Fleet, patterns: list[str] | None, sort: str) -> Status:
    return status(fleet, patterns or ()).sorted_by(sort)


def _print(session: Session, taken: Status) -> None:
    sys.stdout.write(as_json(taken.to_dict()) if session.options.json else text(session.out, taken))
    sys.stdout.flush()


def text(palette: Palette, taken: Status) -> str:
    """The table, and below it what is wrong with whom, with what to type."""
    heads = ("NODE", "STATE", "OS", "CORES", "CPU", "MEM", "LOAD", "DISK", "UP", "JOBS", "SCORE")
    shown = fitted(palette, heads, [_row(node) for node in taken.nodes], DISPENSABLE)
    causes = [(node, node.cause) for node in taken.nodes if node.cause]
    lines = [
        palette.style(f"{node.name}: {clean(cause['message'])}", "yellow") + f"\n  try: {clean(cause['fix'])}"
        for node, cause in causes
    ]
    return shown + "".join(f"{line}\n" for line in lines)


def _row(node: Node) -> list[Cell]:
    state = Cell(node.state, {"online": ("green",), "offline": ("red",)}.get(node.state, ("yellow",)))
    name = Cell(node.name + ("*" if node.local else ""), ("bold",))
    load = node.load("load")
    score = node.score
    return [
        name,
        state,
        Cell(_system(node)),
        Cell(_number(node.load("cores")), right=True),
        _percent(node.load("cpu_percent"), 85),
        _percent(node.load("memory_percent"), 90, f" of {size(node.load('memory_bytes'))}"),
        Cell("-" if load is None else f"{load[0]:.2f}", right=True),
        _percent(node.load("disk_percent"), 90),
        Cell(duration(node.load("uptime_s")), right=True),
        Cell(_number(node.load("jobs")), right=True),
        Cell("-" if score is None else f"{score:.2f}", right=True),
    ]


def _system(node: Node) -> str:
    system = "wsl" if node.known("wsl") else node.load("distro") or node.known("os") or "-"
    return f"{system} {node.known('arch') or ''}".strip()


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _percent(value: float | None, high: float, more: str = "") -> Cell:
    if value is None:
        return Cell("-", right=True)
    return Cell(f"{value:.0f}%{more}", ("red",) if value >= high else (), right=True)

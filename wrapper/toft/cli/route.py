"""`toft route`: where a command would run, and why."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from toft.cli.options import form_of
from toft.cli.session import Session, command
from toft.cli.terminal import Cell, Palette, as_json, clean, table
from toft.fleet.commands import Words
from toft.fleet.failures import NOT_STARTED
from toft.fleet.route import route

HELP = """Say where a command would run, and why. Nothing is run.

\b
  toft route make -j8
  toft route 'cd api && docker build .'
  toft route --declared -i inventories/two-acre xcodebuild    reaches no node
  toft route --json pytest
"""


def register(app: typer.Typer) -> None:
    command(app, "route", words=True, help=HELP)(show)


def show(
    session: Session,
    words: Annotated[list[str], typer.Argument(metavar="[NODE] CMD...")],
    on: Annotated[str | None, typer.Option("--on", metavar="PATTERN", help="Only these nodes.")] = None,
    declared: Annotated[bool, typer.Option("--declared", help="Ask no node; believe the inventory.")] = False,
    shell: Annotated[bool, typer.Option("--shell", help="The words are a shell line.")] = False,
    exec_: Annotated[bool, typer.Option("--exec", help="The words are an argv.")] = False,
) -> int:
    given = Words(tuple(words), form_of(shell, exec_), not session.separator_before(words))
    return show_route(session, given, on=on, declared=declared)


def show_route(session: Session, given: Words, *, on: str | None, declared: bool) -> int:
    decision = route(session.fleet, given, on=on, declared=declared).decision
    sys.stdout.write(as_json(decision) if session.options.json else text(session.out, decision))
    return 0 if decision["node"] else NOT_STARTED


def text(palette: Palette, decision: dict[str, Any]) -> str:
    node = decision["node"]
    head = palette.style(node, "bold", "green") if node else palette.style("no node", "bold", "red")
    lines = [f"{head}  {decision['reason']}", f"  {clean(decision['why'])}"]
    lines += [f"  {palette.style('matched', 'dim')} {clean(word)}" for word in decision.get("matched") or ()]
    rows = [_row(candidate, node) for candidate in decision["candidates"]]
    return "\n".join(lines) + "\n\n" + table(palette, ("NODE", "SCORE", "", "WHY NOT"), rows)


def _row(candidate: dict[str, Any], chosen: str | None) -> list[Cell]:
    name, score, eligible = candidate["node"], candidate["score"], candidate["eligible"]
    rejected = candidate.get("rejected")
    return [
        Cell(name, ("bold",) if name == chosen else ()),
        Cell("-" if score is None else f"{score:.2f}", right=True),
        Cell("chosen" if name == chosen else "could" if eligible else "cannot", ("green",) if eligible else ("dim",)),
        Cell("; ".join(rejected) if isinstance(rejected, list | tuple) else rejected or ""),
    ]

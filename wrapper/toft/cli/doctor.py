"""`toft doctor`: what is wrong, and what to type."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from toft.cli.session import Session, command
from toft.cli.terminal import as_json, clean
from toft.fleet.check import Check
from toft.fleet.doctor import doctor

HELP = """Check the whole fleet, this machine first; each finding with what to type.

A job, `true`, is run on each node and removed again. Nothing needs sudo.

\b
  toft doctor
  toft doctor --strict      exit 1 for warnings too
  toft doctor --json
"""
_MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def register(app: typer.Typer) -> None:
    command(app, "doctor", help=HELP)(show)


def show(
    session: Session,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as failures.")] = False,
) -> int:
    checks = doctor(session.fleet)
    if session.options.json:
        sys.stdout.write(as_json({"checks": [check.to_dict() for check in checks]}))
    else:
        sys.stdout.write("".join(line(session, check) for check in checks))
    bad = ("fail", "warn") if strict else ("fail",)
    return int(any(check.verdict in bad for check in checks))


def line(session: Session, check: Check) -> str:
    """A check as a person reads it."""
    mark, colour = _MARKS[check.verdict]
    fix = f"\n      try: {clean(check.fix)}" if check.fix and check.verdict != "ok" else ""
    return f"{session.out.style(mark, colour)}  {clean(check.subject)}: {clean(check.found)}{fix}\n"

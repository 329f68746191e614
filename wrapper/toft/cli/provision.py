"""`toft provision`: from bare machines to a fleet, with the collection's playbooks."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import replace
from typing import Annotated

import typer

from toft.cli.provision_view import text, watching
from toft.cli.session import Session, command, complete_names
from toft.cli.streaming import Ladder
from toft.cli.terminal import as_json
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet
from toft.fleet.provision import Outcome, Wanted, inventory_missing, playbooks, provision

HELP = """Set nodes up: users and sshd, the tailnet, storage and what else the collection has roles for.

\b
  toft provision --check --diff        what the whole fleet would get
  toft provision                       all of it, in order; again and again
  toft provision base storage --limit n1,pi1
  toft provision storage -e storage_backup_keep=14
  toft provision verify                looks whether it is as it should be

Without ROLE this is the playbook toft.fleet.site. Each role is for the group of the inventory that its playbook
names. The exit code is 0 if all went well, 1 if it failed on any node, 125 if nothing could be started.
"""


def register(app: typer.Typer) -> None:
    command(app, "provision", help=HELP)(show)


def complete_roles(incomplete: str) -> list[str]:
    return [name for name in playbooks(os.environ).roles() if name.startswith(incomplete)]


def show(
    session: Session,
    roles: Annotated[list[str] | None, typer.Argument(metavar="[ROLE]...", autocompletion=complete_roles)] = None,
    check: Annotated[bool, typer.Option("--check", help="Say what would change; change nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what changes in files.")] = False,
    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="PATTERN", help="Only these nodes.", autocompletion=complete_names),
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option("-e", "--extra-vars", metavar="VAR=VALUE|@FILE", help="Variables of the roles (repeatable)."),
    ] = None,
    ask_become: Annotated[bool, typer.Option("--ask-become-pass", help="Ask for sudo's password.")] = False,
    ask_ssh: Annotated[bool, typer.Option("--ask-pass", help="Ask for ssh's password.")] = False,
) -> int:
    fleet = _fleet(session)
    kinds = [kind for kind, asked in (("ssh", ask_ssh), ("become", ask_become)) if asked]
    wanted = Wanted(tuple(roles or ()), limit, check, diff, tuple(extra or ()))
    wanted = replace(wanted, passwords={kind: _password(kind) for kind in kinds})
    with Ladder() as ladder, watching(session) as watch:
        outcome = provision(fleet.cancellable(lambda: ladder.interrupted), wanted, watch.tell)
    _print(session, outcome)
    return outcome.exit_code


def _fleet(session: Session) -> Fleet:
    """An inventory that is not there keeps a run from starting; it is no bad file."""
    try:
        return session.fleet
    except Failure as failure:
        raise inventory_missing(failure) from failure.__cause__


def _password(kind: str) -> str:
    """Typed, unseen; off a terminal a line of stdin for each."""
    name = {"ssh": "SSH", "become": "sudo"}[kind]
    if sys.stdin.isatty():
        return getpass.getpass(f"{name} password: ")
    line = sys.stdin.readline()
    if not line:
        raise Failure(f"there is no {name} password on stdin, which is no terminal", "toft provision --help")
    return line.rstrip("\n")


def _print(session: Session, outcome: Outcome) -> None:
    report = outcome.report
    sys.stdout.write(as_json(outcome.to_dict()) if session.options.json else text(session.out, report))
    sys.stdout.flush()
    if outcome.error:
        session.complain(outcome.error)
    if outcome.interrupted:
        where = ", ".join(f"{at.node} ({at.role}: {at.task})" for at in report.running) or "no node"
        session.complain(f"interrupted; in the middle: {where}. What a node had begun may still go on there")
        session.complain("try: the same again; roles go on where they are")

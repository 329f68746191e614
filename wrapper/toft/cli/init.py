"""`toft init`: an inventory from what this machine knows already."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from toft.cli.session import Session, command
from toft.cli.terminal import as_json
from toft.fleet.failures import Failure
from toft.fleet.init import Written, init
from toft.fleet.yaml_source import BadFile

HELP = """Write an inventory from ~/.ssh/config and `tailscale status`. It asks nothing.

\b
  toft init                 writes ~/.config/toft/inventory/hosts.yml
  toft init --dry-run       prints it instead
  toft init --force FILE    replaces FILE; the old one is kept beside it
"""


def register(app: typer.Typer) -> None:
    command(app, "init", help=HELP)(write)


def write(
    session: Session,
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print it, write nothing.")] = False,
) -> int:
    try:
        written = init(session.env, path, force=force, dry_run=dry_run)
    except BadFile as error:
        raise Failure(str(error)) from error
    for note in written.notes:
        session.say(note)
    _show(session, written)
    return 0


def _show(session: Session, written: Written) -> None:
    if session.options.json:
        names = [machine.name for machine in written.nodes]
        told = {"path": str(written.path), "nodes": names, "notes": list(written.notes), "dry_run": written.dry_run}
        sys.stdout.write(as_json(told))
    elif written.dry_run:
        sys.stdout.write(written.text)
    else:
        count = len(written.nodes)
        backup = f" (the old one is {written.backup})" if written.backup else ""
        session.say(
            f"{count} node{'' if count == 1 else 's'} written to {written.path}{backup}; next: {written.next_command}"
        )

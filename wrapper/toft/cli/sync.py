"""`toft sync`: the working tree to the nodes, and results back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from toft.cli import shelf
from toft.cli.progress import shown
from toft.cli.session import Session, command
from toft.cli.terminal import as_json, clean
from toft.fleet import sync as syncing
from toft.fleet.failures import Failure

HELP = """Bring the tree you stand in to its mirror on the nodes, as it is now.

\b
  toft sync                      to every node that takes work unasked
  toft sync builders             to these
  toft sync n1 --dry-run         what would travel
  toft sync n1 --pull dist       bring dist back from n1's mirror
  toft sync --list               the mirrors that nodes keep: whose, since when unused, how large
  toft sync n1 --forget NAME     remove one (a dot for that of the tree you stand in)

In a git tree that is what git tracks and what it does not ignore; deletions are followed. What commands make
in a mirror stays there. `toft offload` does this by itself. A mirror that nothing has used for 30 days goes by
itself after some later sync, and of more than 50 trees of yours those used longest ago; never one that is in use,
or was within a day. `mirrors: {days: 30, most: 50}` in the configuration says otherwise.
"""


def register(app: typer.Typer) -> None:
    command(app, "sync", help=HELP)(sync)


def sync(
    session: Session,
    pattern: Annotated[str | None, typer.Argument(metavar="[PATTERN]")] = None,
    pull: Annotated[str | None, typer.Option("--pull", metavar="PATH", help="Bring this back from one node.")] = None,
    any_arch: Annotated[bool, typer.Option("--any-arch", help="Also programs for another kind of machine.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would travel; change nothing.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="What mirrors there are.")] = False,
    forget: Annotated[
        list[str] | None, typer.Option("--forget", metavar="NAME", help="Remove a mirror (repeatable).")
    ] = None,
) -> int:
    if listed or forget:
        if pull is not None or dry_run or (listed and forget):
            raise Failure("--list and --forget go with nothing but a PATTERN", "toft sync --help")
        return shelf.removed(session, pattern, forget) if forget else shelf.listed(session, pattern)
    if pull is not None:
        return _pull(session, pattern, pull, any_arch, dry_run)
    with shown(session, session.fleet) as (fleet, _):
        told = syncing.sync(fleet, pattern, dry=dry_run)
    if session.options.json:
        sys.stdout.write(as_json({"nodes": [one.to_dict() for one in told]}))
        return syncing.exit_code(told)
    for one in told:
        _show(session, one, dry_run)
    return syncing.exit_code(told)


def _pull(session: Session, pattern: str | None, path: str, any_arch: bool, dry_run: bool) -> int:
    if pattern is None or dry_run:
        raise Failure("--pull needs the node to pull from, and has no --dry-run", "toft sync NODE --pull PATH")
    told = syncing.pull(session.fleet, pattern, path, any_arch=any_arch)
    sys.stdout.write(as_json(told.to_dict()) if session.options.json else told.line() + "\n")
    return 0


def _show(session: Session, told: syncing.Told, dry_run: bool) -> None:
    if told.error:
        session.complain(told.error["message"])
        if told.error.get("fix"):
            session.complain(f"try: {told.error['fix']}")
    elif told.outcome == "shared":
        sys.stdout.write(f"{told.node}: shared storage, {clean(told.path or '')}\n")
    elif dry_run:
        for mark, paths in (("+", told.send), ("-", told.drop)):
            sys.stdout.write("".join(f"{told.node} {mark} {clean(path)}\n" for path in sorted(paths)))
    elif told.outcome == "synced":
        sys.stdout.write(told.line() + "\n")

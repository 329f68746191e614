"""`toft offload`, `toft attach`, `toft logs -f`: a job's bytes between this terminal and its node."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from toft.cli.options import environment, form_of
from toft.cli.progress import shown
from toft.cli.session import Session, command, complete_names
from toft.cli.streaming import Ladder, raw_terminal, window
from toft.cli.terminal import as_json
from toft.engine.control import Control
from toft.engine.stdin import Stdin, source
from toft.engine.streams import write_all
from toft.fleet.commands import Words
from toft.fleet.failures import Failure
from toft.fleet.follow import UNKNOWN, Followed, Wishes, ending, follow
from toft.fleet.offload import Offload, Started, start
from toft.fleet.sync import pull_of

HELP = """Run a command on the node where it runs best; its output and exit code come back here.

\b
  toft offload make -j8                  where it runs best
  toft offload pi1 uname -a              on pi1
  toft offload 'cd api && make'          one word with spaces: a shell line
  toft offload --on builders -- pytest   among the builders
  toft offload --detach make; toft jobs  leave it running

toft's options come before the first word of the command; the rest belongs to the command. Ctrl-C interrupts
it, a second one kills it, a third lets it run on and goes.
"""


def register(app: typer.Typer) -> None:
    command(app, "offload", words=True, help=HELP)(offload)


def offload(
    session: Session,
    words: Annotated[list[str], typer.Argument(metavar="[NODE] CMD...", autocompletion=complete_names)],
    on: Annotated[str | None, typer.Option("--on", metavar="PATTERN", help="Only these nodes.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="Variable for it.")] = None,
    env_file: Annotated[Path | None, typer.Option("--env-file", metavar="F", help="Variables, a line each.")] = None,
    cwd: Annotated[str | None, typer.Option("--cwd", metavar="DIR", help="Directory on the node.")] = None,
    become: Annotated[bool, typer.Option("--become", help="Run as root there (sudo).")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0.1, help="Stop it after S seconds.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it, print its id, and go.")] = False,
    tty: Annotated[bool, typer.Option("--tty", help="Give it a terminal.")] = False,
    shell: Annotated[bool, typer.Option("--shell", help="The words are a shell line.")] = False,
    exec_: Annotated[bool, typer.Option("--exec", help="The words are an argv.")] = False,
    retry: Annotated[
        int, typer.Option("--retry", metavar="N", min=0, help="Other nodes to try if it cannot start.")
    ] = 0,
    sync: Annotated[
        bool | None, typer.Option("--sync/--no-sync", help="Bring the tree along; a working tree always is.")
    ] = None,
    pull: Annotated[
        str | None, typer.Option("--pull", metavar="PATH", help="Bring this back when it has ended.")
    ] = None,
    any_arch: Annotated[bool, typer.Option("--any-arch", help="Pull programs for other machines too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say where it would run; run nothing.")] = False,
) -> int:
    given = Words(tuple(words), form_of(shell, exec_), not session.separator_before(words))
    if dry_run:
        from toft.cli.route import show_route

        return show_route(session, given, on=on, declared=False)
    request = Offload(
        given, on, cwd, environment(session.env, env or [], env_file), timeout,
        stdin=not detach and not _nothing_to_read(), tty=window(session.env) if tty else None,
        become=become, retries=retry, sync=sync, awaited=not detach, brief=not _input_is_ready(),
    )  # fmt: skip
    if pull is not None and (detach or sync is False):
        raise Failure("--pull needs the command's end and its tree", "toft sync NODE --pull PATH, later")
    with Ladder() as ladder:
        fleet = session.fleet.cancellable(lambda: ladder.interrupted)
        with shown(session, fleet) as (telling, voice):
            started = start(telling, request, voice.say)
        _tell(session, started)
        if detach:
            return _detached(session, started)
        ladder.begin(tty=tty)
        with raw_terminal(tty):
            followed = _follow(session, started, ladder.control, source(0) if request.stdin else None)
    code = report(session, followed)
    if code == 127 and (near := started.decision.get("near")):
        session.say(f"if the node {near} was meant: toft offload {near} CMD...")
    return code if pull is None else _pulled(session, started, followed, pull, any_arch) or code


def _pulled(session: Session, started: Started, followed: Followed, path: str, any_arch: bool) -> int:
    """Bring results back. What the command ended with counts more than that they could not be brought."""
    if followed.detached or not followed.job.final or started.tree is None:
        session.complain(f"--pull {path}: nothing was brought back")
        return followed.code or 1
    if started.brought is None or started.placed is None:
        return 0  # it ran on this very storage
    try:
        told = pull_of(session.fleet, started.tree, followed.job, started.placed["lease"], path, any_arch=any_arch)
    except Failure as failure:
        session.complain(failure.message)
        if failure.hint:
            session.complain(f"try: {failure.hint}")
        return followed.code or 1
    if told.moved:
        session.say(f"pull: {told.line()}")
    return 0


def _follow(session: Session, started: Started, control: Control, stdin: Stdin | None) -> Followed:
    write = beside_json if session.options.json else put_out
    return follow(session.fleet, started.job, Wishes(write, session.say, control, stdin), started.brief)


def put_out(stream: str, data: bytes) -> None:
    """The bytes as they are: stdout to stdout, stderr to stderr."""
    write_all(1 if stream == "stdout" else 2, data)


def beside_json(stream: str, data: bytes) -> None:
    """With --json, stdout is for the record; all that the command says goes to stderr."""
    write_all(2, data)


def report(session: Session, followed: Followed) -> int:
    """After the last byte: what the exit code alone does not say, and the record if JSON is wanted."""
    if session.options.json:
        sys.stdout.write(as_json(followed.job.to_dict()))
    if followed.detached:
        session.complain(f"let go; job {followed.job.id} runs on {followed.job.node}: toft attach {followed.job.id}")
    elif text := ending(followed.job):
        (session.say if followed.job.state in ("exited", "signaled") else session.complain)(text)
    return followed.code


def _tell(session: Session, started: Started) -> None:
    decision = started.decision
    if started.announcement:
        started.announcement.show(session.say)
    if sys.stderr.isatty() or session.options.verbose or decision.get("note"):
        session.say(f"{started.job.id} on {decision['node']}: {decision['why']}")
    if started.brought and (started.brought.moved or session.options.verbose):
        session.say(f"sync: {started.brought.line()}")


def _detached(session: Session, started: Started) -> int:
    if session.options.json:
        sys.stdout.write(as_json(started.job.to_dict()))
    else:
        sys.stdout.write(started.job.id + "\n")
    if started.sure:
        return 0
    session.complain(ending(started.job))
    return UNKNOWN


def _nothing_to_read() -> bool:
    """Whether stdin is closed or /dev/null: then the command gets none either."""
    try:
        here, null = os.fstat(0), os.stat(os.devnull)
    except OSError:
        return True
    return (here.st_dev, here.st_ino) == (null.st_dev, null.st_ino)


def _input_is_ready() -> bool:
    """Whether stdin is a file or a pipe, which the command will likely want at once; a person types later."""
    return not _nothing_to_read() and not os.isatty(0)

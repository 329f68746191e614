"""`toft exec`: one command on many nodes."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from toft.cli.offload import put_out, report
from toft.cli.options import environment, form_of
from toft.cli.session import Session, command, complete_names
from toft.cli.streaming import Ladder
from toft.cli.terminal import as_json
from toft.engine.streams import write_all
from toft.fleet.commands import Words
from toft.fleet.execute import Result, folded, follow_all, overall, start_all
from toft.fleet.follow import Wishes, ending, follow
from toft.fleet.nodeset import fold
from toft.fleet.offload import Offload

HELP = """Run one command on every node that matches; equal output is shown once, under its nodes.

\b
  toft exec all uptime
  toft exec 'builders:!pi*' gcc --version
  toft exec pi1,pi2 'df -h / | tail -1'
  toft exec --json all uname -r

The exit code is the command's on one node; on many, 0 if all ended with 0, else 1.
"""


def register(app: typer.Typer) -> None:
    command(app, "exec", words=True, help=HELP)(execute)


def execute(
    session: Session,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", autocompletion=complete_names)],
    words: Annotated[list[str], typer.Argument(metavar="CMD...")],
    env: Annotated[list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="Variable for it.")] = None,
    env_file: Annotated[Path | None, typer.Option("--env-file", metavar="F", help="Variables, a line each.")] = None,
    cwd: Annotated[str | None, typer.Option("--cwd", metavar="DIR", help="Directory on the nodes.")] = None,
    become: Annotated[bool, typer.Option("--become", help="Run as root there (sudo).")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0.1, help="Stop it after S seconds.")
    ] = None,
    shell: Annotated[bool, typer.Option("--shell", help="The words are a shell line.")] = False,
    exec_: Annotated[bool, typer.Option("--exec", help="The words are an argv.")] = False,
) -> int:
    given = Words(tuple(words[1:] if words[0] == "--" and len(words) > 1 else words), form_of(shell, exec_))
    request = Offload(
        given, None, cwd, environment(session.env, env or [], env_file), timeout, stdin=False, become=become
    )
    with Ladder() as ladder, ExitStack() as files:
        fleet = session.fleet.cancellable(lambda: ladder.interrupted)
        started = start_all(fleet, pattern, request)
        ladder.begin()
        if len(started) == 1 and started[0].error is None and not session.options.json:
            (one,) = started
            return report(session, follow(fleet, one.job, Wishes(put_out, session.say, ladder.control), one.brief))
        count = _Counter(session, len(started))
        results = follow_all(fleet, started, ladder.control, count.one_more, files)
        count.clear()
        return _show(session, results)


class _Counter:
    """How many have ended, on a terminal only."""

    def __init__(self, session: Session, total: int) -> None:
        self._session, self._total, self._done = session, total, 0
        self._live = session.err.live and not session.options.quiet

    def one_more(self, result: Result) -> None:
        self._done += 1
        if self._live:
            sys.stderr.write(f"\r\x1b[Ktoft: {self._done} of {self._total}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _show(session: Session, results: list[Result]) -> int:
    if session.options.json:
        sys.stdout.write(as_json({"jobs": [_as_json(result) for result in results]}))
        return overall(results)
    for group in folded(results):
        _show_group(session, group)
    return overall(results)


def _show_group(session: Session, group: list[Result]) -> None:
    first = group[0]
    names = fold(result.job.node or "?" for result in group)
    count = f" ({len(group)})" if len(group) > 1 else ""
    code = f" exit {first.code}" if first.code else ""
    head = session.out.style(f"{names}{count}{code}", "bold", "red" if first.code else "green")
    sys.stdout.write(f"{head}\n")
    sys.stdout.flush()
    for stream, fd in (("stdout", 1), ("stderr", 2)):
        _copy(first.output[stream], fd)
    if first.job.state != "exited" or first.error:
        why = first.error["message"] if first.error else ending(first.job)
        session.say(f"{names}: {why}" if why else "")
    if first.error and first.error.get("fix"):
        session.say(f"try: {first.error['fix']}")
    for job in (result.job for result in group if result.job.state == "running"):
        session.complain(f"let go; job {job.id} runs on {job.node}: toft attach {job.id}")


def _copy(file: IO[bytes], fd: int) -> None:
    """To the descriptor as it is; a last line without an end gets one, so that the next head stands alone."""
    file.seek(0)
    last = b"\n"
    while chunk := file.read(1 << 20):
        write_all(fd, chunk)
        last = chunk[-1:]
    if last != b"\n":
        write_all(fd, b"\n")


def _as_json(result: Result) -> dict[str, Any]:
    texts = {}
    for stream, file in result.output.items():
        file.seek(0)
        texts[stream] = file.read(1 << 20).decode(errors="replace")
    return {**result.job.to_dict(), **texts, "exit_code": result.code if result.job.state != "running" else None}

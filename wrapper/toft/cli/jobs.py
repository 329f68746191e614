"""`toft jobs`, `logs`, `attach`, `wait`, `kill`, `rm`: jobs that were started before, here or elsewhere."""

from __future__ import annotations

import signal as signals
import sys
from typing import Annotated

import typer

from toft.cli.offload import beside_json, put_out, report
from toft.cli.session import Session, command
from toft.cli.streaming import Ladder
from toft.cli.terminal import Cell, Palette, as_json, duration, table
from toft.engine.control import Control
from toft.engine.stdin import source
from toft.fleet import jobs as use
from toft.fleet.failures import Failure
from toft.fleet.follow import Wishes, exit_code, follow
from toft.store.records import Job

JOBS = """List jobs, the newest first, as their nodes say now.

\b
  toft jobs
  toft jobs --running
  toft jobs --json
"""
LOGS = """Print a job's output: stdout to stdout, stderr to stderr.

\b
  toft logs j3k9            what there is
  toft logs -f j3k9         and what comes, to the end
"""
ATTACH = """Follow a job as if it had been started here: its output from the first byte, and its exit code.

\b
  toft attach j3k9

Ctrl-C interrupts the job, a second one kills it; Ctrl-\\ leaves it running and goes.
"""
WAIT = """Wait for jobs to end, and exit as the job did (with several: 0 if all did, else 1).

\b
  toft wait j3k9
  toft wait j3k9 j7x2
"""
KILL = """Send a signal to a job: TERM, unless another is named.

\b
  toft kill j3k9
  toft kill --signal KILL j3k9
"""
REMOVE = """Remove finished jobs: the record here and the files on the node.

\b
  toft rm j3k9 j7x2
"""

Ids = Annotated[list[str], typer.Argument(metavar="ID...")]
Id = Annotated[str, typer.Argument(metavar="ID")]


def register(app: typer.Typer) -> None:
    command(app, "jobs", help=JOBS)(jobs)
    command(app, "logs", help=LOGS)(logs)
    command(app, "attach", help=ATTACH)(attach)
    command(app, "wait", help=WAIT)(wait)
    command(app, "kill", help=KILL)(kill)
    command(app, "rm", help=REMOVE)(remove)


def jobs(
    session: Session,
    everything: Annotated[bool, typer.Option("--all", help="Also older ones than the last 50.")] = False,
    running: Annotated[bool, typer.Option("--running", help="Only those that have not ended.")] = False,
) -> int:
    found = [job for job in use.listed(session.fleet, everything=everything) if not (running and job.final)]
    if session.options.json:
        sys.stdout.write(as_json({"jobs": [job.to_dict() for job in found]}))
    elif found:
        sys.stdout.write(text(session.out, found))
    else:
        session.say("no job is running" if running else "no jobs yet; try: toft offload uname -a")
    return 0


def logs(
    session: Session,
    job_id: Id,
    keep_following: Annotated[bool, typer.Option("-f", "--follow", help="Until the job ends.")] = False,
) -> int:
    job = _on_node(use.find(session.fleet, job_id))
    followed = follow(session.fleet, job, Wishes(put_out, session.say, Control(), wait=keep_following))
    return followed.code if followed.code == 255 and followed.job.state == "unknown" else 0


def attach(session: Session, job_id: Id) -> int:
    job = _on_node(use.find(session.fleet, job_id))
    with Ladder() as ladder:
        ladder.begin()
        stdin = source(0) if sys.stdin.isatty() and not job.final else None
        write = beside_json if session.options.json else put_out
        followed = follow(session.fleet, job, Wishes(write, session.say, ladder.control, stdin))
    return report(session, followed)


def wait(session: Session, ids: Ids) -> int:
    codes, records = [], []
    for job_id in ids:
        job = use.find(session.fleet, job_id)
        if not job.final:
            wishes = Wishes(lambda stream, data: None, session.say, Control())
            job = follow(session.fleet, _on_node(job), wishes).job
        codes.append(exit_code(job))
        records.append(job)
    if session.options.json:
        sys.stdout.write(as_json({"jobs": [job.to_dict() for job in records]}))
    return codes[0] if len(codes) == 1 else int(any(codes))


def kill(
    session: Session,
    ids: Ids,
    signal: Annotated[str, typer.Option("--signal", metavar="S", help="Its name or number.")] = "TERM",
) -> int:
    name = _signal_name(signal)
    for job_id in ids:
        use.signal(session.fleet, use.find(session.fleet, job_id), name)
    return 0


def remove(session: Session, ids: Ids) -> int:
    for job_id in ids:
        use.remove(session.fleet, use.find(session.fleet, job_id))
    return 0


def text(palette: Palette, found: list[Job]) -> str:
    heads = ("ID", "NODE", "STATE", "CODE", "TIME", "STARTED", "COMMAND")
    return table(palette, heads, [_row(palette, job) for job in found])


def _row(palette: Palette, job: Job) -> list[Cell]:
    colour = {"running": "cyan", "exited": "green" if job.exit_code == 0 else "red"}.get(job.state, "yellow")
    words = job.command[0] if len(job.command) == 1 else " ".join(map(_shown, job.command))
    room = max(20, palette.width - 70)
    return [
        Cell(job.id, ("bold",)),
        Cell(job.node or "-"),
        Cell(job.state, (colour,)),
        Cell("-" if job.exit_code is None else str(job.exit_code), right=True),
        Cell(duration(job.duration_s), right=True),
        Cell((job.started_at or job.created_at)[:19].replace("T", " ")),
        Cell(words if len(words) <= room or not palette.live else words[: room - 1] + "…"),
    ]


def _shown(word: str) -> str:
    import shlex

    return shlex.quote(word)


def _on_node(job: Job) -> Job:
    if job.transport is None:
        raise Failure(
            f"job {job.id} was never on a node: {job.error or job.state}", "toft jobs", exit_code=exit_code(job)
        )
    return job


def _signal_name(given: str) -> str:
    name = given.upper().removeprefix("SIG")
    if name.isdigit() and int(name) in signals.valid_signals():
        return signals.Signals(int(name)).name.removeprefix("SIG")
    if f"SIG{name}" in signals.Signals.__members__:
        return name
    raise Failure(f"there is no signal {given!r}", "toft kill --signal KILL ID")

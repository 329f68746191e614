"""`toft parallel`: many commands at once."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from toft.cli.options import environment
from toft.cli.parallel_view import View, viewing
from toft.cli.session import Session, command
from toft.cli.streaming import Ladder
from toft.cli.terminal import as_json, clean, duration
from toft.fleet import timeline
from toft.fleet.allotment import INDEPENDENT, Allotment, Before, Parallel, allot
from toft.fleet.command_list import command_list
from toft.fleet.failures import Failure
from toft.fleet.joblog import JobLog, of_job, read
from toft.fleet.parallel import Watch, run
from toft.fleet.rows import Outcome, Row

HELP = """Run many commands at once, each where it runs best; what depends on another waits for it.

\b
  toft parallel pytest "npm test" "make check"      three suites at once
  toft parallel '"pytest" | "npm test"'             the same form in one argument
  toft parallel --dry-run "make" "make test"        the plan, and why
  toft parallel --after 2:1 ./fill.sh ./ask.sh      2 waits for 1
  toft parallel --joblog runs.log CMD CMD...        what ran, when, with which exit code
  toft parallel --resume runs.log CMD CMD...        only what failed or is missing there

Each argument is one shell command line. Commands that read what another writes, or write the same, keep the
order given. The exit code is 0 if all ended with 0, else 1; 255 if nobody knows what became of one.
"""


def register(app: typer.Typer) -> None:
    command(app, "parallel", words=True, help=HELP)(parallel)


def parallel(
    session: Session,
    words: Annotated[list[str], typer.Argument(metavar="CMD CMD...")],
    on: Annotated[str | None, typer.Option("--on", metavar="PATTERN", help="Only these nodes.")] = None,
    slots: Annotated[int | None, typer.Option("--slots", metavar="N", min=1, help="At once on each node.")] = None,
    after: Annotated[list[str] | None, typer.Option("--after", metavar="B:A", help="B waits for A.")] = None,
    independent: Annotated[bool, typer.Option("--independent", help="Look for no dependencies.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop all at the first failure.")] = False,
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="S", min=0.1, help="For each.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="Variable for them.")] = None,
    env_file: Annotated[Path | None, typer.Option("--env-file", metavar="F", help="Variables, a line each.")] = None,
    cwd: Annotated[str | None, typer.Option("--cwd", metavar="DIR", help="Directory on the nodes.")] = None,
    sync: Annotated[
        bool | None, typer.Option("--sync/--no-sync", help="Bring the tree along; a working tree always is.")
    ] = None,
    become: Annotated[bool, typer.Option("--become", help="Run as root there (sudo).")] = False,
    joblog: Annotated[Path | None, typer.Option("--joblog", metavar="FILE", help="GNU parallel's log.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", metavar="FILE", help="Not what FILE has done.")] = None,
    page: Annotated[Path | None, typer.Option("--timeline", metavar="FILE.html", help="What ran when.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; run nothing.")] = False,
) -> int:
    since = time.monotonic()
    asked = Parallel(
        command_list(words), on, slots, _pairs(after or ()), independent, fail_fast, cwd,
        environment(session.env, env or [], env_file), timeout, become, sync,
    )  # fmt: skip
    before = _before(session, asked, resume)
    with Ladder() as ladder:
        allotment = allot(session.fleet.cancellable(lambda: ladder.interrupted), asked, before)
        if dry_run:
            return _show_plan(session, allotment, page)
        log = JobLog(joblog or resume) if joblog or resume else None  # type: ignore[arg-type]  # one is there
        ladder.begin()
        with viewing(session, len(allotment.tasks), since) as (fleet, view), view:
            say = view.say
            watch = Watch(
                lambda row: _changed(view, log, row), view.wrote, view.tick, say, lambda announced: announced.show(say)
            )
            outcome = run(fleet, allotment, ladder.control, watch, since)
    return _report(session, allotment, outcome, page)


def _pairs(given: list[str] | tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """`2:1` and `3:1,2`: the first number waits for the others."""
    found = []
    for text in given:
        if not re.fullmatch(r"[0-9]{1,6}:[0-9]{1,6}(,[0-9]{1,6})*", text):
            raise Failure(f"--after {text}: it must be B:A, as in --after 2:1 (2 waits for 1)")
        later, _, earlier = text.partition(":")
        found += [(int(later), int(each)) for each in earlier.split(",")]
    return tuple(found)


def _before(session: Session, asked: Parallel, resume: Path | None) -> Before:
    if resume is None:
        return Before()
    lines = read(resume, asked.commands)
    left_out = frozenset(number for number, line in lines.items() if line.fate != "failed")
    for number in sorted(left_out):
        if lines[number].fate == "unknown":
            session.complain(f"{number} is not run again: nobody knows what became of it on {lines[number].node}")
    done = {number: line.node for number, line in lines.items() if line.fate == "done"}
    if len(left_out) == len(asked.commands):
        raise Failure(f"{resume} says that all of it is done", f"rm {resume}", 0)
    return Before(left_out, done)


def _changed(view: View, log: JobLog | None, row: Row) -> None:
    view.changed(row)
    if log is not None and row.phase == "ended":
        line = of_job(row.number, row.command, row.job, row.code or 0)
        if line is not None:
            log.add(line)


# ---- what is said at the end -------------------------------------------------


def _report(session: Session, allotment: Allotment, outcome: Outcome, page: Path | None) -> int:
    bars = timeline.of_outcome(outcome)
    if page is not None:
        _write(page, timeline.page(bars, _summary(outcome), _reasons(allotment)))
    if session.options.json:
        sys.stdout.write(as_json(outcome.to_dict()))
    elif session.err.live or session.options.verbose:
        for line in timeline.text(bars, min(session.err.width, 100) - len("toft: ")) if len(bars) <= 50 else ():
            session.say(line)
    for row in outcome.rows:
        if row.code and row.phase == "ended":
            session.say(f"{row.number} {_how(row)}: {row.command}")
    session.say(_summary(outcome))
    return outcome.code


def _how(row: Row) -> str:
    where = f"on {row.job.node} ({row.job.id})"
    if row.detached:
        return f"runs on {where}: toft attach {row.job.id}"
    if row.job.state == "exited":
        return f"ended with {row.code} {where}"
    if row.job.state == "signaled":
        return f"was ended by signal {row.job.signal} {where}"
    return f"is {row.job.state.replace('_', ' ')} {where}"


def _summary(outcome: Outcome) -> str:
    rows = outcome.rows
    good = sum(1 for row in rows if row.code == 0 and row.phase == "ended")
    open_end = sum(1 for row in rows if row.job.state in ("unknown", "running"))
    counts = [
        (sum(1 for row in rows if row.phase == "ended" and row.code) - open_end, "failed"),
        (open_end, "unknown"),
        (sum(1 for row in rows if row.phase == "skipped"), "not started"),
    ]
    told = "".join(f", {count} {what}" for count, what in counts if count)
    nodes = len({row.job.node for row in rows if row.phase == "ended"})
    times = f"{outcome.wall_s:.1f} s, one after another {outcome.sequential_s:.1f} s"
    faster = f": {outcome.speedup:.1f} times as fast" if outcome.speedup and outcome.speedup > 1 else ""
    return f"{good} of {len(rows)} ok{told} on {nodes} node{'s' if nodes != 1 else ''} in {times}{faster}"


def _reasons(allotment: Allotment) -> list[str]:
    return [f"{edge.after} after {edge.before}: {edge.because}" for edge in allotment.edges if not edge.implied]


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise Failure(f"the timeline {page} cannot be written: {error.strerror}") from error


# ---- the plan ----------------------------------------------------------------


def _show_plan(session: Session, allotment: Allotment, page: Path | None) -> int:
    sequential = round(sum(span.end - span.begin for span in allotment.spans), 3)
    bars = timeline.of_plan(allotment)
    if page is not None:
        _write(page, timeline.page(bars, f"A plan: {allotment.wall_s:.1f} s", _reasons(allotment)))
    if session.options.json:
        sys.stdout.write(as_json(_plan_as_json(allotment, sequential)))
        return 0
    for number, decision in allotment.decisions.items():
        sys.stdout.write(f"{_planned(allotment, number, decision)}\n")
    for line in timeline.text(bars, min(session.out.width, 100)) if len(bars) <= 50 else ():
        sys.stdout.write(f"{line}\n")
    for reason in _reasons(allotment):
        sys.stdout.write(f"{clean(reason)}\n")
    if not allotment.edges:
        sys.stdout.write(f"independent: {INDEPENDENT}\n")
    for group in allotment.unpinned:
        numbers = ", ".join(map(str, sorted(group)))
        session.say(f"no node can run all of {numbers}: what one leaves on its node is not on the others'")
    told = f"{duration(allotment.wall_s)}, one after another {duration(sequential)}"
    sys.stdout.write(f"as planned {told}\n")
    return 0


def _planned(allotment: Allotment, number: int, decision: dict[str, Any]) -> str:
    span = next((span for span in allotment.spans if span.number == number), None)
    task = next((task for task in allotment.tasks if task.number == number), None)
    text = clean(allotment.command(number)).replace("\n", " ")
    if task is None:
        return f"{number}  done  {text}"
    if span is None:
        return f"{number}  -  {text}\n     {clean(decision['why'])}"
    sure = "" if span.node in task.known else " (a guess)"
    able = ", ".join(decision["eligible"])
    return f"{number}  {span.node}  {duration(span.end - span.begin)}{sure}  {text}\n     could run on {able}"


def _plan_as_json(allotment: Allotment, sequential: float) -> dict[str, Any]:
    spans = {span.number: span for span in allotment.spans}
    jobs = []
    for task in allotment.tasks:
        span, decision = spans.get(task.number), allotment.decisions[task.number]
        jobs.append(
            {
                "number": task.number,
                "command": [allotment.command(task.number)],
                "node": span.node if span else None,
                "state": "queued" if span else "not_started",
                "begin_s": span.begin if span else None,
                "duration_s": span.end - span.begin if span else None,
                "known": bool(span and span.node in task.known),
                "eligible": decision["eligible"],
                "why": decision["why"],
            }
        )
    wall = allotment.wall_s
    edges = [edge.to_dict() for edge in allotment.edges]
    times = {"wall_s": wall, "sequential_s": sequential, "speedup": round(sequential / wall, 2) if wall else None}
    return {"dry_run": True, "jobs": jobs, "edges": edges, **times}

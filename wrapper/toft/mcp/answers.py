"""What is said of a job, or of several: figures while they run, the answer when they have ended, facts to keep."""

from __future__ import annotations

from typing import Any

from toft.fleet.follow import Followed
from toft.fleet.rows import Outcome
from toft.mcp import results
from toft.mcp.desk import Running, Several


def progress(running: Running, seconds: float) -> str:
    """Figures only: what a node prints is not put into a client's status line."""
    if running.started is None:
        return f"looking for a node ({seconds:.0f} s)"
    return f"{running.started.job.id} on {running.started.job.node}: {seconds:.0f} s, {running.printed} bytes of output"


def run(followed: Followed, running: Running) -> results.Run:
    job, started = followed.job, running.started
    why = str(started.decision["why"]) if started else ""
    more = f"it runs on; ask again: job_status({job.id!r})" if followed.detached else ""
    streams = {name: results.output(job.id, name, trimmed) for name, trimmed in running.output.items()}
    return results.Run(
        job=results.record(job),
        exit_code=None if followed.detached else followed.code,
        ended=job.final,
        why=why,
        note="; ".join([*running.notes, *([more] if more else [])]),
        untrusted=results.untrusted(job.node),
        announcement=started.announcement.text if started and started.announcement else None,
        **streams,
    )


def progress_of_all(several: Several, seconds: float) -> str:
    running = sum(row.phase == "running" for row in several.rows.values())
    ended = sum(row.final for row in several.rows.values())
    return f"{running} running, {ended} of {len(several.rows)} ended, {seconds:.0f} s"


def together(outcome: Outcome, several: Several) -> results.Together:
    rows = [
        results.Numbered(
            number=row.number,
            job=results.record(row.job),
            exit_code=row.code,
            **{name: results.output(row.job.id, name, trimmed) for name, trimmed in several.output[row.number].items()},
        )
        for row in outcome.rows
    ]
    return results.Together(
        jobs=rows,
        edges=[results.Edge.model_validate(edge.to_dict()) for edge in outcome.edges],
        wall_s=round(outcome.wall_s, 3),
        sequential_s=outcome.sequential_s,
        speedup=outcome.speedup,
        exit_code=outcome.code,
        note="; ".join(several.notes),
        untrusted=results.untrusted("each job's own"),
        announcement=several.announcement,
    )


def facts(answer: object) -> dict[str, Any]:
    """What the audit keeps of an answer."""
    if isinstance(answer, results.Run):
        return {"job": answer.job.id, "node": answer.job.node, "state": answer.job.state, "exit_code": answer.exit_code}
    if isinstance(answer, results.Together):
        return {"jobs": [row.job.id for row in answer.jobs], "exit_code": answer.exit_code}
    if isinstance(answer, results.JobRecord):
        return {"job": answer.id, "node": answer.node, "state": answer.state, "exit_code": answer.exit_code}
    return {}

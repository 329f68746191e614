"""A call of a tool: written down, judged, done in a thread, told of, answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from toft.fleet.allotment import Parallel
from toft.fleet.failures import Failure
from toft.fleet.follow import Followed
from toft.fleet.policy import Verdict
from toft.fleet.rows import Outcome
from toft.mcp import results
from toft.mcp.desk import Desk, Running, Several, Wanted
from toft.mcp.gate import Call, Gate
from toft.mcp.work import Steering, Threads
from toft.store.records import Job

T = TypeVar("T")


class Approval(BaseModel):
    """What a person answers when asked."""

    allow: bool = Field(description="Allow it this once")


@dataclass(frozen=True)
class Face:
    """What the tools share. `ours`: the jobs that this session started."""

    desk: Desk
    gate: Gate
    threads: Threads
    ours: set[str] = field(default_factory=set)

    async def through(self, call: Call, work: Callable[[], Awaitable[T]]) -> T:
        """A call from its first line in the audit to its last; failures become a tool's error."""
        facts: dict[str, Any] = {"outcome": "cancelled"}
        try:
            self.gate.begin(call)
            answer = await work()
            facts = {"outcome": "answered", **_facts(answer)}
            return answer
        except Failure as failure:
            facts = {"outcome": "failed", "error": failure.message, "exit_code": failure.exit_code}
            raise ToolError(_words(failure)) from failure
        finally:
            with suppress(Failure):
                self.gate.end(call, **facts)

    async def admit(self, ctx: Context[Any, Any], call: Call, verdict: Verdict, node: str | None = None) -> None:
        await self.gate.admit(call, verdict, node, lambda question: _asked(ctx, question))

    async def blocking(self, work: Callable[[], T]) -> T:
        """A short use case: cancelled, its answer is not waited for by anybody, but it ends by itself."""
        steering = Steering()
        try:
            return await self.threads.run(work, steering, _nothing)
        finally:
            steering.close()

    async def run(
        self, ctx: Context[Any, Any], call: Call, wanted: Wanted, wait_s: float | None, more: dict[str, Any]
    ) -> results.Run:
        """Judge, start, follow; the job's record and its output."""
        wanted = await self._placed(ctx, call, wanted)
        running = Running(lambda job: self._began(call, job))

        def work(steering: Steering) -> Followed:
            if wait_s is not None:
                steering.leave_after(wait_s)
            return self.desk.run(call.command, wanted, more, steering, running)

        followed = await self.steered(ctx, work, lambda seconds: _progress(running, seconds))
        return _run(followed, running)

    async def together(self, ctx: Context[Any, Any], call: Call, asked: Parallel) -> results.Together:
        """Judge each command, plan, run; all records and outputs."""
        lines = [replace(call, command=command) for command in asked.commands]
        looks = self.gate.policy.looks_at_nodes
        nodes = (await self.blocking(lambda: self.desk.status([asked.on or "all"]))).nodes if looks else ()
        places: list[tuple[str | None, tuple[str, ...]]] = [(node.name, node.groups) for node in nodes]
        places = places or [(None, ())]
        verdicts = [self.gate.judged(line, *place) for line in lines for place in places]
        await self.admit(ctx, call, max(verdicts, key=lambda verdict: verdict.strictness))
        several = Several(lambda job: self._began(call, job))
        work = partial(self.desk.parallel, asked, several=several)
        outcome = await self.steered(ctx, work, lambda seconds: _progress_of_all(several, seconds))
        return _together(outcome, several)

    async def steered(
        self, ctx: Context[Any, Any], work: Callable[[Steering], T], describe: Callable[[float], str]
    ) -> T:
        """Blocking work with progress every second; cancelled, what it runs on nodes is stopped."""
        steering, begun = Steering(), time.monotonic()

        async def tick() -> None:
            seconds = time.monotonic() - begun
            await ctx.report_progress(round(seconds, 1), None, describe(seconds))

        try:
            return await self.threads.run(lambda: work(steering), steering, tick, lambda: _taken_back(ctx))
        finally:
            steering.close()

    def _began(self, call: Call, job: Job) -> None:
        """In a job's own thread, once it has started."""
        self.ours.add(job.id)
        with suppress(Failure):
            self.gate.started(call, job.id, job.node)

    async def _placed(self, ctx: Context[Any, Any], call: Call, wanted: Wanted) -> Wanted:
        """Admit the call, on the node where it will run if the policy looks at nodes."""
        if not self.gate.policy.looks_at_nodes:
            await self.admit(ctx, call, self.gate.judged(call, wanted.node), wanted.node)
            return wanted
        decision, groups = await self.blocking(lambda: self.desk.placed(call.command, wanted))
        node = decision["node"]
        if node is None:
            raise Failure(decision["why"], decision.get("fix") or "toft status", 125)
        await self.admit(ctx, call, self.gate.judged(call, node, groups), node)
        return Wanted(on=wanted.on if wanted.node else node, node=wanted.node)


async def _asked(ctx: Context[Any, Any], question: str) -> bool | None:
    capabilities = ctx.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return None
    try:
        answer = await ctx.elicit(question, Approval)
    except ValueError:  # an answer that is none
        return False
    return answer.action == "accept" and answer.data.allow


async def _nothing() -> None: ...


def _taken_back(ctx: Context[Any, Any]) -> bool:
    """Whether the client cancelled this request; otherwise the connection is going down.

    The SDK has the event, but not in its public surface: where it cannot be found, a cancellation is one.
    """
    outbound = getattr(ctx.session, "_request_outbound", None)
    event = getattr(outbound, "cancel_requested", None)
    return event is None or bool(event.is_set())


def _progress(running: Running, seconds: float) -> str:
    """Figures only: what a node prints is not put into a client's status line."""
    if running.started is None:
        return f"looking for a node ({seconds:.0f} s)"
    return f"{running.started.job.id} on {running.started.job.node}: {seconds:.0f} s, {running.printed} bytes of output"


def _run(followed: Followed, running: Running) -> results.Run:
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
        announcement=running.announcement,
        **streams,
    )


def _progress_of_all(several: Several, seconds: float) -> str:
    running = sum(row.phase == "running" for row in several.rows.values())
    ended = sum(row.final for row in several.rows.values())
    return f"{running} running, {ended} of {len(several.rows)} ended, {seconds:.0f} s"


def _together(outcome: Outcome, several: Several) -> results.Together:
    rows = [
        results.Numbered(
            number=row.number,
            job=results.record(row.job),
            exit_code=row.code,
            **{name: results.output(row.job.id, name, trimmed) for name, trimmed in several.output[row.number].items()},
        )
        for row in outcome.rows
    ]
    edges = [results.Edge.model_validate(edge.to_dict()) for edge in outcome.edges]
    return results.Together(
        jobs=rows,
        edges=edges,
        wall_s=round(outcome.wall_s, 3),
        sequential_s=outcome.sequential_s,
        speedup=outcome.speedup,
        exit_code=outcome.code,
        note="; ".join(several.notes),
        untrusted=results.untrusted("each job's own"),
        announcement=several.announcement,
    )


def _words(failure: Failure) -> str:
    return failure.message + (f"\ntry: {failure.hint}" if failure.hint else "")


def _facts(answer: object) -> dict[str, Any]:
    """What the audit keeps of an answer."""
    if isinstance(answer, results.Run):
        return {"job": answer.job.id, "node": answer.job.node, "state": answer.job.state, "exit_code": answer.exit_code}
    if isinstance(answer, results.Together):
        return {"jobs": [row.job.id for row in answer.jobs], "exit_code": answer.exit_code}
    if isinstance(answer, results.JobRecord):
        return {"job": answer.id, "node": answer.node, "state": answer.state, "exit_code": answer.exit_code}
    return {}

"""A call of a tool: written down, judged, done in a thread, told of, answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
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
from toft.mcp import answers, results
from toft.mcp.desk import Desk, Running, Several, Surroundings, Wanted
from toft.mcp.gate import Call, Gate
from toft.mcp.work import Steering, Threads
from toft.store.records import Job

T = TypeVar("T")
Place = tuple[str | None, tuple[str, ...]]
"""A node and its groups, for the policy; (None, ()) where it does not matter which node it is."""


class Approval(BaseModel):
    """What a person answers when asked."""

    allow: bool = Field(description="Allow it this once")


@dataclass(frozen=True)
class Face:
    """What the calls of a session share. `ours`: the jobs that it started."""

    desk: Desk
    gate: Gate
    threads: Threads
    ours: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Calling:
    """One call under way. `ctx` is the SDK's way back to the client."""

    face: Face
    ctx: Context[Any, Any]
    call: Call

    async def through(self, work: Callable[[Calling], Awaitable[T]]) -> T:
        """From its first line in the audit to its last; failures become a tool's error."""
        facts: dict[str, Any] = {"outcome": "cancelled"}
        try:
            self.face.gate.begin(self.call)
            answer = await work(self)
            facts = {"outcome": "answered", **answers.facts(answer)}
            return answer
        except Failure as failure:
            facts = {"outcome": "failed", "error": failure.message, "exit_code": failure.exit_code}
            raise ToolError(failure.message + (f"\ntry: {failure.hint}" if failure.hint else "")) from failure
        finally:
            with suppress(Failure):
                self.face.gate.end(self.call, **facts)

    # -- the policy --

    def about(self, command: str, surroundings: Surroundings) -> Calling:
        """The same call, where it is to run this command."""
        return replace(self, call=replace(self.call, command=command, env=surroundings.env, cwd=surroundings.cwd))

    def judged(self, places: Sequence[Place] = ((None, ()),)) -> Verdict:
        """The strictest word of all these places."""
        verdicts = [self.face.gate.judged(self.call, *place) for place in places]
        return max(verdicts, key=lambda verdict: verdict.strictness)

    async def admit(self, verdict: Verdict | None = None, node: str | None = None) -> None:
        """Raises Failure unless the call may go on."""
        await self.face.gate.admit(self.call, verdict or self.judged(), node, partial(_asked, self.ctx))

    async def places(self, pattern: str | None) -> list[Place]:
        """The nodes that this may be about, if the policy looks at nodes at all."""
        if not self.face.gate.policy.looks_at_nodes:
            return [(None, ())]
        nodes = (await self.blocking(lambda desk: desk.status([pattern or "all"]))).nodes
        return [(node.name, node.groups) for node in nodes] or [(None, ())]

    async def place_of(self, job: Job) -> Place:
        """Its node may have left the inventory; its name still counts."""
        try:
            (place,) = await self.places(job.node)
        except (Failure, ValueError):
            return job.node, ()
        return place

    # -- the work --

    async def blocking(self, work: Callable[[Desk], T]) -> T:
        """A short use case, without progress. Cancelled, it starts nothing more."""
        steering = Steering()
        desk = replace(self.face.desk, cancelled=steering.stopped.is_set)
        try:
            return await self.face.threads.run(lambda: work(desk), steering, _nothing)
        finally:
            steering.close()

    async def run(self, command: str, wanted: Wanted, surroundings: Surroundings, wait_s: float | None) -> results.Run:
        """Judge, start, follow; the job's record and its output."""
        calling = self.about(command, surroundings)
        wanted = await calling._placed(wanted)
        running = Running(calling._began)

        def work(desk: Desk, steering: Steering) -> Followed:
            if wait_s is not None:
                steering.leave_after(wait_s)
            return desk.run(command, wanted, surroundings, steering.control, running)

        followed = await calling._steered(work, lambda seconds: answers.progress(running, seconds))
        return answers.run(followed, running)

    async def together(self, asked: Parallel) -> results.Together:
        """Judge each command, plan, run; all records and outputs."""
        surroundings = Surroundings(asked.cwd, asked.env, asked.timeout_s)
        places = await self.places(asked.on)
        verdicts = [self.about(line, surroundings).judged(places) for line in asked.commands]
        await self.admit(max(verdicts, key=lambda verdict: verdict.strictness))
        several = Several(self._began)
        outcome = await self._steered(
            lambda desk, steering: desk.parallel(asked, steering.control, several),
            lambda seconds: answers.progress_of_all(several, seconds),
        )
        return answers.together(outcome, several)

    async def _steered(self, work: Callable[[Desk, Steering], T], describe: Callable[[float], str]) -> T:
        """Blocking work with progress every second; cancelled, what it runs on nodes is stopped."""
        steering, begun = Steering(), time.monotonic()
        desk = replace(self.face.desk, cancelled=steering.stopped.is_set)

        async def tick() -> None:
            seconds = time.monotonic() - begun
            await self.ctx.report_progress(round(seconds, 1), None, describe(seconds))

        taken_back = partial(_taken_back, self.ctx)
        try:
            return await self.face.threads.run(lambda: work(desk, steering), steering, tick, taken_back)
        finally:
            steering.close()

    def _began(self, job: Job) -> None:
        """In a job's own thread, once it has started."""
        self.face.ours.add(job.id)
        with suppress(Failure):
            self.face.gate.started(self.call, job.id, job.node)

    async def _placed(self, wanted: Wanted) -> Wanted:
        """Admit the call, on the node where it will run if the policy looks at nodes."""
        if not self.face.gate.policy.looks_at_nodes:
            await self.admit(node=wanted.node)
            return wanted
        decision, groups = await self.blocking(lambda desk: desk.placed(self.call.command, wanted))
        node = decision["node"]
        if node is None:
            raise Failure(decision["why"], decision.get("fix") or "toft status", 125)
        await self.admit(self.judged([(node, groups)]), node)
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

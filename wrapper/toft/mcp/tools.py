"""The tools, as an agent sees them. Each is one call through `Face`; nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import ToolAnnotations
from pydantic import Field

from toft.fleet.allotment import Parallel
from toft.fleet.audit import redacted
from toft.fleet.command_list import command_list
from toft.fleet.failures import Failure
from toft.fleet.policy import Verdict
from toft.mcp import results
from toft.mcp.desk import Wanted
from toft.mcp.face import Face
from toft.mcp.gate import Call
from toft.mcp.parameters import Command, Cwd, Env, JobId, NodeId, Pattern, RequiresArch, RequiresOs, TimeoutS, WaitS
from toft.mcp.trimming import text

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
RUNS = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=True)
SIGNALS = ("TERM", "INT", "HUP", "KILL", "QUIT", "USR1", "USR2", "STOP", "CONT")
LONGEST = 50_000
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
Commands = Annotated[list[str], Field(description="Shell command lines, one each.", min_length=1, max_length=1000)]
Slots = Annotated[int | None, Field(description="At once on each node, at most.", ge=1)]
Independent = Annotated[bool, Field(description="Look for no dependencies.")]
FailFast = Annotated[bool, Field(description="Stop all at the first failure.")]
Pull = Annotated[str | None, Field(description="Bring this path back from the one node named by `on`.")]

Anything = Context[Any, Any]
Nodes = Annotated[list[str] | None, Field(description="Names, groups or patterns; without it, all.")]
OneJob = Annotated[str | None, Field(description="One job; without it, all recent ones.")]
SignalName = Annotated[str, Field(description="Its name, without SIG.")]


def add_tools(server: MCPServer[Any], face: Face) -> None:
    _add_views(server, face)
    _add_runs(server, face)
    _add_many(server, face)
    _add_jobs(server, face)


def _add_views(server: MCPServer[Any], face: Face) -> None:
    @server.tool(annotations=READS)
    async def cluster_status(ctx: Anything, nodes: Nodes = None) -> results.ClusterStatus:
        """The live load of every node: system, CPU, memory, load, disk, running jobs; who is offline, and why."""
        call = _call(ctx, "cluster_status", nodes=nodes)

        async def work() -> results.ClusterStatus:
            await face.admit(ctx, call, face.gate.judged(call))
            taken = await face.blocking(lambda: face.desk.status(nodes or []))
            return results.ClusterStatus.model_validate(taken.to_dict())

        return await face.through(call, work)

    @server.tool(annotations=READS)
    async def route_command(
        ctx: Anything,
        command: Command,
        on: Pattern = None,
        requires_os: RequiresOs = None,
        requires_arch: RequiresArch = None,
    ) -> results.Route:
        """Where a command would run, and why, with what each other node lacked. Runs nothing."""
        wanted = Wanted(on, None, requires_os, requires_arch)
        call = _call(ctx, "route_command", about=command, on=on)

        async def work() -> results.Route:
            await face.admit(ctx, call, face.gate.judged(call))
            return results.matched(await face.blocking(lambda: face.desk.route(command, wanted)))

        return await face.through(call, work)


def _add_runs(server: MCPServer[Any], face: Face) -> None:
    @server.tool(annotations=RUNS)
    async def cluster_bash(
        ctx: Anything,
        command: Command,
        on: Pattern = None,
        requires_os: RequiresOs = None,
        requires_arch: RequiresArch = None,
        cwd: Cwd = None,
        env: Env = None,
        timeout_s: TimeoutS = None,
        wait_s: WaitS = None,
    ) -> results.Run:
        """Run a shell command on the node where it runs best: by the system and tools that it needs, then by load."""
        wanted = Wanted(on, None, requires_os, requires_arch)
        more = {"cwd": cwd, "env": env or {}, "timeout_s": timeout_s}
        call = _call(ctx, "cluster_bash", command, env, **vars(wanted), cwd=cwd, timeout_s=timeout_s)
        return await face.through(call, lambda: face.run(ctx, call, wanted, wait_s, more))

    @server.tool(annotations=RUNS)
    async def offload_to(
        ctx: Anything,
        node_id: NodeId,
        command: Command,
        requires_os: RequiresOs = None,
        requires_arch: RequiresArch = None,
        cwd: Cwd = None,
        env: Env = None,
        timeout_s: TimeoutS = None,
        wait_s: WaitS = None,
    ) -> results.Run:
        """Run a shell command on the node with this name. requires_os and requires_arch refuse it elsewhere."""
        wanted = Wanted(None, node_id, requires_os, requires_arch)
        more = {"cwd": cwd, "env": env or {}, "timeout_s": timeout_s}
        call = _call(ctx, "offload_to", command, env, **vars(wanted), cwd=cwd, timeout_s=timeout_s)
        return await face.through(call, lambda: face.run(ctx, call, wanted, wait_s, more))


def _add_many(server: MCPServer[Any], face: Face) -> None:
    @server.tool(annotations=RUNS)
    async def parallel_execute(
        ctx: Anything,
        commands: Commands,
        on: Pattern = None,
        slots: Slots = None,
        independent: Independent = False,
        fail_fast: FailFast = False,
        cwd: Cwd = None,
        env: Env = None,
        timeout_s: TimeoutS = None,
    ) -> results.Together:
        """Run several shell commands at once, each where it runs best; what depends on another waits for it."""
        shown = {"commands": [redacted(each) for each in commands], "on": on, "cwd": cwd}
        call = _call(ctx, "parallel_execute", "", env, **shown)

        async def work() -> results.Together:
            lines = command_list(commands)
            asked = Parallel(lines, on, slots, (), independent, fail_fast, cwd, env or {}, timeout_s)
            return await face.together(ctx, call, asked)

        return await face.through(call, work)

    @server.tool(annotations=CHANGES)
    async def sync(ctx: Anything, on: Pattern = None, pull: Pull = None, dry_run: bool = False) -> results.Syncs:
        """Bring the working tree to its mirror on the nodes, or a path of it back from one."""
        call = _call(ctx, "sync", on=on, pull=pull, dry_run=dry_run)

        async def work() -> results.Syncs:
            await face.admit(ctx, call, face.gate.judged(call))
            told = await face.blocking(lambda: face.desk.sync(on, pull, dry_run))
            return results.Syncs(nodes=[results.Synced.model_validate(one.to_dict()) for one in told])

        return await face.through(call, work)


def _add_jobs(server: MCPServer[Any], face: Face) -> None:
    @server.tool(annotations=READS)
    async def job_status(ctx: Anything, job_id: OneJob = None) -> results.Jobs:
        """A job, or all recent ones, as their nodes say now."""
        call = _call(ctx, "job_status", job=job_id)

        async def work() -> results.Jobs:
            await face.admit(ctx, call, face.gate.judged(call))
            found = await face.blocking(lambda: [face.desk.find(job_id)] if job_id else face.desk.listed())
            return results.Jobs(jobs=[results.record(job) for job in found])

        return await face.through(call, work)

    @server.tool(annotations=READS)
    async def job_output(
        ctx: Anything,
        job_id: JobId,
        stream: Literal["stdout", "stderr"] = "stdout",
        offset: Annotated[int, Field(description="In bytes; below 0 it counts from the end.")] = 0,
        length: Annotated[int, Field(description="Bytes.", ge=1, le=LONGEST)] = 16_000,
    ) -> results.Piece:
        """A stretch of what a job has printed so far, running or not."""
        call = _call(ctx, "job_output", job=job_id, stream=stream, offset=offset, length=length)

        async def work() -> results.Piece:
            await face.admit(ctx, call, face.gate.judged(call))
            job, piece = await face.blocking(lambda: face.desk.output(job_id, stream, offset, length))
            following = piece.offset + len(piece.data)
            return results.Piece(
                job=job.id,
                stream=stream,
                offset=piece.offset,
                bytes=len(piece.data),
                next_offset=following if piece.more or not job.final else None,
                ended=job.final and not piece.more,
                untrusted=results.untrusted(job.node),
                text=text(piece.data),
            )

        return await face.through(call, work)

    @server.tool(annotations=RUNS)
    async def job_kill(ctx: Anything, job_id: JobId, signal: SignalName = "TERM") -> results.JobRecord:
        """Send a signal to a job's process group: TERM, unless another is named."""
        call = _call(ctx, "job_kill", job=job_id, signal=signal)

        async def work() -> results.JobRecord:
            if signal not in SIGNALS:
                raise Failure(f"{signal!r} is no signal that can be sent", f"one of {', '.join(SIGNALS)}")
            job = await face.blocking(lambda: face.desk.find(job_id))
            await face.admit(ctx, call, _killing(face, call, job.id, job.node), job.node)
            return results.record(await face.blocking(lambda: face.desk.signal(job.id, signal)))

        return await face.through(call, work)


def _killing(face: Face, call: Call, job: str, node: str | None) -> Verdict:
    """A job that this session did not start is somebody's: a person is asked."""
    verdict = face.gate.judged(call, node)
    if verdict.decision == "allow" and not verdict.rule and job not in face.ours:
        return Verdict("ask", f"job {job} was not started in this session", "foreign job (built in)")
    return verdict


def _call(ctx: Anything, tool: str, command: str = "", env: Mapping[str, str] | None = None, **facts: Any) -> Call:
    known = {key: value for key, value in facts.items() if value is not None}
    return Call(tool, _client(ctx), command, known, env or {})


def _client(ctx: Anything) -> str:
    given = ctx.session.client_params
    return "unknown" if given is None else f"{given.client_info.name} {given.client_info.version}"[:100]

"""The tools, as an agent sees them: the name, the words and the types of each function are what it is told.

Each is one call through `Calling`, which has written it down before and writes down what became of it; a tool
admits it (`admit`, or what `run` and `together` do), then does its use case. A new tool is a function here and a
line in TOOLS. It must be admitted before it does anything: a test calls each with a policy that denies it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import ToolAnnotations

from toft.fleet.allotment import Parallel
from toft.fleet.audit import redacted
from toft.fleet.command_list import command_list
from toft.fleet.failures import Failure
from toft.fleet.policy import Verdict
from toft.mcp import results
from toft.mcp.calling import Calling, Face
from toft.mcp.desk import Surroundings, Wanted
from toft.mcp.gate import Call
from toft.mcp.parameters import (
    Command,
    Commands,
    Cwd,
    Env,
    FailFast,
    Independent,
    JobId,
    Length,
    NodeId,
    Nodes,
    Offset,
    OneJob,
    Pattern,
    Pull,
    RequiresArch,
    RequiresOs,
    SignalName,
    Slots,
    TimeoutS,
    WaitS,
)

Tool = Callable[..., Coroutine[Any, Any, Any]]
SIGNALS = ("TERM", "INT", "HUP", "KILL", "QUIT", "USR1", "USR2", "STOP", "CONT")


async def cluster_status(calling: Calling, nodes: Nodes = None) -> results.ClusterStatus:
    """The live load of every node: system, CPU, memory, load, disk, running jobs; who is offline, and why."""
    await calling.admit()
    taken = await calling.blocking(lambda desk: desk.status(nodes or []))
    return results.ClusterStatus.model_validate(taken.to_dict())


async def route_command(
    calling: Calling,
    command: Command,
    on: Pattern = None,
    requires_os: RequiresOs = None,
    requires_arch: RequiresArch = None,
) -> results.Route:
    """Where a command would run, and why, with what each other node lacked. Runs nothing."""
    await calling.admit()
    wanted = Wanted(on, None, requires_os, requires_arch)
    return results.matched(await calling.blocking(lambda desk: desk.route(command, wanted)))


async def cluster_bash(
    calling: Calling,
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
    return await calling.run(command, wanted, Surroundings(cwd, env or {}, timeout_s), wait_s)


async def offload_to(
    calling: Calling,
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
    return await calling.run(command, wanted, Surroundings(cwd, env or {}, timeout_s), wait_s)


async def parallel_execute(
    calling: Calling,
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
    lines = command_list(commands)
    return await calling.together(Parallel(lines, on, slots, (), independent, fail_fast, cwd, env or {}, timeout_s))


async def sync(calling: Calling, on: Pattern = None, pull: Pull = None, dry_run: bool = False) -> results.Syncs:
    """Bring the working tree to its mirror on the nodes, or a path of it back from one."""
    await calling.admit(calling.judged(await calling.places(on)))
    told = await calling.blocking(lambda desk: desk.sync(on, pull, dry_run))
    return results.Syncs(nodes=[results.Synced.model_validate(one.to_dict()) for one in told])


async def job_status(calling: Calling, job_id: OneJob = None) -> results.Jobs:
    """A job, or all recent ones, as their nodes say now."""
    await calling.admit()
    found = await calling.blocking(lambda desk: [desk.find(job_id)] if job_id else desk.listed())
    return results.Jobs(jobs=[results.record(job) for job in found])


async def job_output(
    calling: Calling,
    job_id: JobId,
    stream: Literal["stdout", "stderr"] = "stdout",
    offset: Offset = 0,
    length: Length = 16_000,
) -> results.Piece:
    """A stretch of what a job has printed so far, running or not."""
    await calling.admit()
    job, stretch = await calling.blocking(lambda desk: desk.output(job_id, stream, offset, length))
    return results.piece(job, stream, stretch)


async def job_kill(calling: Calling, job_id: JobId, signal: SignalName = "TERM") -> results.JobRecord:
    """Send a signal to a job's process group: TERM, unless another is named."""
    if signal not in SIGNALS:
        raise Failure(f"{signal!r} is no signal that can be sent", f"one of {', '.join(SIGNALS)}")
    job = await calling.blocking(lambda desk: desk.find(job_id))
    verdict = calling.judged([await calling.place_of(job)])
    if verdict.decision == "allow" and not verdict.rule and job.id not in calling.face.ours:
        # Somebody's: a person is asked.
        verdict = Verdict("ask", f"job {job.id} was not started in this session", "foreign job (built in)")
    await calling.admit(verdict, job.node)
    return results.record(await calling.blocking(lambda desk: desk.signal(job.id, signal)))


READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
RUNS = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=True)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
TOOLS: tuple[tuple[Tool, ToolAnnotations], ...] = (
    (cluster_status, READS),
    (route_command, READS),
    (cluster_bash, RUNS),
    (offload_to, RUNS),
    (parallel_execute, RUNS),
    (sync, CHANGES),
    (job_status, READS),
    (job_output, READS),
    (job_kill, RUNS),
)


def add_tools(server: MCPServer[Any], face: Face) -> None:
    for tool, hints in TOOLS:
        server.tool(annotations=hints)(_called(tool, face))


def _called(tool: Tool, face: Face) -> Tool:
    """The tool as the SDK calls it: with a Context, of which a Calling is made."""
    _, *own = inspect.signature(tool, eval_str=True).parameters.values()

    async def call(ctx: Context[Any, Any], **given: Any) -> Any:
        written = Call(tool.__name__, _client(ctx), arguments=_shown(given))
        return await Calling(face, ctx, written).through(lambda calling: tool(calling, **given))

    functools.update_wrapper(call, tool, assigned=("__name__", "__qualname__", "__doc__", "__module__"))
    answer = inspect.signature(tool, eval_str=True).return_annotation
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Context[Any, Any])
    call.__signature__ = inspect.Signature([context, *own], return_annotation=answer)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in (context, *own)} | {"return": answer}
    return call


def _shown(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as they may be written down: of variables only the names."""
    shown = {name: value for name, value in given.items() if value is not None}
    for name, value in shown.items():
        if isinstance(value, dict):
            shown[name] = sorted(value)
        elif isinstance(value, list):
            shown[name] = [redacted(str(each)) for each in value]
    return shown


def _client(ctx: Context[Any, Any]) -> str:
    given = ctx.session.client_params
    return "unknown" if given is None else f"{given.client_info.name} {given.client_info.version}"[:100]

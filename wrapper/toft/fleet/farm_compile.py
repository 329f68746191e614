"""Whether a compile is distributed: a small file for each node of the farm, compiled through icecc from this machine.

icecc asks the scheduler for that very node and falls back to this machine where it cannot have it, silently and with
success. So neither its exit code nor the object file says anything. What counts is the scheduler's own record of who
compiles for whom, read while the compiles run, and beside it what icecc says of the host that it was given.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import Farm, Node

from toft.fleet.check import Check
from toft.fleet.failures import Failure
from toft.fleet.farm import GROUP, Plan, heard
from toft.fleet.farm_client import Client

AT_ONCE = 8
LONGEST_S = 90.0
"""The first compile on a node waits until the whole toolchain is there."""
LOOK_EVERY_S, LOOK_S = 0.2, 3.0
LOOP = "for (int i = 1; i < 64; i++) a[i] += a[i - 1] * (i % 7) ^ a[(i * 3) & 63];"
FUNCTIONS = 20
"""So that a compile takes about a second: long enough to be seen in the scheduler's list."""

HOST = re.compile(r"Have to use host (\S+):\d+")
HERE = re.compile(r"<building_local>|building myself|local build forced")
TROUBLE = re.compile(r"got exception|can't|[Cc]ould not|[Cc]annot|has to |no server found")
PREFIX = re.compile(r"^ICECC\[\d+\] [\d:. -]*")


@dataclass(frozen=True)
class Tried:
    """One compile that was to be `node`'s: what icecc said, and who had it by the scheduler's list, if it was seen."""

    node: Node
    made: bool
    said: str
    seconds: float
    client: str = ""
    server: str = ""


def checks(plan: Plan, farm: Farm | Failure, client: Client) -> list[Check]:
    """One for each node that takes work of others; or the one reason why nothing was tried."""
    gcc = shutil.which("gcc")
    why = why_not(farm, client, gcc)
    if why:
        return [Check("compile", "warn", f"not looked at: {why}", f"toft provision {GROUP}")]
    nodes = targets(farm, client) if isinstance(farm, Farm) else []
    if not nodes:
        return [
            Check(
                "compile", "warn", "not looked at: no other node takes work that this machine has", "toft farm status"
            )
        ]
    return [check for tried in _try_all(nodes, plan, client) if (check := judged(tried))]


def why_not(farm: Farm | Failure, client: Client, gcc: str | None) -> str | None:
    if isinstance(farm, Failure):
        return "the scheduler does not answer"
    if client.icecc is None:
        return "there is no icecc here"
    return None if gcc else "there is no gcc here"


def targets(farm: Farm, client: Client) -> list[Node]:
    """Other nodes that take work, of platforms on which this machine's compiler has a stand-in."""
    covered = {client.platform, *re.findall(r"(?:^|,)([A-Za-z0-9_]+):", client.version)}
    here = os.uname().nodename.partition(".")[0]
    return [node for node in farm.nodes if node.remote and node.platform in covered and node.name != here]


def judged(tried: Tried) -> Check | None:
    """None for what went to the very machine that asked: that is no node of others."""
    if tried.server and tried.server == tried.client:
        return None
    subject, fix = f"compile on {tried.node.name}", f"toft provision {GROUP} --limit {tried.node.name}"
    host = next(iter(HOST.findall(tried.said)), "")
    why = failure(tried, host)
    if why is not None:
        return Check(subject, "fail", why, fix)
    took = f"in {tried.seconds:.1f} s"
    if tried.server == tried.node.name:
        return Check(subject, "ok", f"{took}, by the scheduler's list")
    if not tried.server and host == tried.node.address:
        return Check(subject, "ok", f"{took}, by icecc's word; it was over before the scheduler's list was read")
    return Check(subject, "warn", f"the scheduler gave it to {tried.server or host} instead", "toft farm status")


def failure(tried: Tried, host: str) -> str | None:
    """Why it was not compiled elsewhere; None if it was."""
    lines = [PREFIX.sub("", line).strip() for line in tried.said.splitlines()]
    words = next((line for line in lines if TROUBLE.search(line)), lines[-1] if lines else "it said nothing")[:200]
    if not tried.made:
        return f"nothing was compiled: {words}"
    if any(HERE.search(line) for line in lines):
        return f"this machine compiled it itself: {words}"
    return None if host or tried.server else f"icecc was given no other host: {words}"


def _try_all(nodes: Sequence[Node], plan: Plan, client: Client) -> list[Tried]:
    with tempfile.TemporaryDirectory(prefix="toft-compile-") as room:
        seen: dict[str, tuple[str, str]] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            tasks = [pool.submit(_try, node, Path(room) / f"{i}.c", client) for i, node in enumerate(nodes)]
            while not all(task.done() for task in tasks):
                seen |= jobs_in(heard(plan.place, LOOK_S)[1], Path(room).name)
                time.sleep(LOOK_EVERY_S)
        return list(_with_record(tasks, seen))


def jobs_in(farm: Farm | Failure, room: str) -> dict[str, tuple[str, str]]:
    """Who asked and who compiles, by file, of the jobs in that directory that somebody has. The scheduler keeps the
    last parts of a path."""
    found = [] if isinstance(farm, Failure) else [job for job in farm.jobs if job.server]
    return {
        job.file.rpartition("/")[2]: (job.client, job.server)
        for job in found
        if job.file.rpartition("/")[0].rpartition("/")[2] == room
    }


def _with_record(tasks: Sequence[Future[Tried]], seen: Mapping[str, tuple[str, str]]) -> Iterator[Tried]:
    for i, task in enumerate(tasks):
        one = task.result()
        client, server = seen.get(f"{i}.c", ("", ""))
        yield Tried(one.node, one.made, one.said, one.seconds, client, server)


def _try(node: Node, source: Path, client: Client, clock: Callable[[], float] = time.monotonic) -> Tried:
    source.write_text("".join(f"int f{i}(int *a) {{ {LOOP} return a[{i}]; }}\n" for i in range(FUNCTIONS)))
    target = source.with_suffix(".o")
    wishes = {"ICECC_PREFERRED_HOST": node.name, "ICECC_DEBUG": "debug"}
    wishes |= {"ICECC_VERSION": client.version} if client.version else {}
    begun = clock()
    try:
        done = subprocess.run(
            ["icecc", "gcc", "-O2", "-c", str(source), "-o", str(target)],
            env=os.environ | wishes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
        )
        said = done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        said = f"it could not be compiled within {LONGEST_S:g} s"
    return Tried(node, target.is_file(), said, clock() - begun)

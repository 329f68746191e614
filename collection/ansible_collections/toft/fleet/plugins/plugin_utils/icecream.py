# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The compile farm as its scheduler tells it, and the toolchains that a machine of it can use.

The scheduler of icecream has a control port (8766, one above its own). What it says there is lines of text:

    200-ICECC 1.4: 120s uptime, 2 hosts, 1 jobs in queue (61 total).
    200 Use 'help' for help and 'quit' to quit.

and after `listcs` a line for each node that has logged in, below it the jobs that it was given:

     n2 (10.0.0.12:10245) [x86_64] speed=0.00 jobs=1/2 load=213
       7 COMP sub:n1 on:n2 /home/me/project/a.c
    200 done

`listjobs` gives the jobs alone, `listblocks` names of nodes that were shut out. A node that takes no work of others
has port 0. All names were given by other machines: they are text to show, and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

CONTROL_BANNER = re.compile(r"200-ICECC (\S+): (\d+)s uptime, (\d+) hosts, (\d+) jobs in queue \((\d+) total\)")
NODE = re.compile(
    r" (?P<name>\S+) \((?P<address>\S+):(?P<port>\d+)\) \[(?P<platform>[^\]\s]+)\] speed=(?P<speed>[0-9.]+)"
    r" jobs=(?P<jobs>\d+)/(?P<slots>\d+) load=(?P<load>\d+)(?: busy installing since (?P<installing>\d+) s)?\s*\Z"
)
JOB = re.compile(r" +(?P<id>\d+) (?P<state>PEND|WAIT|COMP|Huh\?) sub:(?P<client>\S*) on:(?P<server>\S+) (?P<file>.*)\Z")
BEGIN = re.compile(r"BEGIN: (\d+) client=([^\s(]+)\((\S+)\) server=([^\s(]+)\((\S+)\)")
NOBODY = ("<>", "<unknown>")
DONE = "200 done"
STATES: Mapping[str, str] = {"PEND": "pending", "WAIT": "waiting", "COMP": "compiling"}


class BadAnswer(Exception):
    """Whoever answered is no scheduler of icecream, or did not answer to the end."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True)
class Job:
    """A file that is to be compiled. Empty `server`: none is chosen yet."""

    id: int
    state: str
    """pending, waiting, compiling, or unknown"""
    client: str
    server: str
    file: str


@dataclass(frozen=True)
class Node:
    name: str
    address: str
    port: int
    platform: str
    """as icecream has it: x86_64, aarch64, Darwin24_arm64"""
    speed: float
    """measured by what it has compiled; 0 as long as that is little"""
    running: int
    slots: int
    load: int
    """0 to 1000; at 1000 it is given nothing"""
    installing_s: int | None
    """for how long it has been unpacking a toolchain"""
    jobs: tuple[Job, ...]

    @property
    def remote(self) -> bool:
        """It compiles for others."""
        return self.port != 0


@dataclass(frozen=True)
class Scheduler:
    version: str
    uptime_s: int
    hosts: int
    queued: int
    total: int
    """jobs since it was started"""


@dataclass(frozen=True)
class Farm:
    scheduler: Scheduler | None
    nodes: tuple[Node, ...]
    """in the scheduler's order"""
    jobs: tuple[Job, ...]
    """of `listjobs`, those that wait for a node among them; of `listcs`, if only that was asked"""


@dataclass(frozen=True)
class Compilation:
    """A line of the scheduler's log: a file that is being compiled, and where."""

    id: int
    client: str
    client_platform: str
    server: str
    server_platform: str


def parse(text: str) -> Farm:
    """What the control port said: the greeting and the answers to `listcs`, `listjobs`, in any order.

    Raises BadAnswer when there is no greeting, or the last answer is not whole.
    """
    lines = [line.rstrip("\r") for line in text.split("\n")]
    greeting = next((found for line in lines if (found := CONTROL_BANNER.match(line))), None)
    if greeting is None:
        raise BadAnswer("this is not the control port of an icecream scheduler")
    body = [line for line in lines if line.startswith((" ", DONE))]
    if not body or body[-1] != DONE:
        raise BadAnswer("the scheduler did not answer to the end")
    nodes = _nodes(body)
    queued = {job.id: job for job in [*_jobs(body), *(job for node in nodes for job in node.jobs)]}
    version, *numbers = greeting.groups()
    return Farm(Scheduler(version, *map(int, numbers)), nodes, tuple(queued[at] for at in sorted(queued)))


def _nodes(lines: Iterable[str]) -> tuple[Node, ...]:
    found: list[tuple[re.Match[str], list[Job]]] = []
    for line in lines:
        if node := NODE.match(line):
            found.append((node, []))
        elif found and line.startswith("   ") and (job := _job(line)):
            found[-1][1].append(job)
    return tuple(_node(match, tuple(jobs)) for match, jobs in found)


def _node(match: re.Match[str], jobs: tuple[Job, ...]) -> Node:
    since = match["installing"]
    return Node(
        name=match["name"],
        address=match["address"],
        port=int(match["port"]),
        platform=match["platform"],
        speed=float(match["speed"]),
        running=int(match["jobs"]),
        slots=int(match["slots"]),
        load=int(match["load"]),
        installing_s=None if since is None else int(since),
        jobs=jobs,
    )


def _jobs(lines: Iterable[str]) -> list[Job]:
    return [job for line in lines if (job := _job(line))]


def _job(line: str) -> Job | None:
    match = JOB.match(line)
    if match is None:
        return None
    client, server = ("" if name in NOBODY else name for name in (match["client"], match["server"]))
    return Job(int(match["id"]), STATES.get(match["state"], "unknown"), client, server, match["file"])


def compilations(log: str) -> list[Compilation]:
    """Those that the scheduler's log tells of (it runs with -vvv), in its order. Local ones are not in it."""
    return [Compilation(int(m[1]), m[2], m[3], m[4], m[5]) for m in BEGIN.finditer(log)]


@dataclass(frozen=True)
class Toolchain:
    """A tarball that icecc-create-env made: a compiler that runs on `platform` and makes code for `target`."""

    platform: str
    target: str
    file: str
    prefix: str = ""
    """of a cross compiler's name, without the last dash: aarch64-linux-gnu"""
    version: str = ""
    host: str = ""
    """whose compiler it is, by its name in the inventory: that of another may want libraries that are not here"""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Toolchain:
        return cls(**{field.name: str(raw[field.name]) for field in fields(cls) if field.name in raw})


def icecc_version(own: Iterable[Toolchain], others: Iterable[Toolchain]) -> str:
    """ICECC_VERSION for the machine that has `own` compilers: what runs its compiles, here and on other platforms.

    Its own compiler first; then, for each of its compilers, one of every other platform that makes the same code with
    the same version: another version would silently make other code. Empty without a compiler here.
    """
    words: list[str] = []
    others = sorted(others, key=lambda other: other.file)
    mine = sorted(own, key=lambda one: (one.prefix != "", one.prefix))
    for one in mine:
        words.append(_word(one.file, one.prefix))
        for platform, file in _elsewhere(one, others).items():
            words.append(f"{platform}:{_word(file, one.prefix)}")
    return ",".join(words)


def _elsewhere(one: Toolchain, others: Iterable[Toolchain]) -> dict[str, str]:
    found: dict[str, str] = {}
    for other in others:
        if other.platform != one.platform and other.target == one.target and other.version == one.version:
            found.setdefault(other.platform, other.file)
    return found


def _word(file: str, prefix: str) -> str:
    return f"{file}={prefix}" if prefix else file

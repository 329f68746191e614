"""A started job, followed to its end: its bytes go where the face wants them, its record is kept up to date."""

from __future__ import annotations

import itertools
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.control import Control
from toft.engine.stdin import Closed, Stdin
from toft.engine.streams import Detached, Ended, LostContact, ReaderGone, Rejected, Streams
from toft.fleet import owners
from toft.fleet.failures import NOT_STARTED
from toft.fleet.fleet import Fleet
from toft.store.records import Job

UNKNOWN = 255
LOST = 254
BRIEF_S = 0.15
"""How long a start may wait for the job's end, which spares a session to follow it. It is what the first byte of a
longer job may come later for it."""


@dataclass(frozen=True)
class Wishes:
    """How to follow. `write(stream, bytes)` puts output out; `say` takes toft's own lines; `contact` is told when
    the node falls silent (False) and when it is back (True)."""

    write: Callable[[str, bytes], None]
    say: Callable[[str], None]
    control: Control
    stdin: Stdin | None = None
    wait: bool = True
    contact: Callable[[bool], None] = lambda there: None


@dataclass(frozen=True)
class Brief:
    """All that a job said, which was over by the time its start was answered."""

    stdout: bytes
    stderr: bytes

    @classmethod
    def told(cls, output: Mapping[str, str] | None) -> Brief | None:
        """From the action's answer."""
        return cls(b64decode(output["stdout"]), b64decode(output["stderr"])) if output else None


@dataclass(frozen=True)
class Followed:
    """`job` as it now stands; `code` is what a command line exits with."""

    job: Job
    code: int
    detached: bool = False


def follow(fleet: Fleet, job: Job, wishes: Wishes, brief: Brief | None = None) -> Followed:
    """Until the job has ended, we let go, or contact has been lost for longer than `reconnect_timeout`."""
    if brief is not None:
        return _told_whole(job, wishes, brief)
    streams = Streams(
        job.id,
        Transport.from_dict(job.transport or {}),
        write=wishes.write,
        control=wishes.control,
        stdin=wishes.stdin or Closed(),
        with_stdin=wishes.stdin is not None,
        wait=wishes.wait,
        patience_s=fleet.settings.reconnect_timeout,
        notify=wishes.say,
        contact=wishes.contact,
    )
    match streams.follow():
        case Ended(record):
            job = job.with_node_record(record)
            _keep(fleet, job, wishes.say)
            return Followed(job, exit_code(job))
        case Detached():
            return Followed(job, UNKNOWN, detached=True)
        case LostContact(cause):
            job = replace(job, state="unknown", origin="toft", error=cause.message)
            fleet.store.update(job)
            return Followed(job, UNKNOWN)
        case Rejected(code, message):
            return _rejected(fleet, job, code, message)


def _told_whole(job: Job, wishes: Wishes, brief: Brief) -> Followed:
    """Nothing is left to follow, and nobody to tell that our reader has gone."""
    for stream, data in (("stdout", brief.stdout), ("stderr", brief.stderr)):
        try:
            if data:
                wishes.write(stream, data)
        except ReaderGone:
            break
        except OSError as error:
            wishes.say(f"the {stream} of job {job.id} cannot be written here: {error.strerror}")
            break
    if wishes.stdin is not None:
        wishes.stdin.close()
    _forget(job)
    return Followed(job, exit_code(job))


def exit_code(job: Job) -> int:
    """What `offload`, `attach` and `wait` exit with, by the contract."""
    if job.state in ("exited", "signaled", "timed_out") and job.exit_code is not None:
        return job.exit_code
    return {"lost": LOST, "not_started": NOT_STARTED, "running": 0}.get(job.state, UNKNOWN)


def _rejected(fleet: Fleet, job: Job, code: str, message: str) -> Followed:
    """The node answers, but it has no such job: it was removed there, or never arrived."""
    job = replace(job, state="unknown", origin="toft", error=message)
    fleet.store.update(job)
    return Followed(job, UNKNOWN)


def _keep(fleet: Fleet, job: Job, say: Callable[[str], None]) -> None:
    """The command has ended as it has, whether or not that can be written down here."""
    try:
        fleet.store.update(job)
    except OSError as error:
        say(f"the record of job {job.id} is not up to date ({error.strerror}); the next `toft jobs` will see to it")
        return
    _forget(job)


def _forget(job: Job) -> None:
    if job.final and job.run_dir:
        owners.forget(Path(job.run_dir))


def ending(job: Job) -> str:
    """How it ended, in one line for a person; empty when its exit code says it all."""
    survivors = f"; still running on {job.node}: process {', '.join(map(str, job.survivors))}" if job.survivors else ""
    what = {
        "timed_out": f"job {job.id} was stopped on {job.node}: its time was up",
        "lost": f"job {job.id} is lost: {job.node} restarted while it ran",
        "unknown": f"what became of job {job.id} on {job.node} is unknown ({job.error or 'no record'}); "
        f"ask again: toft wait {job.id}",
        "not_started": f"job {job.id} was not started: {job.error or 'no reason given'}",
        "signaled": f"job {job.id} was ended on {job.node} by signal {job.signal}",
    }.get(job.state, f"job {job.id} has ended" if survivors else "")
    if job.exit_code in (126, 127) and job.error:
        what = f"{job.node}: {job.error}"
    return "".join(itertools.chain((what, survivors)))

"""A stretch of what a job has written so far, by its offsets: for whoever shows long output in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.control import Control, Detach
from toft.engine.streams import LostContact, Rejected, Streams
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet
from toft.store.records import Job

PATIENCE_S = 10.0
BEYOND = 1 << 40
"""An offset that no output reaches."""

Stream = Literal["stdout", "stderr"]


@dataclass
class Stretch:
    """`data` stands at `offset` of the stream. `more`: something was there beyond it."""

    offset: int
    length: int
    data: bytes = b""
    more: bool = False

    def put(self, data: bytes) -> bool:
        """True once nothing more is wanted."""
        room = self.length - len(self.data)
        self.data += data[:room]
        self.more = self.more or len(data) > room
        return self.more


def stretch(fleet: Fleet, job: Job, stream: Stream, offset: int, length: int) -> Stretch:
    """At most `length` bytes from `offset` on, as far as they are written. Raises Failure if the node is silent."""
    if job.transport is None:
        raise Failure(f"job {job.id} was never on a node: {job.error or job.state}", "toft jobs", exit_code=1)
    wanted, control = Stretch(offset, length), Control()

    def put(name: str, data: bytes) -> None:
        if name == stream and wanted.put(data):
            control.give(Detach())

    # The other stream is asked for from beyond its end, so that nothing of it travels.
    delivered = {"stdout": BEYOND, "stderr": BEYOND, stream: offset}
    transport = Transport.from_dict(job.transport)
    streams = Streams(
        job.id, transport, put, control, wait=False, patience_s=min(PATIENCE_S, fleet.settings.reconnect_timeout),
        delivered=delivered,
    )  # fmt: skip
    try:
        outcome = streams.follow()
    finally:
        control.close()
    if isinstance(outcome, LostContact):
        raise Failure(outcome.cause.message, outcome.cause.fix, exit_code=255, node=job.node)
    if isinstance(outcome, Rejected):
        raise Failure(outcome.message, f"toft jobs; job {job.id} is not on {job.node} any more", 1, job.node)
    return wanted

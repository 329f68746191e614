# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Serving one client that follows a job.

Output is read from the job's files by offset, so it makes no difference whether the job runs, has
ended, or lost its supervisor: a supervisor only says when there is more, takes the client's input and
signals, and tells the end. When it cannot be reached the files and the record are looked at now and
then instead. No state of affairs leaves the client without a word for longer than a heartbeat.

Of its input a client sends no byte at or beyond the `limit` that it was told last, so that its signals
are never stuck behind input that the command does not read.

When the client's channel ends, so does this, and the job does not notice.
"""

from __future__ import annotations

import os
import select
import time

from ansible_collections.toft.fleet.plugins.module_utils import control, frames, jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

CHUNK_BYTES = 256 << 10
HEARTBEAT_S = 2.0
LOOK_S = 0.1
INPUT_HELD = 4 << 20
WINDOW_BYTES = 2 << 20
KINDS = {"stdout": frames.STDOUT, "stderr": frames.STDERR}


class Output:
    """One of the job's output files from some offset on."""

    def __init__(self, job: jobs.Job, name: str, offset: int) -> None:
        self.name = name
        self.offset = offset
        self._path = job.file(name)
        self._fd: Optional[int] = None

    def next(self, end: Optional[int]) -> Optional[frames.Part]:
        """What comes after what was last given out; None if there is nothing for now."""
        if self._fd is None:
            try:
                self._fd = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return None
        size = min(CHUNK_BYTES, (os.fstat(self._fd).st_size if end is None else end) - self.offset)
        if size <= 0:
            return None
        part = frames.Part(self._fd, self.offset, size)
        self.offset += size
        return part

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)


class Follower:
    """The loop between a client and a job."""

    def __init__(self, channel: frames.Channel, job: jobs.Job, boot: str, request: Dict[str, Any]) -> None:
        self._channel = channel
        self._job = job
        self._boot = boot
        self._wait = request.get("wait", True) is not False
        self._outputs = [Output(job, name, max(0, int(request.get(name) or 0))) for name in jobs.STREAMS]
        self._supervisor: Optional[control.Link] = None
        self._record: Optional[Dict[str, Any]] = None
        self._looked_at = 0.0
        self._input: List[Tuple[bytes, int, bytes]] = []
        self._input_size = 0
        self._stdin: Optional[Tuple[int, int, bool, int]] = None
        self._takes_stdin = bool(request.get("stdin"))

    def run(self, record: Dict[str, Any]) -> bool:
        """Until everything has been said (True), or the client has gone (False)."""
        os.set_blocking(self._channel.sink, False)
        try:
            self._judge(record)
            self._listen()
            while not self._say():
                self._turn()
            self._channel.finish()
            return True
        except frames.Gone:
            return False
        finally:
            os.set_blocking(self._channel.sink, True)
            self._close()

    def _close(self) -> None:
        for output in self._outputs:
            output.close()
        if self._supervisor is not None:
            self._supervisor.close()

    # What the client is told.

    def _say(self) -> bool:
        """Send on until the client or the files have no more for now. True after the last word."""
        while not self._channel.congested:
            if self._next_output():
                if self._spoken_to():
                    return False
                continue
            if self._record is None:
                self._caught_up()
                return False
            self._channel.send(frames.message(frames.FINAL, self._record))
            return True
        return False

    def _next_output(self) -> bool:
        """Send one piece of each stream that has one."""
        some = False
        for output in self._outputs:
            part = output.next(self._record[output.name + "_bytes"] if self._record else None)
            if part is not None:
                some = True
                self._channel.send_part(KINDS[output.name], part)
        return some

    def _spoken_to(self) -> bool:
        """While output flows, the others' words are looked for between any two pieces."""
        readable, _writable = self._interest()
        return bool(select.select(readable, [], [], 0)[0])

    def _caught_up(self) -> None:
        if self._supervisor is not None:
            self._supervisor.saw(self._outputs[0].offset, self._outputs[1].offset)

    # One turn of waiting, for the client or for the supervisor.

    def _turn(self) -> None:
        readable, writable = self._interest()
        ready, free, _none = select.select(readable, writable, [], self._patience())
        if self._channel.sink in free:
            self._channel.flush()
        if self._channel.source in ready:
            alive = self._channel.read()
            self._listen()
            if not alive:
                raise frames.Gone()
        if self._supervisor is None:
            self._look()
        elif self._supervisor.fd in ready:
            self._hear(self._supervisor)
        if self._supervisor is not None:
            self._supervisor.flush()
        if not self._channel.congested and time.monotonic() - self._channel.sent_at >= HEARTBEAT_S:
            self._channel.send(frames.frame(frames.HEARTBEAT))

    def _interest(self) -> Tuple[List[int], List[int]]:
        readable, writable = [], []
        if self._wait and self._input_size < INPUT_HELD:
            readable.append(self._channel.source)
        if self._channel.congested:
            writable.append(self._channel.sink)
        if self._supervisor is not None:
            readable.append(self._supervisor.fd)
            if self._supervisor.congested:
                writable.append(self._supervisor.fd)
        return readable, writable

    def _patience(self) -> float:
        due = self._channel.sent_at + HEARTBEAT_S - time.monotonic()
        if self._channel.congested:
            due = HEARTBEAT_S
        if self._supervisor is None and self._record is None:
            due = min(due, LOOK_S)
        return max(0.0, due)

    # The client's words.

    def _listen(self) -> None:
        """Pass on what the client sends. Signals overtake input that waits for the command to read."""
        for kind, payload in self._channel.arrived:
            if kind in (frames.STDIN, frames.STDIN_END):
                self._take_input(kind, payload)
            elif kind in (frames.SIGNAL, frames.WINDOW, frames.CREDIT) and self._supervisor is not None:
                self._supervisor.send(frames.frame(kind, payload))
        # A request that follows this one on the same channel is for later.
        self._channel.arrived = [held for held in self._channel.arrived if held[0] == frames.REQUEST]
        self._pass_input()

    def _take_input(self, kind: bytes, payload: bytes) -> None:
        if not self._takes_stdin or self._record is not None or (self._stdin and self._stdin[2]):
            return
        offset, data = frames.split(payload)
        for start in range(0, max(1, len(data)), CHUNK_BYTES):
            self._input.append((kind, offset + start, data[start : start + CHUNK_BYTES]))
        self._input_size += len(data)

    def _pass_input(self) -> None:
        """As much of the client's input as the supervisor has room for."""
        while self._input and self._supervisor is not None and self._stdin is not None:
            kind, offset, data = self._input[0]
            if kind == frames.STDIN and offset >= self._stdin[1]:
                return
            del self._input[0]
            self._input_size -= len(data)
            self._supervisor.send(frames.frame(kind, frames.at(offset, data)))

    # The supervisor's words, and what to do without one.

    def _hear(self, supervisor: control.Link) -> None:
        for kind, payload in supervisor.read():
            if kind == frames.ACCEPTED:
                self._accepted(control.accepted_state(payload))
            elif kind == frames.FINAL:
                self._judge(dict(self._known(), **frames.loads(payload)))
        if supervisor.gone:
            supervisor.close()
            self._supervisor = None
            self._looked_at = 0.0

    def _accepted(self, state: Tuple[int, int, bool, int]) -> None:
        known, self._stdin = self._stdin, state
        if state[2]:
            self._input, self._input_size = [], 0
        if self._takes_stdin and (known is None or _news(known) != _news(state)):
            told = {
                "offset": state[0],
                "closed": state[2],
                "consumed": state[3],
                "limit": state[0] + WINDOW_BYTES,
            }
            self._channel.send(frames.message(frames.ACCEPTED, told))
        self._pass_input()

    def _known(self) -> Dict[str, Any]:
        return self._job.record(self._boot) or jobs.never_seen(os.path.basename(self._job.path))

    def _look(self) -> None:
        """Without a supervisor: ask the record, at most every tenth of a second."""
        now = time.monotonic()
        if self._record is None and now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._judge(self._known())

    def _judge(self, record: Dict[str, Any]) -> None:
        """A record that is no longer `running` is the last word; else a supervisor should be there."""
        if record["state"] != "running" or not self._wait:
            for output in self._outputs:
                record[output.name + "_bytes"] = self._job.size(output.name)
            self._record = record
        elif self._supervisor is None:
            fd = control.connect(self._job.path)
            self._supervisor = control.Link(fd) if fd is not None else None


def _news(state: Tuple[int, int, bool, int]) -> Tuple[int, bool, int]:
    """What a client wants to hear of at once: its limit follows from the offset."""
    return state[0], state[2], state[3]

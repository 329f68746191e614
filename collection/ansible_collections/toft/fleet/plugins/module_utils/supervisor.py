# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The supervisor: one small process for each job, from its start to the end of its last output.

It holds the job's lock, pumps the command's streams to append-only files, serves attached programs
(see `control`), keeps the time limit, and writes the result. It belongs to no session of ssh's and
keeps none of ssh's descriptors open. Nothing it waits for is a client: a slow one may slow the
command down for as long as it gives signs of life, a silent or dead one never does.
"""

from __future__ import annotations

import os
import select
import sys
import time

from ansible_collections.toft.fleet.plugins.module_utils import (
    control,
    frames,
    jobs,
    processes,
    spawn,
    streams,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from typing import Any, Dict, List, Optional, Tuple

    from ansible_collections.toft.fleet.plugins.module_utils.clock import Clock
else:
    import _signal as signals  # without `enum`, which `signal` brings

READ_BYTES = 1 << 20
AHEAD_BYTES = 64 << 20
GRACE_S = 5.0
SETTLE_S = 0.5
RETRY_S, GIVE_UP_S = 1.0, 600.0
DYING_S = 0.5
SURVIVORS = 100


class Supervisor:
    """The loop around one running command."""

    def __init__(
        self,
        job: jobs.Job,
        child: spawn.Child,
        files: List[int],
        wake: int,
        clock: Clock,
        timeout: Optional[float],
        awaited: bool = False,
    ) -> None:
        self._job = job
        self._child = child
        self._wake = wake
        self._clock = clock
        self._limit = timeout
        # Somebody has said that he will follow; until he does, he is taken to be slow.
        self._awaited_until = time.monotonic() + control.CREDIT_LASTS_S if awaited else 0.0
        self._buffer = bytearray(streams.READ_BYTES)
        self._ooms = processes.out_of_memory_kills()
        self._kill_at: Optional[float] = None
        self._timed_out = self._killed = self._group_gone = self._saved = False
        # After the command's own end:
        self._ending: Optional[Dict[str, Any]] = None
        self._ended = 0.0
        self._result: Optional[Dict[str, Any]] = None
        self._save_at = 0.0
        self._stdin = streams.Stdin(child.stdin, child.tty)
        self._clients: List[control.Client] = []
        self._streams = [streams.Stream("stdout", child.stdout, files[0], job)]
        if child.stderr is not None:
            self._streams.append(streams.Stream("stderr", child.stderr, files[1], job))
        os.set_blocking(job.listener, False)

    def run(self) -> None:
        self._reap()
        while not (self._saved and self._drained()):
            self._turn()
            self._keep_time()
            self._conclude()
        self._job.forget(jobs.CONTROL)

    def _drained(self) -> bool:
        return all(stream.source is None for stream in self._streams)

    # One turn: wait for something, then do everything that can be done without waiting.

    def _turn(self) -> None:
        readable = [self._wake, self._job.listener, *self._sources()]
        if not self._stdin.overfull:
            readable += [client.fd for client in self._clients]
        writable = [client.fd for client in self._clients if client.congested]
        if self._stdin.waiting and self._stdin.fd is not None:
            writable.append(self._stdin.fd)
        ready, free, _none = select.select(readable, writable, [], self._patience())
        self._pump(ready)
        if self._wake in ready:
            processes.drain(self._wake)
            self._reap()
        if self._stdin.fd in free:
            self._stdin.flush()
        if self._stdin.look_again is not None:
            self._stdin.look()
        for client in self._clients:
            if client.fd in ready:
                self._hear(client)
            elif client.fd in free:
                client.flush()
        if self._job.listener in ready:
            self._welcome()
        self._tell()

    def _sources(self) -> List[int]:
        return [
            stream.source for stream in self._streams if stream.source is not None and not self._too_far_ahead(stream)
        ]

    def _too_far_ahead(self, stream: streams.Stream) -> bool:
        """Whether the clients that lately gave signs of life have much of this stream still to read."""
        now = time.monotonic()
        delivered = [client.delivered[stream.name] for client in self._clients if client.credit_until > now]
        if self._awaited_until > now:
            delivered.append(0)
        if not delivered or self._ending is not None:
            return False
        return stream.written - max(delivered) > AHEAD_BYTES

    def _patience(self) -> Optional[float]:
        """Seconds until something is due by itself; None for never."""
        now = time.monotonic()
        until = [client.credit_until for client in self._clients] + [self._awaited_until]
        due = [each - now for each in until if each > now]
        if self._stdin.look_again is not None:
            due.append(self._stdin.look_again)
        if self._ending is not None:
            if not self._saved:
                due.append((self._save_at if self._result else self._ended + SETTLE_S) - now)
        elif self._kill_at is not None:
            due.append(self._kill_at - now)
        elif self._limit is not None:
            due.append(self._limit - self._clock.elapsed())
        return max(0.0, min(due)) if due else None

    def _pump(self, ready: List[int]) -> None:
        grown = False
        for stream in self._streams:
            stream.quiet = stream.source not in ready
            if not stream.quiet:
                grown = stream.pump(self._buffer) or grown
        if self._child.tty and self._drained():
            self._stdin.close()  # the same descriptor
        if grown:
            sizes = self._sizes()
            for client in self._clients:
                client.tick(sizes)

    def _sizes(self) -> Tuple[int, int]:
        sizes = {stream.name: stream.written for stream in self._streams}
        return sizes["stdout"], sizes.get("stderr", 0)

    # Clients.

    def _welcome(self) -> None:
        fd = control.accept(self._job.listener)
        if fd is None:
            return
        client = control.Client(fd)
        self._clients.append(client)
        if self._result is not None:
            client.send(frames.message(frames.FINAL, self._result))

    def _hear(self, client: control.Client) -> None:
        for kind, payload in client.read():
            try:
                self._obey(client, kind, payload)
            except (ValueError, AttributeError, TypeError, OSError):
                continue  # a client's nonsense is not the job's trouble

    def _obey(self, client: control.Client, kind: bytes, payload: bytes) -> None:
        if kind == frames.STDIN:
            self._stdin.offer(*frames.split(payload))
        elif kind == frames.STDIN_END:
            self._stdin.finish(frames.split(payload)[0])
        elif kind == frames.SIGNAL:
            self._signal(processes.number_of(payload.decode()))
        elif kind == frames.WINDOW and self._child.tty and not self._drained():
            spawn.resize(self._child.stdout, frames.loads(payload))
        elif kind == frames.CREDIT:
            client.credit(frames.loads(payload), time.monotonic())
            self._awaited_until = 0.0
        elif kind == control.SEEN:
            client.seen(payload, self._sizes())
        elif kind == control.PING:
            client.send(frames.frame(control.PONG))

    def _tell(self) -> None:
        for client in [client for client in self._clients if client.gone]:
            client.close()
            self._clients.remove(client)
        state = self._stdin.state()
        for client in self._clients:
            client.tell_stdin(state)

    # The command's processes.

    def _signal(self, number: int) -> None:
        self._killed = self._killed or number == signals.SIGKILL
        for group in self._groups(number):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                # Once empty after the command's end, the group's number may come to be another's.
                self._group_gone = self._ending is not None
            except PermissionError:
                continue

    def _groups(self, number: int) -> List[int]:
        """The process groups a signal is for: with a terminal also the one in its foreground."""
        groups = [] if self._group_gone else [self._child.pid]
        if not self._child.tty or self._drained():
            return groups
        try:
            front = os.tcgetpgrp(self._child.stdout)
        except OSError:
            return groups
        if front <= 1 or front in groups:
            return groups
        return [front] if number == signals.SIGINT else [*groups, front]

    def _reap(self) -> None:
        if self._ending is not None:
            return
        pid, status, usage = os.wait4(self._child.pid, os.WNOHANG)
        if pid == 0:
            return
        elapsed = self._clock.elapsed()
        self._ended = time.monotonic()
        self._ending = dict(
            processes.outcome(status, self._timed_out),
            duration_s=round(elapsed, 6),
            ended_at=jobs.stamp(self._clock.started + elapsed),
            cpu_s=round(usage.ru_utime + usage.ru_stime, 6),
            max_rss_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        )
        self._stdin.close()
        for stream in self._streams:
            stream.mark()

    def _keep_time(self) -> None:
        if self._ending is not None:
            return
        now = time.monotonic()
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._signal(signals.SIGKILL)
                self._kill_at = now + GRACE_S
        elif self._limit is not None and self._clock.elapsed() >= self._limit:
            self._timed_out = True
            self._kill_at = now + GRACE_S
            self._signal(signals.SIGTERM)

    # The end.

    def _conclude(self) -> None:
        """Once the command has ended and its output is in (or half a second later): the result."""
        if self._ending is None or self._saved:
            return
        if self._result is None:
            late = time.monotonic() >= self._ended + SETTLE_S
            if not (self._drained() or (late and all(stream.settled() for stream in self._streams))):
                return
            self._result = self._final(self._ending)
        if time.monotonic() >= self._save_at:
            self._save(self._result)

    def _final(self, ending: Dict[str, Any]) -> Dict[str, Any]:
        result = dict(ending, survivors=self._survivors())
        until = time.monotonic() + DYING_S
        # What the same signal was sent to may take a moment to die.
        while result["signal"] and result["survivors"] and time.monotonic() < until:
            time.sleep(0.01)
            result["survivors"] = self._survivors()
        for stream in self._streams:
            result[stream.name + "_bytes"] = stream.written
        result["stdin_consumed"] = self._stdin.consumed
        result["lost_bytes"] = sum(stream.lost for stream in self._streams)
        # A shell says 137 when it is not itself what was killed.
        killed = signals.SIGKILL in (result["signal"], result["exit_code"] - 128)
        if killed and not self._killed and processes.out_of_memory_kills() > self._ooms:
            message = "killed from outside; the kernel ended a process for want of memory meanwhile"
            result["error"] = {"code": "out_of_memory", "message": message}
        return result

    def _survivors(self) -> List[int]:
        """Pids that the command left behind in its session."""
        try:
            os.killpg(self._child.pid, 0)
        except ProcessLookupError:
            self._group_gone = True
            if self._drained():
                return []
        except PermissionError:
            pass
        return processes.session_members(self._child.pid)[:SURVIVORS]

    def _save(self, result: Dict[str, Any]) -> None:
        """On the disk before anybody is told; but a disk that takes nothing keeps no client waiting."""
        first = self._save_at == 0.0
        self._save_at = time.monotonic() + RETRY_S
        try:
            self._job.finish(result)
            self._saved = True
        except OSError:
            self._saved = self._save_at > self._ended + GIVE_UP_S
        if first:
            for client in self._clients:
                client.send(frames.message(frames.FINAL, result))

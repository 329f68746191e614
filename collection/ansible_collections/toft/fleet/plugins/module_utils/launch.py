# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From an accepted job to its running command, behind two forks.

The first child leaves ssh's session, the second closes all of ssh's descriptors, so the session can end
at once; it starts the command, tells the program that waits, and becomes its supervisor.
"""

from __future__ import annotations

import errno
import os

from ansible_collections.toft.fleet.plugins.module_utils import jobs, processes, spawn, streams
from ansible_collections.toft.fleet.plugins.module_utils.clock import Clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from typing import NoReturn, Set, Tuple

    from ansible_collections.toft.fleet.plugins.module_utils.orders import Order
else:
    import _signal as signals  # without `enum`, which `signal` brings


def launch(job: jobs.Job, command: spawn.Command, order: Order, boot: str) -> Tuple[int, int]:
    """Start a supervisor for an accepted job; returns when the command runs, or cannot.

    Returns the number of the OSError that kept it from the start, or 0: then the job's record says all. And a
    descriptor that comes to its end with the supervisor.
    """
    news, report = os.pipe()
    ended, ending = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        _no_process(job, error)
        pid = -1
    if pid == 0:
        _detached(job, command, order, boot, (report, ending))
    os.close(report)
    os.close(ending)
    if pid > 0:
        os.waitpid(pid, 0)
    said = b"".join(iter(lambda: os.read(news, 4096), b""))
    os.close(news)
    job.release()
    return int(said or 0), ended


def _detached(job: jobs.Job, command: spawn.Command, order: Order, boot: str, ours: Tuple[int, int]) -> NoReturn:
    """In the first child: leave the session behind, fork once more, supervise. Never returns."""
    try:
        os.setsid()
        if os.fork() == 0:
            _leave({job.lock, job.listener, *ours})
            _supervise(job, command, order, boot, ours[0])
    except OSError as error:
        if os.path.exists(job.file(jobs.SPAWNED)):
            _confess(job)
        else:
            _no_process(job, error)
    except Exception:
        _confess(job)
    finally:
        os._exit(0)


def _confess(job: jobs.Job) -> None:
    """A supervisor that fails has no one to tell; its job's state is unknown, and this says why."""
    import traceback

    with open(job.file("trouble"), "w") as file:
        traceback.print_exc(file=file)


def _no_process(job: jobs.Job, error: OSError) -> None:
    os.close(job.listener)  # which may be the one descriptor that the result needs
    job.listener = -1
    job.finish(spawn.Failure("fork", error.errno or errno.EAGAIN, "").result())


def _leave(ours: Set[int]) -> None:
    """Nothing of the session may keep us, and we must keep nothing of it but what is ours."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    try:
        opened = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        opened = list(range(3, 256))
    for fd in set(opened) - {0, 1, 2} - ours:
        try:
            os.close(fd)
        except OSError:
            continue  # the one that listed the directory
    os.chdir("/")
    for number in (signals.SIGHUP, signals.SIGINT, signals.SIGQUIT, signals.SIGTERM, signals.SIGPIPE):
        signals.signal(number, signals.SIG_IGN)


def _supervise(job: jobs.Job, command: spawn.Command, order: Order, boot: str, report: int) -> None:
    wake = processes.wake_on_child()
    files = streams.open_files(job)
    child = spawn.fork(command)
    failure = child.ready()
    if failure is None:
        clock = Clock()
        try:
            _mark(job, child.pid, clock, boot)
        except OSError as error:
            child.abandon()
            os.write(report, b"%d" % (error.errno or errno.EIO))
            return
        failure = child.release()
    if failure is not None:
        os.waitpid(child.pid, 0)
        job.finish(failure.result())
        return
    os.close(report)
    # The command runs and the client knows; only now is time for the rest.
    from ansible_collections.toft.fleet.plugins.module_utils.supervisor import Supervisor

    Supervisor(job, child, files, wake, clock, order.timeout, order.awaited).run()


def _mark(job: jobs.Job, pid: int, clock: Clock, boot: str) -> None:
    """From here on the command may have run."""
    live = os.open(job.file(jobs.LIVE), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(live, boot.encode() + b"\n")
    os.close(live)
    job.spawned({"pid": pid, "started_at": jobs.stamp(clock.started)})

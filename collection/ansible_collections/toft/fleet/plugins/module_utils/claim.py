# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Room for one more job: a start may carry how many may run here at once, and then waits for its turn.

The jobs are counted and the new one is started under one lock, so two controllers that ask in the same moment
cannot both get the last place. A start without a number (somebody named this node) asks nobody, and counts
like any other while it runs.

Who finds all places taken looks again for WAIT_S. That is longer than a controller needs to learn that its own
job has ended and to ask for the next, so whoever waits gets the place, and two that share a node take turns.
"""

from __future__ import annotations

import fcntl
import os
import time

from ansible_collections.toft.fleet.plugins.module_utils import jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

WAIT_S = 2.0
LOOK_S = 0.03
LOCK = "places.lock"


class Claim:
    """A place for one start, as a context; the job must be up, or refused, when it is left.

    Raises Refused (`no_slot`) where none has become free. An id that has a job by now needs none.
    """

    def __init__(self, kept: jobs.Jobs, job_id: str, most: Optional[int]) -> None:
        self._kept = kept
        self._id = job_id
        self._most = most
        self._lock = -1

    def __enter__(self) -> Claim:
        if self._most is None:
            return self
        path = os.path.join(os.path.dirname(self._kept.root), LOCK)
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait(self._most)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._lock >= 0:
            # A supervisor that was forked meanwhile has the descriptor, too, for a moment.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
        self._lock = -1

    def _wait(self, most: int) -> None:
        deadline = time.monotonic() + WAIT_S
        while True:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            count = running(self._kept)
            if count < most or os.path.isdir(self._kept.job(self._id).path):
                return
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            if time.monotonic() > deadline:
                raise jobs.Refused("no_slot", "%d of %d slots are taken here" % (count, most))
            time.sleep(LOOK_S)


def running(kept: jobs.Jobs) -> int:
    """Jobs that have no result yet, and a supervisor that will write one."""
    found = map(kept.job, kept.ids())
    return sum(not os.path.exists(job.file(jobs.RESULT)) and job.alive() for job in found)

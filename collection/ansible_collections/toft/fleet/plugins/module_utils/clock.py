# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A running job's time."""

from __future__ import annotations

import time


class Clock:
    """When the job started, by the wall, and how long ago that is, whatever the wall clock does."""

    def __init__(self) -> None:
        self.started = time.time()
        self._mark = time.monotonic()

    def elapsed(self) -> float:
        return time.monotonic() - self._mark

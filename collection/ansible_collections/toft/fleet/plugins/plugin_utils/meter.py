# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a sync is: told while it goes on, for a person who waits.

A sync runs in an action, in another process than the face, and Ansible passes nothing on before its end. So the
face makes a file and names it in the request; each node's sync appends a line of JSON now and then. A line is one
write, so those of several nodes do not mix. That nobody can be told never keeps a sync from its work.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

EVERY_S = 0.1


@dataclass(frozen=True)
class Travelled:
    """What has been sent of what the node lacks. `phase`: reading (the tree here), sending, placing (on the node),
    done."""

    node: str
    phase: str = "reading"
    files: int = 0
    of_files: int = 0
    bytes: int = 0
    of_bytes: int = 0


class Meter:
    """One node's sync; `tell` gets every change of phase, and counts at most every EVERY_S."""

    def __init__(self, node: str, tell: Callable[[Travelled], None] = lambda travelled: None) -> None:
        self._now = Travelled(node)
        self._tell = tell
        self._told_at = 0.0

    def phase(self, phase: str) -> None:
        if phase != self._now.phase or not self._told_at:
            self._now = replace(self._now, phase=phase)
            self._say()

    def lacks(self, files: int, size: int) -> None:
        """So much more has to be sent."""
        now = self._now
        self._now = replace(now, of_files=now.of_files + files, of_bytes=now.of_bytes + size)
        self.phase("sending")

    def sent(self, size: int, whole: bool) -> None:
        """So many bytes of a file, and whether that was the last of it."""
        now = self._now
        self._now = replace(now, files=now.files + whole, bytes=now.bytes + size)
        if time.monotonic() - self._told_at >= EVERY_S:
            self._say()

    def _say(self) -> None:
        self._told_at = time.monotonic()
        self._tell(self._now)


def teller(path: str | None) -> Callable[[Travelled], None]:
    """Appends to the file of that name, if there is one."""

    def tell(travelled: Travelled) -> None:
        try:
            descriptor = os.open(path or "", os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.write(descriptor, json.dumps(asdict(travelled)).encode() + b"\n")
        except OSError:
            return
        finally:
            os.close(descriptor)

    return tell

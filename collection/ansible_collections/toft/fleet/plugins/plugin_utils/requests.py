# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an action is asked, read from a file of mode 0600 or from the task's own options.

The wrapper puts a person's words into a file, because whatever stands in a task is templated by Ansible
and whatever stands in an argv can be seen by everybody. A playbook of one's own may use the options.
"""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.command_line import Form

LEAST_S = 2.5


class BadRequest(Exception):
    """The request cannot be read, or is not one."""


@dataclass(frozen=True)
class Asked:
    """Words of a command and everything around it. Times in seconds; `job` goes to the node as it is."""

    words: tuple[str, ...] = ()
    form: Form = "auto"
    may_name_node: bool = False
    node: str | None = None
    pattern: str | None = None
    exclude: tuple[str, ...] = ()
    declared: bool = False
    policy: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    sync: dict[str, Any] = field(default_factory=dict)
    inventory: dict[str, list[str]] = field(default_factory=dict)
    here: str | None = None
    interval: float = 0.2
    connect_timeout: float = 5.0
    asked_at: float | None = None
    run_dir: str | None = None

    @property
    def patience(self) -> float:
        """Seconds that a node still has to answer: the limit counts from when the person asked (`asked_at`, epoch
        seconds), but leaves at least LEAST_S, which a first connection over a slow line needs."""
        spent = time.time() - self.asked_at if self.asked_at is not None else 0.0
        return max(min(LEAST_S, self.connect_timeout), self.connect_timeout - max(0.0, spent))


def from_file(path: str) -> Asked:
    """A file that others could have written is refused."""
    try:
        with open(path, encoding="utf-8") as file:
            mode = os.fstat(file.fileno())
            if mode.st_uid != os.getuid() or stat.S_IMODE(mode.st_mode) & 0o077:
                raise BadRequest(f"{path} must belong to you and have mode 0600")
            return from_values(json.load(file))
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path} cannot be read as a request: {error}") from error


def from_values(values: dict[str, Any]) -> Asked:
    """Unknown keys are somebody's mistake, and said."""
    unknown = sorted(set(values) - set(Asked.__dataclass_fields__))
    if unknown:
        raise BadRequest(f"a request has no {', '.join(unknown)}")
    lists: dict[str, Any] = {k: tuple(values[k] or ()) for k in ("words", "exclude") if k in values}
    return Asked(**values | lists)

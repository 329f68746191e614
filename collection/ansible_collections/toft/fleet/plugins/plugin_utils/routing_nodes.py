# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A node as routing sees it: what the inventory declares of it and what a probe found, as one value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils.load import CAPABILITIES, NO_CAPABILITIES, Load
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.probing import NAMES

LOOKED_FOR = {
    program: CAPABILITIES.get(name, name)
    for name in NAMES.split()
    for program in (name, CAPABILITIES.get(name, name))
    if name not in NO_CAPABILITIES
}
"""Programs that a probe looks for (`apt` by looking for apt-get), to the capabilities that they are."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as routing sees it.

    `os`, `arch`, `slots`, `capabilities`: as declared; what `load` says counts more, and capabilities add up.
    `reachable`: None if nobody asked; False with a `cause`. `jobs`: ours that run there now, if that is known
    better than by the probe. `local`: it is this machine.
    """

    name: str
    groups: tuple[str, ...] = ()
    os: str | None = None
    arch: str | None = None
    auto: bool = True
    slots: int | None = None
    specializations: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    load: Load | None = None
    jobs: int | None = None
    reachable: bool | None = None
    cause: Cause | None = None
    local: bool = False
    in_inventory: bool = True

    @classmethod
    def from_vars(
        cls,
        name: str,
        groups: Sequence[str],
        variables: Mapping[str, Any],
        *,
        load: Load | None = None,
        cause: Cause | None = None,
        local: bool = False,
    ) -> Node:
        """From host variables (`toft_os`, `toft_auto`, …) and what a probe answered."""
        return cls(
            name=name,
            groups=tuple(groups),
            os=variables.get("toft_os"),
            arch=variables.get("toft_arch"),
            auto=_truth(variables.get("toft_auto", True)),
            slots=_whole(variables.get("toft_slots")),
            specializations=texts(variables.get("toft_specializations")),
            capabilities=texts(variables.get("toft_capabilities")),
            load=load,
            reachable=True if load else False if cause else None,
            cause=cause,
            local=local,
        )

    @property
    def system(self) -> str | None:
        return (self.load.os if self.load else None) or self.os

    @property
    def cores(self) -> int | None:
        return self.load.cores if self.load else None

    @property
    def all_slots(self) -> int:
        """Declared, else the cores, else one."""
        return self.slots if self.slots is not None else self.cores or 1

    @property
    def running(self) -> int:
        return self.jobs if self.jobs is not None else (self.load.jobs if self.load else None) or 0

    @property
    def free(self) -> int:
        return max(0, self.all_slots - self.running)

    def has(self, capability: str) -> bool | None:
        """None: not known, because it is not declared and nothing was probed."""
        if capability in self.capabilities or (self.load and capability in self.load.capabilities):
            return True
        return False if self.load else None

    def lacks_program(self, programs: Iterable[str]) -> str | None:
        """The first of these that a probe looked for and did not find."""
        known = [program for program in programs if program in LOOKED_FOR]
        return next((program for program in known if self.has(LOOKED_FOR[program]) is False), None)


def _truth(value: Any) -> bool:
    """INI inventories have texts."""
    return value.strip().lower() not in ("false", "no", "off", "0") if isinstance(value, str) else bool(value)


def _whole(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}", text) else None


def texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(str(part) for part in value) if isinstance(value, list | tuple) else ()

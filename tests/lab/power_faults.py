"""Faults of the machine under the host: it stands still, it is slow, its memory is small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tests.lab.body import Body
from tests.lab.faults import Lasts


@dataclass(frozen=True)
class Frozen:
    """Nothing runs, but the kernel still answers: connections open and then stay silent."""

    name: ClassVar[str] = "freeze"
    lasts: ClassVar[Lasts] = "until-boot"

    def begin(self, host: Body) -> None:
        host.cgroup.freeze(True)

    def end(self, host: Body) -> None:
        if host.cgroup.exists():
            host.cgroup.freeze(False)


@dataclass(frozen=True)
class Slow:
    """So many CPUs' worth of time for all that runs on the host, e.g. 0.1."""

    name: ClassVar[str] = "slow"
    lasts: ClassVar[Lasts] = "outside"
    cpus: float

    def begin(self, host: Body) -> None:
        host.cgroup.limit_cpu(self.cpus)

    def end(self, host: Body) -> None:
        if host.cgroup.exists():
            host.cgroup.limit_cpu(None)


@dataclass(frozen=True)
class SmallMemory:
    """So many bytes for all that runs on the host; what goes beyond is killed."""

    name: ClassVar[str] = "small-memory"
    lasts: ClassVar[Lasts] = "outside"
    size: int

    def begin(self, host: Body) -> None:
        host.cgroup.limit_memory(self.size)

    def end(self, host: Body) -> None:
        if host.cgroup.exists():
            host.cgroup.limit_memory(None)

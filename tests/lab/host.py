"""A host of the lab: a body, and everything that can be done to it.

Every method returns when its fault is in effect. `heal()` ends all faults; a method's result ends that one,
also as `with host.cut(): …`. The names in FAULTS are those of the command line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import get_type_hints

from tests.lab import power_faults, system_faults, wire_faults
from tests.lab.body import Body
from tests.lab.faults import Fault
from tests.lab.wire_faults import Direction

FAULTS: dict[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        wire_faults.Cut,
        wire_faults.OnlyVia,
        wire_faults.Loss,
        wire_faults.Reset,
        wire_faults.ClosedPort,
        wire_faults.Rate,
        wire_faults.Delay,
        wire_faults.Address,
        power_faults.Frozen,
        power_faults.Slow,
        power_faults.SmallMemory,
        system_faults.FullDisk,
        system_faults.ReadOnly,
        system_faults.SshdStopped,
        system_faults.NoPython,
        system_faults.DeadDns,
        system_faults.AuthRefused,
        system_faults.OtherHostKey,
        system_faults.SshPort,
        system_faults.LoginShell,
    )
}


def build_fault(name: str, settings: Mapping[str, str]) -> Fault:
    """A fault from words, e.g. of a command line."""
    kind = FAULTS[name]
    types = get_type_hints(kind)
    return kind(**{key: _value(types[key], word) for key, word in settings.items()})


def _value(kind: object, word: str) -> object:
    if kind is bool:
        return word in ("1", "true", "yes")
    return kind(word) if kind in (int, float) and callable(kind) else word


@dataclass(frozen=True)
class Begun:
    """A fault in effect; ends with `end()` or with its `with` block."""

    host: Host
    fault: Fault

    def end(self) -> None:
        self.host.end(self.fault)

    def __enter__(self) -> Begun:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Host(Body):
    # the record of faults

    def faults(self) -> list[Fault]:
        """Those in effect, the oldest first."""
        file = self.directory / "faults.json"
        written = json.loads(file.read_text()) if file.exists() else []
        return [FAULTS[name](**values) for name, values in written]

    def _record(self, faults: list[Fault]) -> None:
        lines = [[fault.name, asdict(fault)] for fault in faults]  # type: ignore[call-overload]
        (self.directory / "faults.json").write_text(json.dumps(lines))

    def begin(self, fault: Fault) -> Begun:
        self._record([*self.faults(), fault])
        fault.begin(self)
        return Begun(self, fault)

    def end(self, fault: Fault) -> None:
        fault.end(self)
        self._record([other for other in self.faults() if other != fault])

    def heal(self, name: str | None = None) -> None:
        """End all faults, or those of one name, the latest first; but thaw a frozen host before the rest."""
        chosen = [fault for fault in reversed(self.faults()) if name in (None, fault.name)]
        for fault in sorted(chosen, key=lambda fault: fault.name != "freeze"):
            self.end(fault)

    # power

    def boot(self) -> None:
        """Switch on and wait until it is up, with the faults that are no part of the host in effect again."""
        if self.is_on():
            return self.await_up()
        lasting = [fault for fault in self.faults() if fault.lasts != "until-boot"]
        self._record(lasting)
        super().boot()
        for fault in lasting:
            if fault.lasts == "outside":
                fault.begin(self)

    # the machine under it

    def freeze(self) -> Begun:
        return self.begin(power_faults.Frozen())

    def thaw(self) -> None:
        self.heal("freeze")

    def slow(self, cpus: float) -> Begun:
        return self.begin(power_faults.Slow(cpus))

    def small_memory(self, size: int) -> Begun:
        return self.begin(power_faults.SmallMemory(size))

    # the network

    def cut(self, direction: Direction = "both", peer: Body | str | None = None) -> Begun:
        """`in` drops what comes to the host, `out` what it sends; `peer` is the only one that it concerns."""
        return self.begin(wire_faults.Cut(direction, peer.address if isinstance(peer, Body) else peer))

    def only_via(self, peer: Body) -> Begun:
        return self.begin(wire_faults.OnlyVia(peer.address))

    def lose(self, percent: float) -> Begun:
        return self.begin(wire_faults.Loss(percent))

    def reset(self, port: int = 22) -> Begun:
        return self.begin(wire_faults.Reset(port))

    def close_port(self, port: int = 22) -> Begun:
        return self.begin(wire_faults.ClosedPort(port))

    def rate(self, mbit: float) -> Begun:
        return self.begin(wire_faults.Rate(mbit))

    def delay(self, round_trip_ms: float) -> Begun:
        return self.begin(wire_faults.Delay(round_trip_ms))

    def take_address(self, address: str) -> Begun:
        return self.begin(wire_faults.Address(address))

    # the system

    def fill_disk(self, path: str, size: str = "1m") -> Begun:
        return self.begin(system_faults.FullDisk(path, False, size))

    def fill_inodes(self, path: str) -> Begun:
        return self.begin(system_faults.FullDisk(path, True))

    def read_only(self, path: str) -> Begun:
        return self.begin(system_faults.ReadOnly(path))

    def without_sshd(self) -> Begun:
        return self.begin(system_faults.SshdStopped())

    def without_python(self) -> Begun:
        return self.begin(system_faults.NoPython())

    def without_dns(self) -> Begun:
        return self.begin(system_faults.DeadDns())

    def refuse_auth(self) -> Begun:
        return self.begin(system_faults.AuthRefused())

    def change_host_key(self) -> Begun:
        return self.begin(system_faults.OtherHostKey())

    def ssh_port(self, port: int) -> Begun:
        return self.begin(system_faults.SshPort(port))

    def login_shell(self, shell: str, user: str = "fleet") -> Begun:
        return self.begin(system_faults.LoginShell(shell, user))

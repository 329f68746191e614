"""Faults of the network, in the host's own network namespace or on its cable.

Firewall rules stand on the host's side of the cable. A rule is inserted at the top, so the latest fault wins.
They concern IP, not ARP: a cut host is one that does not answer, not one that has no route. What differs from
a real cut: a program on the host that sends UDP is told at once that it may not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tests.lab.body import Body
from tests.lab.cgroup import Cgroup
from tests.lab.commands import attempt, call
from tests.lab.faults import Lasts
from tests.lab.processes import await_line, start_in

Direction = Literal["both", "in", "out"]
Rule = tuple[str, ...]


@dataclass(frozen=True)
class FirewallFault:
    """A fault that is a set of iptables rules."""

    lasts: ClassVar[Lasts] = "outside"

    def rules(self) -> Iterator[Rule]:
        raise NotImplementedError

    def begin(self, host: Body) -> None:
        for chain, *rule in self.rules():
            host.do_outside("iptables", "-w", "-I", chain, *rule)

    def end(self, host: Body) -> None:
        for chain, *rule in self.rules():
            attempt("nsenter", f"--net=/run/netns/{host.netns}", "iptables", "-w", "-D", chain, *rule)


def _sides(direction: Direction) -> Iterator[tuple[str, str, str]]:
    """(chain, interface option, option for the other end's address) a direction, as the host sees it."""
    if direction in ("both", "in"):
        yield "INPUT", "-i", "-s"
    if direction in ("both", "out"):
        yield "OUTPUT", "-o", "-d"


@dataclass(frozen=True)
class Cut(FirewallFault):
    """Packets vanish: all of them or those of one peer address; both ways or one, as the host sees it."""

    name: ClassVar[str] = "cut"
    direction: Direction = "both"
    peer: str | None = None

    def rules(self) -> Iterator[Rule]:
        for chain, interface, end in _sides(self.direction):
            whom = (end, self.peer) if self.peer else ()
            yield (chain, interface, "eth0", *whom, "-j", "DROP")


@dataclass(frozen=True)
class OnlyVia(FirewallFault):
    """Reachable from one peer address alone, as a host behind a jump host is."""

    name: ClassVar[str] = "only-via"
    peer: str

    def rules(self) -> Iterator[Rule]:
        for chain, interface, end in _sides("both"):
            yield (chain, interface, "eth0", "!", end, self.peer, "-j", "DROP")


@dataclass(frozen=True)
class Loss(FirewallFault):
    """So many percent of packets vanish in each direction."""

    name: ClassVar[str] = "loss"
    percent: float

    def rules(self) -> Iterator[Rule]:
        chance = ("-m", "statistic", "--mode", "random", "--probability", str(self.percent / 100))
        for chain, interface, _ in _sides("both"):
            yield (chain, interface, "eth0", *chance, "-j", "DROP")


@dataclass(frozen=True)
class Reset(FirewallFault):
    """Each TCP packet to or from a port is answered with a reset: connections die once they say something."""

    name: ClassVar[str] = "reset"
    port: int = 22

    def rules(self) -> Iterator[Rule]:
        reject = ("-j", "REJECT", "--reject-with", "tcp-reset")
        yield ("INPUT", "-i", "eth0", "-p", "tcp", "--dport", str(self.port), *reject)
        # The resets themselves must get out.
        others = ("!", "--tcp-flags", "RST", "RST")
        yield ("OUTPUT", "-o", "eth0", "-p", "tcp", "--sport", str(self.port), *others, *reject)


@dataclass(frozen=True)
class ClosedPort(FirewallFault):
    """New connections to a port are refused; those that are open live on."""

    name: ClassVar[str] = "closed-port"
    port: int = 22

    def rules(self) -> Iterator[Rule]:
        reject = ("-j", "REJECT", "--reject-with", "tcp-reset")
        yield ("INPUT", "-i", "eth0", "-p", "tcp", "--syn", "--dport", str(self.port), *reject)


@dataclass(frozen=True)
class Rate:
    """At most so many megabits a second in each direction."""

    name: ClassVar[str] = "rate"
    lasts: ClassVar[Lasts] = "outside"
    mbit: float

    def begin(self, host: Body) -> None:
        self.end(host)
        bucket = ("root", "tbf", "rate", f"{int(self.mbit * 1000)}kbit", "burst", "32kb", "latency", "400ms")
        host.do_outside("tc", "qdisc", "add", "dev", "eth0", *bucket)
        call("tc", "qdisc", "add", "dev", host.link, *bucket)

    def end(self, host: Body) -> None:
        attempt("nsenter", f"--net=/run/netns/{host.netns}", "tc", "qdisc", "del", "dev", "eth0", "root")
        attempt("tc", "qdisc", "del", "dev", host.link, "root")


@dataclass(frozen=True)
class Delay:
    """A longer way: so many milliseconds there and back for every packet, also of connections that are open.

    The cable goes to a small bridge of its own; a process carries frames from there to the lab's, late.
    """

    name: ClassVar[str] = "delay"
    lasts: ClassVar[Lasts] = "outside"
    round_trip_ms: float

    def begin(self, host: Body) -> None:
        self.end(host)
        bridge, near, far = _delay_links(host)
        links = [f"link add {bridge} type bridge", f"link set {bridge} up"]
        links += [f"tuntap add dev {tap} mode tap" for tap in (near, far)]
        links += [f"link set {near} master {bridge} up", f"link set {far} master {host.claim.bridge} up"]
        call("ip", "-batch", "-", given="\n".join(links))
        script = Path(__file__).with_name("late_frames.py")
        log = host.directory / "delay.log"
        one_way = str(self.round_trip_ms / 2000)
        start_in(_delay_group(host), [sys.executable, "-I", str(script), near, far, one_way], log)
        await_line(log, "carrying")
        call("ip", "link", "set", host.link, "master", bridge)

    def end(self, host: Body) -> None:
        attempt("ip", "link", "set", host.link, "master", host.claim.bridge)
        group = _delay_group(host)
        group.kill()
        group.remove()
        for link in _delay_links(host):
            attempt("ip", "link", "del", link)


def _delay_links(host: Body) -> tuple[str, str, str]:
    return f"{host.link}c", f"{host.link}a", f"{host.link}b"


def _delay_group(host: Body) -> Cgroup:
    return Cgroup(f"{host.claim.cgroup}/{host.name}-delay")


@dataclass(frozen=True)
class Address:
    """The host answers at another address than its own, e.g. at one that was another host's."""

    name: ClassVar[str] = "address"
    lasts: ClassVar[Lasts] = "outside"
    address: str

    def begin(self, host: Body) -> None:
        _move_to(host, self.address)

    def end(self, host: Body) -> None:
        _move_to(host, host.address)


def _move_to(host: Body, address: str) -> None:
    if not Path("/run/netns", host.netns).exists():
        return
    change = ["addr flush dev eth0", f"addr add {address}/24 dev eth0"]
    change += [f"route add default via {host.claim.gateway}"]
    call("ip", "-n", host.netns, "-batch", "-", given="\n".join(change))
    _forget_neighbours(host)


def _forget_neighbours(host: Body) -> None:
    """As every machine does when it hears a new owner announce an address.

    A flush fails if an entry vanishes by itself meanwhile, and for a host that is off.
    """
    flush = ("neigh", "flush", "dev")
    for where in [(), *(("-n", host.claim.netns(name)) for name, _ in host.claim.hosts)]:
        device = "eth0" if where else host.claim.bridge
        for _ in range(3):
            if attempt("ip", *where, *flush, device).returncode == 0:
                break

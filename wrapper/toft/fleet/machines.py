"""The machines that can be seen from here: what ~/.ssh/config names and what the tailnet lists, each once.

One machine often has several names. Two of them are one machine when they have the same name (case does not
count), when one's HostName is the other's DNS name or address, or when two aliases lead to the same address
and port. An alias wins over a tailnet name, because ssh knows a user and a key for it; several aliases of one
machine go under the first. This machine goes under its own short host name, without SSH.

A role is a guess from a name, a tag or a system, and says so: `why`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ansible_collections.toft.fleet.plugins.plugin_utils.openssh_config import Alias
from ansible_collections.toft.fleet.plugins.plugin_utils.tailnet_status import Peer

from toft.fleet.inventory import short_name

HERE = frozenset({"localhost", "127.0.0.1", "::1"})
FORGES = frozenset(
    (
        "github.com",
        "gitlab.com",
        "bitbucket.org",
        "codeberg.org",
        "git.sr.ht",
        "ssh.dev.azure.com",
        "ssh.github.com",
    )
)
SYSTEMS = {"linux": "linux", "macOS": "macos", "windows": "windows"}
SYSTEM_GROUPS = {"linux": "linux", "macos": "macs", "windows": "windows"}
# Words of a name, or whole tags, that tell a role. What is not here is better said by the owner.
ROLES = {
    "orchestrators": r"orchestrator|coordinator",
    "builders": r"build(er|s)?|ci|runner|compile",
    "pis": r"r?pi|raspberrypi|raspberry",
    "storage": r"nas|storage|synology|truenas|backup",
    "workstations": r"laptop|notebook|macbook|mbp|mba|book|air|thinkpad|desktop|workstation|imac|surface|xps",
}
RESERVED = frozenset({"all", "ungrouped", "local", *SYSTEM_GROUPS.values(), *ROLES})


@dataclass(frozen=True)
class This:
    """This machine, as it knows itself."""

    hostname: str
    system: str  # linux | macos
    arch: str  # as uname says
    wsl: bool = False


@dataclass(frozen=True)
class Machine:
    name: str
    local: bool = False
    host: str = ""  # ansible_host; empty when the name is enough for ssh
    system: str = ""  # toft_os, if known
    arch: str = ""
    wsl: bool = False
    online: bool | None = None  # None: not on the tailnet
    last_seen: str | None = None
    roles: tuple[str, ...] = ()
    auto: bool = True  # whether commands may be sent there unasked
    also: tuple[str, ...] = ()  # its other names
    source: str = ""


@dataclass
class _Known:
    """One machine while its names are being collected."""

    aliases: list[Alias] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)

    def names(self) -> Iterator[str]:
        for alias in self.aliases:
            yield alias.name
        for peer in self.peers:
            yield peer.name


def merge(this: This, aliases: list[Alias], peers: list[Peer]) -> tuple[list[Machine], list[str]]:
    """The machines, this one first, and notes on what was left out."""
    known = [_Known(peers=[peer for peer in peers if peer.is_self])]
    known += [_Known(peers=[peer]) for peer in peers if not peer.is_self]
    notes = [note for alias in aliases if (note := _join(known, alias, this))]
    taken = {name.lower() for one in known[1:] for name in one.names()}
    machines: dict[str, Machine] = {}
    for one in (_machine(one) for one in known[1:]):
        why = "a group has this name" if one.name.lower() in RESERVED else ""
        # `Host z` may lead to another machine than the one that the tailnet calls z.
        why = why or ("another machine goes by this name" if one.name in machines else "")
        if why:
            notes.append(f"left out {one.name} from {one.source}: {why}")
        else:
            machines[one.name] = one
    others = sorted(machines.values(), key=lambda one: one.name.lower())
    return [_this(this, known[0], taken), *others], notes


def _join(known: list[_Known], alias: Alias, this: This) -> str:
    """Adds the alias to the machine that it names, or as a machine of its own. Gives a note, or nothing."""
    if _is_forge(alias):
        return f"left out {alias.name}: a forge, where no command can be run"
    same = next((one for one in known if _is_same(one, alias)), None)
    here = (alias.host_name or alias.name).lower() in HERE and alias.port in (None, 22)
    if same is None and (here or alias.name.lower() == short_name(this.hostname).lower()):
        known[0].aliases.append(alias)
        taken = f"took {alias.name} of {alias.file}:{alias.line} for this machine: it has its name"
        return "" if here else taken
    if same is None:
        known.append(_Known(aliases=[alias]))
    else:
        same.aliases.append(alias)
    return ""


def _is_same(one: _Known, alias: Alias) -> bool:
    """By a name, or by an address and the usual port: a forwarded one leads to another machine behind it."""
    if any(alias.name.lower() == peer.name or _end(alias) in _ends(peer) for peer in one.peers):
        return True
    return any(_end(alias) == _end(other) for other in one.aliases)


def _ends(peer: Peer) -> set[tuple[str, int]]:
    return {(name, 22) for name in (peer.name, peer.dns_name, *peer.addresses)}


def _end(alias: Alias) -> tuple[str, int]:
    return (alias.host_name or alias.name).lower(), alias.port or 22


def _this(this: This, one: _Known, taken: set[str]) -> Machine:
    """Under its short host name, or its tailnet name when another machine has that one."""
    short = short_name(this.hostname)
    names = [short, *(peer.name for peer in one.peers), "localhost"]
    name = next((name for name in names if name.lower() not in taken), f"{short}-here")
    others = tuple(other for other in dict.fromkeys(one.names()) if other.lower() != name.lower())
    return Machine(name, local=True, system=this.system, arch=this.arch, wsl=this.wsl, also=others)


def _machine(one: _Known) -> Machine:
    peer = one.peers[0] if one.peers else None
    names = list(dict.fromkeys(one.names()))
    system = SYSTEMS.get(peer.os, "") if peer else ""
    roles = _roles(names, peer.tags if peer else (), system)
    by_name = bool(one.aliases)
    sources = [f"{alias.file}:{alias.line}" for alias in one.aliases[:1]] + ["the tailnet"] * bool(peer)
    return Machine(
        name=names[0],
        host="" if by_name or peer is None else peer.dns_name or next(iter(peer.addresses), ""),
        system=system,
        online=peer.online if peer else None,
        last_seen=peer.last_seen if peer else None,
        roles=roles,
        auto="workstations" not in roles,
        also=tuple(name for name in names[1:] if name.lower() != names[0].lower()),
        source=" and ".join(sources),
    )


def _roles(names: list[str], tags: tuple[str, ...], system: str) -> tuple[str, ...]:
    """A word of a name may end in a number: `node-builder2`, `rpi3`."""
    words = {re.sub(r"[0-9]+\Z", "", word) for name in names for word in re.split(r"[-_.]", name.lower())}
    words.update(tag.lower() for tag in tags)
    found = [role for role, pattern in ROLES.items() if any(re.fullmatch(pattern, word) for word in words)]
    if system == "windows" and "workstations" not in found:
        found.append("workstations")
    return tuple(found)


def _is_forge(alias: Alias) -> bool:
    return alias.user == "git" or bool({alias.name.lower(), alias.host_name.lower()} & FORGES)

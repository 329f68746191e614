# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The machines of a tailnet, from the text of `tailscale status --json`.

Everything in that text but its form was written by other machines: a HostName is whatever its owner typed. So
each value has to fit a pattern before it becomes part of a `Peer`; one that does not is left out, and a peer
that has no usable name is `Skipped`, with the reason. Keys may be missing and `Peer` may be null: the format
is "subject to change".

A peer's name is the first label of its DNSName, which the control server keeps unique; HostName is not unique
and serves only where there is no MagicDNS.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z")
DNS_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\Z")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}\Z")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(Z|[+-][0-9]{2}:[0-9]{2})\Z")
NEVER = "0001-01-01T"

MULLVAD_TAG = "mullvad-exit-node"
FIXES: Mapping[str, str] = {
    "NeedsLogin": "tailscale up",
    "Stopped": "tailscale up",
    "NoState": "start the Tailscale service, then: tailscale up",
    "Starting": "wait a moment, then: tailscale status",
    "NeedsMachineAuth": "approve this machine in the admin console of the tailnet",
}


class BadStatus(Exception):
    """There is no list of machines; `fix` is what to type or do; `state` how Tailscale is, where it said so."""

    def __init__(self, why: str, fix: str, state: str = "") -> None:
        self.why, self.fix, self.state = why, fix, state
        super().__init__(f"{why}; try: {fix}")


@dataclass(frozen=True)
class Peer:
    """One machine. Empty text, or None, is what was not said or did not fit its pattern."""

    name: str
    dns_name: str
    """in full, without the final dot"""
    addresses: tuple[str, ...]
    """IPv4 first"""
    os: str
    """as Tailscale writes it: linux, macOS, windows, iOS, android, tvOS…"""
    online: bool
    is_self: bool
    tags: tuple[str, ...]
    """without `tag:`"""
    shared: bool
    """of another tailnet: either side of a share"""
    mullvad: bool
    """an exit node that Mullvad sells: no machine of anybody's"""
    direct: bool
    relay: str
    last_seen: str | None
    key_expiry: str | None
    expired: bool


@dataclass(frozen=True)
class Skipped:
    """A peer without a usable name. `what` is repr'd: it may hold anything."""

    what: str
    why: str


@dataclass(frozen=True)
class Wanted:
    """Which machines are nodes. This machine is one whatever its tags; an exit node of Mullvad never is."""

    this_machine: bool = True
    only_online: bool = False
    shared: bool = False
    tags: frozenset[str] = frozenset()
    """without `tag:`; any one of them will do; none means all"""
    not_os: frozenset[str] = frozenset({"iOS", "android", "tvOS"})


@dataclass(frozen=True)
class Status:
    peers: tuple[Peer, ...]
    """this machine first, the others by name; two may have the same"""
    skipped: tuple[Skipped, ...]
    suffix: str
    """of this tailnet's DNS names"""


def parse(text: str) -> Status:
    """Raises BadStatus when it is no status, or the status of a Tailscale that is not running."""
    data = _document(text)
    tailnet = _mapping(data.get("CurrentTailnet"))
    suffix = _dns_name(tailnet.get("MagicDNSSuffix") or data.get("MagicDNSSuffix"))
    read = [_peer(raw, is_self, suffix) for raw, is_self in _entries(data)]
    peers = sorted((p for p in read if isinstance(p, Peer)), key=lambda p: (not p.is_self, p.name, p.dns_name))
    return Status(tuple(peers), tuple(p for p in read if isinstance(p, Skipped)), suffix)


def choose(peers: Iterable[Peer], wanted: Wanted) -> tuple[list[Peer], list[Skipped]]:
    """The wanted machines, one a name: this machine before others, our own before shared, then one online."""
    kept: dict[str, Peer] = {}
    doubles: list[Skipped] = []
    for peer in sorted(peers, key=lambda p: (not p.is_self, p.shared, not p.online, p.dns_name)):
        if not _is_wanted(peer, wanted):
            continue
        first = kept.setdefault(peer.name, peer)
        if first is not peer:
            doubles.append(Skipped(repr(peer.dns_name or peer.name), f"{first.dns_name} has this name"))
    return sorted(kept.values(), key=lambda p: (not p.is_self, p.name)), doubles


def _is_wanted(peer: Peer, wanted: Wanted) -> bool:
    if peer.is_self:
        return wanted.this_machine
    return (
        not peer.mullvad
        and (wanted.shared or not peer.shared)
        and (peer.online or not wanted.only_online)
        and peer.os not in wanted.not_os
        and (not wanted.tags or bool(wanted.tags.intersection(peer.tags)))
    )


def _document(text: str) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadStatus("this is not the JSON of a Tailscale status", "tailscale status --json") from error
    if not isinstance(data, dict) or not ("Self" in data or "BackendState" in data):
        raise BadStatus("this is not a Tailscale status", "tailscale status --json")
    state = data.get("BackendState", "Running")
    if state != "Running":
        word = state if isinstance(state, str) and WORD.match(state) else "in an unknown state"
        raise BadStatus(f"Tailscale is not running here ({word})", FIXES.get(word, "tailscale up"), word)
    return data


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    this = _mapping(data.get("Self"))
    if this:
        yield this, True
    for raw in _mapping(data.get("Peer")).values():
        if isinstance(raw, dict):
            yield raw, False


def _peer(raw: Mapping[str, Any], is_self: bool, suffix: str) -> Peer | Skipped:
    dns_name = _dns_name(raw.get("DNSName"))
    name = node_name(raw)
    if name is None:
        said = raw.get("DNSName") or raw.get("HostName") or "a machine without a name"
        return Skipped(repr(said)[:80], "its name cannot be the name of a node")
    tags = tuple(tag[4:] for tag in _texts(raw.get("Tags")) if tag.startswith("tag:") and WORD.match(tag[4:]))
    return Peer(
        name=name,
        dns_name=dns_name,
        addresses=_addresses(raw.get("TailscaleIPs")),
        os=_fits(raw.get("OS"), WORD),
        online=raw.get("Online") is True or is_self,
        is_self=is_self,
        tags=tags,
        shared=raw.get("ShareeNode") is True or _elsewhere(dns_name, suffix),
        mullvad=MULLVAD_TAG in tags or dns_name.endswith(".mullvad.ts.net"),
        direct=bool(raw.get("CurAddr")),
        relay=_fits(raw.get("Relay"), WORD),
        last_seen=_moment(raw.get("LastSeen")),
        key_expiry=_moment(raw.get("KeyExpiry")),
        expired=raw.get("Expired") is True,
    )


def node_name(raw: Mapping[str, Any]) -> str | None:
    """The first label of DNSName; without one, HostName with its blanks and apostrophes made dashes.

    Nothing else is mended: `{{ x }}` or `-oProxyCommand=…` was not written by somebody who meant a name.
    """
    dns_name = raw.get("DNSName")
    if isinstance(dns_name, str) and dns_name:
        name = _dns_name(dns_name).split(".")[0]
    else:
        said = raw.get("HostName")
        name = re.sub(r"[ '\u2019]+", "-", said).lower().split(".")[0] if isinstance(said, str) else ""
    return name if LABEL.match(name) else None


def _elsewhere(dns_name: str, suffix: str) -> bool:
    return bool(suffix and dns_name) and not dns_name.endswith("." + suffix)


def _addresses(value: object) -> tuple[str, ...]:
    found = []
    for text in _texts(value):
        try:
            found.append(ipaddress.ip_address(text))
        except ValueError:
            continue
    return tuple(str(address) for address in sorted(found, key=lambda a: a.version))


def _moment(value: object) -> str | None:
    """Go's zero time means never."""
    text = _fits(value, MOMENT)
    return text if text and not text.startswith(NEVER) else None


def _dns_name(value: object) -> str:
    return _fits(value.rstrip(".").lower() if isinstance(value, str) else value, DNS_NAME)


def _fits(value: object, pattern: re.Pattern[str]) -> str:
    return value if isinstance(value, str) and pattern.match(value) else ""


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

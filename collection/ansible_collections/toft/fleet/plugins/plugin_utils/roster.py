# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The nodes of a play: who they are by the inventory, and how each is reached.

A name or an address that is not plainly one is a mistake (or an attack) in the inventory; it is refused
here, before anything is run: ssh would take a host named `-oProxyCommand=…` for an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import names
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.hostvars import ANSIBLE_ONLY, NAMES, from_vars
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

CONNECTION = frozenset(ANSIBLE_ONLY).union(*NAMES.values())
"""The variables that say how a host is reached; templating all others of a host would only cost."""


class BadInventory(Exception):
    """A host in the inventory cannot be worked with; the message says which and why."""


@dataclass(frozen=True)
class Member:
    """One node as the inventory has it. `variables` are templated and only those that we know."""

    node: str
    groups: tuple[str, ...]
    variables: Mapping[str, Any]
    transport: Transport | Cause

    @property
    def local(self) -> bool:
        return isinstance(self.transport, Transport) and self.transport.kind == "local"


def roster(
    hosts: Iterable[str], hostvars: Mapping[str, Any], connect_timeout: float, *, become: bool = False
) -> list[Member]:
    return [member(host, hostvars[host], connect_timeout, become=become) for host in hosts]


def member(host: str, variables: Mapping[str, Any], connect_timeout: float, *, become: bool = False) -> Member:
    """Raises BadInventory for a name, an address or another value that is not plainly one."""
    refusal = names.refuse_node(host)
    if refusal:
        raise BadInventory(refusal)
    known = {k: variables[k] for k in variables if k.startswith("toft_") or k in CONNECTION}
    groups = tuple(g for g in variables.get("group_names", ()) if g != "ungrouped")
    transport = from_vars(host, known, connect_timeout=connect_timeout, become=become)
    if isinstance(transport, Cause) and transport.code == "bad_name":
        raise BadInventory(transport.message)
    return Member(host, groups, known, transport)


def at_home(member: Member) -> Member:
    """The same node reached without a connection, because it turned out to be this machine."""
    if isinstance(member.transport, Cause) or member.local:
        return member
    return replace(member, transport=replace(member.transport, kind="local", options=(), reason=""))

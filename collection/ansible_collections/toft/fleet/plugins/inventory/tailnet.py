# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# ruff: noqa: E402 -- Ansible wants the documentation before the imports.
"""Inventory plugin: the machines of this machine's tailnet."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tailnet
short_description: The machines of your tailnet
version_added: 0.1.0
author:
  - The toft authors (@toft)
description:
  - Reads C(tailscale status --json) and makes a host of each machine of the tailnet.
  - A host is named by the first label of its MagicDNS name. Machines whose name cannot be the name of a host,
    or is the name of a group, are left out with a warning.
  - Phones, television sets and machines of other tailnets are left out unless asked for, and Mullvad's exit
    nodes always.
  - What other machines say of themselves is data. It has to fit a strict pattern and is never templated.
options:
  plugin:
    description: Marks a file as the configuration of this plugin.
    type: str
    required: true
    choices: [toft.fleet.tailnet]
  command:
    description:
      - The program C(tailscale), by its name or its path.
      - When it is not given, the PATH, the app of macOS and the directories of Homebrew are tried.
    type: str
  timeout:
    description: How long the program may take, in seconds.
    type: float
    default: 10
  source:
    description:
      - A file with the recorded output of C(tailscale status --json), read instead of running the program.
      - A relative path starts from the directory of this file.
    type: str
  only_online:
    description: Whether machines that are offline are left out.
    type: bool
    default: false
  tags:
    description:
      - Only machines that have one of these tags, written with or without C(tag:).
      - This machine is a host whatever its tags are.
    type: list
    elements: str
    default: []
  include_self:
    description: Whether this machine is a host too. It is then reached without SSH.
    type: bool
    default: true
  include_shared:
    description: Whether machines that are shared from or to another tailnet are hosts too.
    type: bool
    default: false
  exclude_os:
    description: Systems, as Tailscale calls them, whose machines are left out.
    type: list
    elements: str
    default: [iOS, android, tvOS]
  address:
    description:
      - What C(ansible_host) is.
      - V(dns) is the full MagicDNS name, or the address of a machine that has none.
      - V(ipv4) and V(ipv6) are the addresses of the machine in the tailnet.
    type: str
    choices: [dns, ipv4, ipv6]
    default: dns
  ansible_user:
    description: The user to connect as. When it is not given, it is left to the configuration of SSH.
    type: str
  os_map:
    description:
      - What C(toft_os) is for each system, as Tailscale calls it. A system that is not here has none.
      - A Windows machine that answers with WSL is V(linux).
    type: dict
    default:
      linux: linux
      macOS: macos
      windows: windows
extends_documentation_fragment:
  - constructed
  - inventory_cache
"""

EXAMPLES = r"""
# fleet.tailnet.yml: every machine of the tailnet
plugin: toft.fleet.tailnet

---
# builders.tailnet.yml: the machines with one of these tags that are there now
plugin: toft.fleet.tailnet
only_online: true
tags: [builder, tag:ci]
address: ipv4
ansible_user: deploy
groups:
  workstations: "'laptop' in inventory_hostname"
compose:
  toft_auto: "'laptop' not in inventory_hostname"
keyed_groups:
  - prefix: derp
    key: toft_tailnet_relay

---
# recorded.tailnet.yml: from a file, with WSL behind each Windows machine
plugin: toft.fleet.tailnet
source: status.json
os_map: {linux: linux, macOS: macos, windows: linux}
"""

import os
import re
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.toft.fleet.plugins.plugin_utils import tailnet_status, tailscale_cli
from ansible_collections.toft.fleet.plugins.plugin_utils.tailnet_status import Peer, Skipped, Wanted

GROUP = "tailnet"
SYSTEM_GROUPS = {"linux": "linux", "macos": "macs", "windows": "windows"}
RESERVED = frozenset({"all", "ungrouped", "online", "offline", GROUP, *SYSTEM_GROUPS.values()})
MAX_BYTES = 32 << 20


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Hosts, groups by system, tag and presence, and what is composed of them."""

    NAME = "toft.fleet.tailnet"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("tailnet.yml", "tailnet.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            status = tailnet_status.parse(self._text(path, cache))
        except tailnet_status.BadStatus as error:
            raise AnsibleParserError(f"No machines of the tailnet: {error}") from error
        peers, doubles = tailnet_status.choose(status.peers, self._wanted())
        self._warn([*status.skipped, *doubles])
        for peer in peers:
            self._add(peer)

    def _text(self, path: str, cache: bool) -> str:
        """From the recorded file, the cache or the program. A failure is never cached."""
        source = self.get_option("source")
        if source:
            return _recorded(os.path.join(os.path.dirname(path), os.path.expanduser(source)))
        if not self.get_option("cache"):
            return self._ask()
        key = self.get_cache_key(path)
        known = self._cache.get(key) if cache else None
        if known is None:
            known = self._cache[key] = {"status": self._ask()}
        return str(known["status"])

    def _ask(self) -> str:
        return tailscale_cli.status(self.get_option("command"), os.environ, self.get_option("timeout"))

    def _wanted(self) -> Wanted:
        return Wanted(
            this_machine=self.get_option("include_self"),
            only_online=self.get_option("only_online"),
            shared=self.get_option("include_shared"),
            tags=frozenset(tag.removeprefix("tag:") for tag in self.get_option("tags")),
            not_os=frozenset(self.get_option("exclude_os")),
        )

    def _warn(self, skipped: list[Skipped]) -> None:
        for one in skipped:
            self.display.warning(f"toft.fleet.tailnet leaves out {one.what}: {one.why}")

    def _add(self, peer: Peer) -> None:
        if peer.name in RESERVED:
            self._warn([Skipped(repr(peer.name), "a group has this name: tailscale set --hostname ANOTHER")])
            return
        variables = self._variables(peer)
        self.inventory.add_host(peer.name)
        for name, value in variables.items():
            self.inventory.set_variable(peer.name, name, value)
        for group in _groups(peer, variables.get("toft_os")):
            self.inventory.add_child(self.inventory.add_group(group), peer.name)
        self._construct(peer.name, variables)

    def _variables(self, peer: Peer) -> dict[str, Any]:
        """Only what is known: a variable that is not there can be tested for."""
        system = self.get_option("os_map").get(peer.os)
        connection = {"ansible_connection": "local"} if peer.is_self else {"ansible_host": self._address(peer)}
        if self.get_option("ansible_user") and not peer.is_self:
            connection["ansible_user"] = self.get_option("ansible_user")
        about = {
            "os": peer.os,
            "dns_name": peer.dns_name,
            "addresses": list(peer.addresses),
            "online": peer.online,
            "self": peer.is_self,
            "tags": list(peer.tags),
            "shared": peer.shared,
            "direct": peer.direct,
            "relay": peer.relay,
            "last_seen": peer.last_seen,
            "key_expiry": peer.key_expiry,
            "expired": peer.expired,
        }
        known = {f"toft_tailnet_{key}": value for key, value in about.items() if value not in ("", None)}
        return {**connection, **({"toft_os": system} if system else {}), **known}

    def _address(self, peer: Peer) -> str:
        """The name itself is the last resort: ssh's configuration may know it."""
        versions = {"ipv4": ".", "ipv6": ":"}
        mark = versions.get(self.get_option("address"))
        if mark is None and peer.dns_name:
            return peer.dns_name
        fitting = [address for address in peer.addresses if mark is None or mark in address]
        return next(iter(fitting), peer.dns_name or peer.name)

    def _construct(self, host: str, variables: dict[str, Any]) -> None:
        strict = self.get_option("strict")
        known = {**variables, "inventory_hostname": host}
        self._set_composite_vars(self.get_option("compose"), known, host, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), known, host, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, host, strict)


def _groups(peer: Peer, system: str | None) -> list[str]:
    tags = ["tag_" + re.sub(r"[^A-Za-z0-9_]", "_", tag) for tag in peer.tags]
    systems = [SYSTEM_GROUPS[system]] if system in SYSTEM_GROUPS else []
    return [GROUP, "online" if peer.online else "offline", *systems, *tags]


def _recorded(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            raw = stream.read(MAX_BYTES)
    except OSError as error:
        raise AnsibleParserError(f"The recorded status {path} cannot be read: {error.strerror}") from error
    return raw.decode("utf-8", "replace")

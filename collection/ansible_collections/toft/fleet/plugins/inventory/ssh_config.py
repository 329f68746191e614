# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# ruff: noqa: E402 -- Ansible wants the documentation before the imports.
"""Inventory plugin: the machines that the configuration of SSH names."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_config
short_description: The machines of your SSH configuration
version_added: 0.1.0
author:
  - The toft authors (@toft)
description:
  - Makes a host of each alias on a C(Host) line of an OpenSSH client configuration and of what it includes.
  - The alias is what SSH is given. So C(ansible_host), C(ansible_user) and C(ansible_port) are not set.
    HostName, User, Port, IdentityFile, ProxyJump and all the rest are left to SSH itself, which knows better.
  - Patterns with C(*), C(?) or C(!) name no machine. C(Match) blocks are passed over, as their conditions may
    be programs.
  - Aliases that cannot be the name of a host are left out with a warning.
options:
  plugin:
    description: Marks a file as the configuration of this plugin.
    type: str
    required: true
    choices: [toft.fleet.ssh_config]
  path:
    description: The configuration of SSH. A relative path starts from the directory of this file.
    type: str
    default: ~/.ssh/config
  include:
    description: Only aliases that fit one of these patterns of the shell.
    type: list
    elements: str
    default: ['*']
  exclude:
    description: Not the aliases that fit one of these patterns of the shell.
    type: list
    elements: str
    default: []
  exclude_users:
    description:
      - Not the aliases whose user is one of these.
      - V(git) is the user of a forge, where no command can be run.
    type: list
    elements: str
    default: [git]
extends_documentation_fragment:
  - constructed
"""

EXAMPLES = r"""
# home.ssh_config.yml: every machine that ~/.ssh/config names
plugin: toft.fleet.ssh_config

---
# studio.ssh_config.yml: some of them, in groups
plugin: toft.fleet.ssh_config
include: [mac*, node-*]
exclude: ['*-old']
groups:
  builders: inventory_hostname == 'macpro51'
  macs: inventory_hostname.startswith('mac')
compose:
  toft_auto: "'air' not in inventory_hostname"
keyed_groups:
  - prefix: user
    key: toft_ssh_user
"""

import fnmatch
import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.toft.fleet.plugins.plugin_utils import openssh_config
from ansible_collections.toft.fleet.plugins.plugin_utils.openssh_config import Alias

GROUP = "ssh_config"
RESERVED = frozenset({"all", "ungrouped", GROUP})


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Hosts in the group `ssh_config`, and what is composed of them."""

    NAME = "toft.fleet.ssh_config"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("ssh_config.yml", "ssh_config.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        file = Path(os.path.dirname(path), os.path.expanduser(self.get_option("path")))
        try:
            aliases, skipped = openssh_config.read(file, Path.home())
        except OSError as error:
            raise AnsibleParserError(f"{file} cannot be read: {error.strerror}; try: toft init") from error
        for one in skipped:
            self.display.warning(f"{one.file}:{one.line}: toft.fleet.ssh_config leaves out {one.what}: {one.why}")
        self.inventory.add_group(GROUP)
        for alias in aliases:
            if self._is_wanted(alias):
                self._add(alias)

    def _is_wanted(self, alias: Alias) -> bool:
        def fits(option: str) -> bool:
            return any(fnmatch.fnmatchcase(alias.name, pattern) for pattern in self.get_option(option))

        unfit = alias.name in RESERVED or alias.user in self.get_option("exclude_users")
        return not unfit and fits("include") and not fits("exclude")

    def _add(self, alias: Alias) -> None:
        said = {"host_name": alias.host_name, "user": alias.user, "port": alias.port}
        variables = {f"toft_ssh_{key}": value for key, value in said.items() if value}
        self.inventory.add_host(alias.name, group=GROUP)
        for name, value in variables.items():
            self.inventory.set_variable(alias.name, name, value)
        known = {**variables, "inventory_hostname": alias.name}
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), known, alias.name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), known, alias.name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, alias.name, strict)

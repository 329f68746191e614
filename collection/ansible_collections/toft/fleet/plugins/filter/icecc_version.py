# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ICECC_VERSION of a machine, from the toolchains of the farm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import icecream

DOCUMENTATION = r"""
name: icecc_version
short_description: Which toolchains of a compile farm a machine uses
version_added: 0.1.0
author: The toft authors (@toft)
description:
  - Says what C(ICECC_VERSION) has to be on a machine, so that what it compiles can be compiled on other platforms too.
options:
  _input:
    description:
      - The toolchains that this machine has itself; each with C(platform) (where it runs), C(target) (what it makes
        code for), C(file), and for a cross compiler C(prefix). Only those of one C(version) stand for each other.
    type: list
    elements: dict
    required: true
  others:
    description: The same of all machines.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Say which toolchains a Raspberry Pi uses
  ansible.builtin.debug:
    msg: "{{ mine | toft.fleet.icecc_version(all_of_them) }}"
  vars:
    mine: [{platform: aarch64, target: aarch64, file: /opt/icecc-envs/pi.tar.gz}]
    all_of_them:
      - {platform: aarch64, target: aarch64, file: /opt/icecc-envs/pi.tar.gz}
      - {platform: x86_64, target: aarch64, file: /opt/icecc-envs/cross.tar.gz, prefix: aarch64-linux-gnu}
  # /opt/icecc-envs/pi.tar.gz,x86_64:/opt/icecc-envs/cross.tar.gz
"""

RETURN = r"""
_value:
  description: The value; empty where there is no compiler.
  type: str
"""


def icecc_version(own: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]]) -> str:
    mine = [icecream.Toolchain.from_dict(raw) for raw in own]
    return icecream.icecc_version(mine, [icecream.Toolchain.from_dict(raw) for raw in others])


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"icecc_version": icecc_version}

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A compile farm, from what its scheduler's control port said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.toft.fleet.plugins.plugin_utils import icecream

DOCUMENTATION = r"""
name: icecream_farm
short_description: Reads what the control port of an icecream scheduler said
version_added: 0.1.0
author: The toft authors (@toft)
description:
  - Makes data of the text that the scheduler's control port (8766) gives for C(listcs) and C(listjobs).
options:
  _input:
    description: The text, greeting and all.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See which nodes are in the farm
  ansible.builtin.debug:
    msg: "{{ (said | toft.fleet.icecream_farm).nodes | map(attribute='name') }}"
  vars:
    said: |
      200-ICECC 1.4: 120s uptime, 1 hosts, 0 jobs in queue (61 total).
      200 Use 'help' for help and 'quit' to quit.
       n2 (10.0.0.12:10245) [x86_64] speed=0.00 jobs=0/2 load=213
      200 done
"""

RETURN = r"""
_value:
  description:
    - C(scheduler) with version, uptime_s, hosts, queued, total.
    - C(nodes), each with name, address, port (0 takes no work of others), platform, speed, running, slots, load,
      installing_s, jobs.
    - C(jobs), each with id, state, client, server, file.
  type: dict
"""


def icecream_farm(text: str) -> dict[str, Any]:
    try:
        return asdict(icecream.parse(text))
    except icecream.BadAnswer as error:
        raise AnsibleFilterError(f"{error}: {text[:200]!r}") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"icecream_farm": icecream_farm}

#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Probe all nodes of the play at once
description:
  - Asks every host of the play for its load in one action, over kept-open SSH connections.
  - It runs once for all hosts. Register its answer with C(run_once) and every host has it.
  - A node that cannot be reached is a value in the answer, with its cause; it never fails the task.
version_added: 0.1.0
extends_documentation_fragment:
  - toft.fleet.play.reach
  - toft.fleet.play.policy
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
author:
  - The toft authors (@toft)
"""

EXAMPLES = r"""
- name: Who is there
  toft.fleet.probe:
  register: fleet
  run_once: true

- name: Go on only with the nodes that answered
  ansible.builtin.meta: end_host
  when: fleet.nodes[inventory_hostname].load is none
"""

RETURN = r"""
nodes:
  description:
    - One entry a node, by name, with C(groups), C(declared), C(load), C(cause), C(score), C(local) and C(latency_ms).
  returned: success
  type: dict
  sample:
    pi1: {load: {cores: 4, cpu_percent: 3.5}, cause: null, score: 0.21, local: false, latency_ms: 12.5}
"""

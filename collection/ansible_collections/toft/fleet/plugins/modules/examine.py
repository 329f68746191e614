#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: examine
short_description: See whether all nodes of the play do what a fleet asks of them
description:
  - Asks every host of the play for its load, as M(toft.fleet.probe) does, and runs C(true) as a job on each that is
    there. The job is removed again. What a first job keeps for the next ones stays (the environment that a login
    gives, the node program compiled), in the user's C(~/.local/state/toft).
  - A host of the group C(agents) is asked how its agent is, on the host itself, by AgentAPI's C(/status) at
    C(toft_agent_port), else at the port that the role C(toft.fleet.agent) has written down there, else at 3284.
  - A host of the group C(tailnet) is asked by which of its addresses it was reached, and how its Tailscale is.
  - It runs once for all hosts, and becomes no other user. Register its answer with C(run_once) and every host has it.
  - What is wrong with a node is a value in the answer; it never fails the task.
version_added: 0.1.0
extends_documentation_fragment:
  - toft.fleet.play.reach
  - toft.fleet.play.policy
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: none
author:
  - The toft authors (@toft)
"""

EXAMPLES = r"""
- name: Look at the whole fleet
  toft.fleet.examine:
  register: fleet
  run_once: true

- name: A job runs here
  ansible.builtin.assert:
    that: (fleet.nodes[inventory_hostname].trial.record | default({}, true)).exit_code | default(1) == 0
"""

RETURN = r"""
nodes:
  description:
    - One entry a node, by name, as M(toft.fleet.probe) answers, with C(trial) and C(look).
    - C(trial) has the job's C(record), or the C(error) or C(cause) for which there is none.
    - C(look) has C(agent) (C(port), C(service), and the C(answer) or the C(error)) and C(tailnet) (C(address),
      C(status) as Tailscale writes it, or what it C(said) instead), each where the host is of that group.
  returned: success
  type: dict
  sample:
    pi1:
      load: {cores: 4, cpu_percent: 3.5}
      cause: null
      trial: {record: {state: exited, exit_code: 0}, error: null, cause: null, removed: true, seconds: 0.21}
      look: {tailnet: {address: 100.64.0.7, there: true, said: ""}}
"""

#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: allocate
short_description: Say where each of several commands could run
description:
  - Probes every host of the play in one action, and says for each command which hosts can run it, the best first.
  - Nothing is run. Which of the hosts gets which command is for whoever starts them to say, as they become free.
  - It runs once for all hosts. Register its answer with C(run_once) and every host has it.
version_added: 0.1.0
options:
  words:
    description: The commands; each is one shell command line.
    type: list
    elements: str
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
- name: Where could these run
  toft.fleet.allocate:
    words:
      - make -j8
      - docker build -t app .
  register: could
  run_once: true

- name: Show it
  ansible.builtin.debug:
    msg: "{{ could.commands | map(attribute='eligible') }}"
  run_once: true
"""

RETURN = r"""
commands:
  description:
    - One entry a command, in their order, as M(toft.fleet.route) answers, with C(eligible) and C(heavy).
  returned: success
  type: list
  elements: dict
  sample:
    - {command: make -j8, eligible: [macpro51], heavy: true, node: macpro51, reason: heavy_computation}
nodes:
  description:
    - One entry a node, by name, with C(slots), C(running) and what is needed to start a job on it.
  returned: success
  type: dict
  sample:
    macpro51: {slots: 12, running: 0, local: false, cause: null}
"""

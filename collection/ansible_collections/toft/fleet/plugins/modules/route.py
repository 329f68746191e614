#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: route
short_description: Decide where a command runs
description:
  - Parses a command, works out what it needs, probes the nodes of the play, and chooses one of them.
  - Nothing is run. It runs once for all hosts of the play.
version_added: 0.1.0
options:
  words:
    description:
      - The command. Several words are an argv; one word with white space in it is a shell command line.
    type: list
    elements: str
  form:
    description: How to take the words, whatever their number.
    type: str
    choices: [auto, shell, exec]
    default: auto
  node:
    description: A node that is asked for by name.
    type: str
  exclude:
    description: Nodes that are not to be chosen.
    type: list
    elements: str
  declared:
    description: Reach no node and take the inventory's word for everything.
    type: bool
    default: false
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
- name: Choose a node for the build
  toft.fleet.route:
    words: [make, -j8]
  register: chosen
  run_once: true

- name: Build there
  ansible.builtin.command: make -j8
  args:
    chdir: /srv/app
  delegate_to: "{{ chosen.node }}"
  run_once: true
  when: chosen.node is not none
"""

RETURN = r"""
node:
  description: The node, or null when none is eligible.
  returned: success
  type: str
  sample: macpro51
reason:
  description: The reason code of the choice.
  returned: success
  type: str
  sample: heavy_computation
local:
  description: Whether the node is the machine that Ansible runs on.
  returned: success
  type: bool
decision:
  description: The whole decision, with C(why) and every candidate's score and what it lacked.
  returned: success
  type: dict
"""

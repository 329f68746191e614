#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: dispatch
short_description: Start a command as a job on nodes of the play
description:
  - Starts one job on the given node, or one on every host of the play, all at once.
  - A job is started at most once under its id, and goes on whatever happens to the client or the network.
  - This is how the C(toft) command starts its jobs; in a playbook, M(toft.fleet.job) is what you want.
version_added: 0.1.0
extends_documentation_fragment:
  - toft.fleet.play.target
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: none
author:
  - The toft authors (@toft)
"""

EXAMPLES = r"""
- name: Start what the request file says on the node that was chosen
  toft.fleet.dispatch:
    request: /run/user/1000/toft/request.json
    node: "{{ chosen.node }}"
"""

RETURN = r"""
jobs:
  description:
    - One entry a job with C(id), C(node), C(outcome) (C(started), C(refused) or C(unsure)), C(record) and C(error).
    - C(output) has C(stdout) and C(stderr) in base64 when the job was over, with little said, within the C(brief_s)
      seconds that the request allowed its start to wait.
  returned: success
  type: list
  elements: dict
"""

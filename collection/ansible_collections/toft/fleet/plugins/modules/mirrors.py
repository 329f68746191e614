#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: mirrors
short_description: Tell or remove the mirrors that nodes of the play keep
description:
  - A mirror is what M(toft.fleet.sync) brings a working tree to. Mirrors that nobody has used for a time go by
    themselves, after a sync; here they are listed, or removed by name.
  - A mirror that a job runs in, or that is being synced, is never removed.
version_added: 0.1.0
options:
  request:
    description: A file of mode 0600 with the request as JSON. Its C(sync.forget) names mirrors to remove.
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: none
author:
  - The toft authors (@toft)
"""

EXAMPLES = r"""
- name: Which mirrors are there
  toft.fleet.mirrors:
    request: /run/user/1000/toft/request.json
  register: kept
"""

RETURN = r"""
shelves:
  description:
    - One entry a node with C(node), C(mirrors) (C(name), C(machine) and C(root) of its tree, C(used_at), C(bytes),
      C(slots), C(busy), C(path)), C(removed), C(refused) and C(error).
  returned: success
  type: list
  elements: dict
"""

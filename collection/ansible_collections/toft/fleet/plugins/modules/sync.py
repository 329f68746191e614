#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: sync
short_description: Bring a working tree to its mirror on nodes of the play
description:
  - Brings a tree of this machine, as it is at one moment, to its mirror on the given node or on every host.
  - In a git working tree that is what git tracks, and what it neither tracks nor ignores. Other trees go whole.
  - What commands have made in a mirror stays there. A mirror is never changed under a running job of toft.
  - Where O(local) is true, nothing has to be brought.
  - This is how the C(toft) command brings a tree to where it runs a command.
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
- name: Bring the tree of the request to the node that was chosen
  toft.fleet.sync:
    request: /run/user/1000/toft/request.json
    node: "{{ chosen.node }}"
"""

RETURN = r"""
places:
  description:
    - One entry a node with C(node), C(outcome) (C(here), C(shared), C(synced), C(pulled) or C(failed)), C(cwd),
      C(sync) (files, bytes, seconds) and C(error).
  returned: success
  type: list
  elements: dict
"""

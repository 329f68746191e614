# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the actions that run once for all hosts have in common, for the documentation of their modules.

The options are those of `plugin_utils/play.py`, under the names that they have there.
"""

from __future__ import annotations


class ModuleDocFragment:
    """`toft.fleet.play.reach` and `.policy` for actions that probe and weigh, `.target` for those that change nodes."""

    REACH = r"""
options:
  request:
    description:
      - A file of mode 0600 with the request as JSON, instead of the other options.
      - What stands in a task is templated by Ansible and can be seen; what stands in this file is neither.
    type: path
  interval:
    description: Seconds over which the CPU is looked at.
    type: float
    default: 0.2
  connect_timeout:
    description: Seconds after which a node that does not answer is given up.
    type: float
    default: 5.0
"""

    POLICY = r"""
options:
  load_weights:
    description: How much C(cpu), C(memory) and C(load_average) weigh in the score.
    type: dict
    default: {}
  host_preferences:
    description: Lists of preferred nodes by topic.
    type: dict
    default: {}
  rules:
    description: Rules that add to the built-in ones.
    type: list
    elements: dict
    default: []
  overload:
    description: From when on this machine counts as overloaded.
    type: dict
    default: {}
"""

    TARGET = r"""
options:
  request:
    description: A file of mode 0600 with the request as JSON.
    type: path
    required: true
  node:
    description: The node; every host of the play when there is none.
    type: str
  local:
    description: The node is the machine that Ansible runs on, so no connection is needed.
    type: bool
    default: false
"""

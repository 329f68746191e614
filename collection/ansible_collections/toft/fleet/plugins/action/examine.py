# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every node of the play examined at once, in one action."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.toft.fleet.plugins.plugin_utils import examining, play


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._supports_check_mode = False
        options = self.validate_argument_spec(argument_spec={**play.REACH, **play.POLICY})[1]
        return play.answered(
            super().run(tmp, task_vars), lambda: _examine(options, task_vars or {}), options.get("request")
        )


def _examine(options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    asked = play.asked(options)
    nodes = examining.examine(play.members(task_vars, asked), asked)
    if not asked.inventory:
        return {"nodes": nodes}
    return {"nodes": nodes, "inventory": examining.inventory(task_vars["groups"], task_vars["hostvars"], asked)}

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a command as a job on one node, or on every node of the play, in one action."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.toft.fleet.plugins.plugin_utils import play
from ansible_collections.toft.fleet.plugins.plugin_utils.dispatching import dispatch
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import at_home


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._supports_check_mode = False
        options = self.validate_argument_spec(argument_spec=play.TARGET)[1]
        return play.answered(
            super().run(tmp, task_vars), lambda: _dispatch(options, task_vars or {}), options.get("request")
        )


def _dispatch(options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    asked = play.asked({"request": options["request"]})
    members = play.members(task_vars, asked)
    if options["local"]:
        members = [at_home(m) if m.node == options["node"] else m for m in members]
    return {"changed": True, "jobs": dispatch(members, asked, options.get("node"))}

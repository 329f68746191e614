# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A working tree brought to one node, or to every node of the play, in one action."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.toft.fleet.plugins.plugin_utils import play
from ansible_collections.toft.fleet.plugins.plugin_utils.placing import place_all
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import at_home


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._supports_check_mode = False
        options = self.validate_argument_spec(argument_spec=play.TARGET)[1]
        return play.answered(
            super().run(tmp, task_vars), lambda: _sync(options, task_vars or {}), options.get("request")
        )


def _sync(options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    asked = play.asked({"request": options["request"]})
    members = play.members(task_vars, asked)
    if options["local"]:
        members = [at_home(m) if m.node == options["node"] else m for m in members]
    placed = place_all(members, asked, options.get("node"))
    return {"changed": any(_changed(one.sync) for one in placed), "places": [one.to_dict() for one in placed]}


def _changed(told: dict[str, Any] | None) -> bool:
    return bool(told and (told["files"] or told.get("dropped")))

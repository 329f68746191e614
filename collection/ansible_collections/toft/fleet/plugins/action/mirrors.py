# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mirrors that nodes keep, told or removed, in one action."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.toft.fleet.plugins.plugin_utils import play
from ansible_collections.toft.fleet.plugins.plugin_utils.shelves import shelves

OPTIONS = {"request": {"type": "path", "required": True}}


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._supports_check_mode = False
        options = self.validate_argument_spec(argument_spec=OPTIONS)[1]
        return play.answered(
            super().run(tmp, task_vars), lambda: _mirrors(options, task_vars or {}), options.get("request")
        )


def _mirrors(options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    asked = play.asked({"request": options["request"]})
    found = shelves(play.members(task_vars, asked), asked)
    return {"changed": any(one.removed for one in found), "shelves": [one.to_dict() for one in found]}

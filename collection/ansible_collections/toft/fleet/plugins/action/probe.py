# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every node of the play probed at once, in one action."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.toft.fleet.plugins.plugin_utils import play
from ansible_collections.toft.fleet.plugins.plugin_utils.candidates import described
from ansible_collections.toft.fleet.plugins.plugin_utils.survey import survey


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        options = self.validate_argument_spec(argument_spec={**play.REACH, **play.POLICY})[1]
        return play.answered(
            super().run(tmp, task_vars), lambda: _probe(options, task_vars or {}), options.get("request")
        )


def _probe(options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    asked = play.asked(options)
    members = play.members(task_vars, asked)
    seen = survey(members, interval=asked.interval, patience=asked.patience)
    return {"nodes": described(seen, asked.policy)}

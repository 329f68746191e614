# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a command would run, decided over all nodes of the play in one action."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.toft.fleet.plugins.plugin_utils import play
from ansible_collections.toft.fleet.plugins.plugin_utils.candidates import choose

OPTIONS = {
    **play.REACH,
    **play.POLICY,
    "words": {"type": "list", "elements": "str"},
    "form": {"type": "str", "choices": ["auto", "shell", "exec"], "default": "auto"},
    "node": {"type": "str"},
    "exclude": {"type": "list", "elements": "str"},
    "declared": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        options = self.validate_argument_spec(
            argument_spec=OPTIONS, required_one_of=[("request", "words")], mutually_exclusive=[("request", "words")]
        )[1]
        return play.answered(
            super().run(tmp, task_vars), lambda: _route(options, task_vars or {}), options.get("request")
        )


def _route(options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    asked = play.asked(options)
    decision, command, node = choose(play.members(task_vars, asked), asked, set(task_vars["hostvars"]))
    told = decision.to_dict() | {"words": list(command.words)}
    return {
        "node": decision.node,
        "reason": decision.reason,
        "local": node is not None and node.local,
        "decision": told,
    }

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an action that runs once for all hosts finds in its task: the request, and the play's nodes.

Such an action must not fail for one node's sake, because that would end the play for all: what befalls a
node is a value in the answer. Only a request or an inventory that is wrong ends it, with a code for faces.
"""

from __future__ import annotations

import difflib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from ansible.inventory.manager import split_host_pattern
from ansible_collections.toft.fleet.plugins.plugin_utils.intent import Cancelled
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked, BadRequest, from_file, from_values
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import BadInventory, Member, roster

POLICY = {
    "load_weights": {"type": "dict", "default": {}},
    "host_preferences": {"type": "dict", "default": {}},
    "rules": {"type": "list", "elements": "dict", "default": []},
    "overload": {"type": "dict", "default": {}},
}
"""Options with which a playbook says what routing is to weigh."""

NO_NAME = frozenset("*?[]~@")
"""Characters of patterns that are more than a name."""

LARGE = 256 << 10
SMALL = ("changed", "node", "local", "reason")
"""What later tasks of a play look at."""

REACH = {
    "request": {"type": "path"},
    "interval": {"type": "float", "default": 0.2},
    "connect_timeout": {"type": "float", "default": 5.0},
}
"""Options of the actions that probe nodes."""

TARGET = {
    "request": {"type": "path", "required": True},
    "node": {"type": "str"},
    "local": {"type": "bool", "default": False},
}
"""Options of the actions that bring something to one node, or to all."""


def asked(options: Mapping[str, Any]) -> Asked:
    """The request file if there is one, else the task's own options. Raises BadRequest."""
    if options.get("request"):
        return from_file(options["request"])
    values = {k: v for k, v in options.items() if k not in ("request", *POLICY) and v is not None}
    given = {k: options[k] for k in POLICY if options.get(k)}
    return from_values(values | {"policy": given} if given else values)


def members(task_vars: Mapping[str, Any], request: Asked) -> list[Member]:
    """The hosts of this play's batch. Raises BadInventory, and BadRequest for a name that nothing has."""
    if request.pattern:
        check_pattern(request.pattern, task_vars.get("groups") or {})
    hosts = task_vars.get("ansible_play_batch") or [task_vars["inventory_hostname"]]
    become = bool(request.job.get("become"))
    return roster(hosts, task_vars["hostvars"], request.connect_timeout, become=become)


def check_pattern(pattern: str, groups: Mapping[str, Any]) -> None:
    """Ansible lets a name pass that nothing has, if another matches: a typing mistake would leave a node out."""
    known = {*groups, *groups.get("all", ())}
    for term in split_host_pattern(pattern):
        name = term.lstrip("!&")
        if name and not NO_NAME.intersection(name) and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadRequest(f"{name!r} is neither a node nor a group of this inventory{hint}")


def answered(result: dict[str, Any], work: Callable[[], dict[str, Any]], request: str | None = None) -> dict[str, Any]:
    """The action's result with what the work answers, or with what is wrong with what was asked."""
    try:
        return result | {"changed": False} | _handed_on(work(), request)
    except (BadRequest, BadInventory) as error:
        return result | {"failed": True, "msg": str(error), "toft_code": "usage"}
    except Cancelled as error:
        return result | {"failed": True, "msg": str(error), "toft_code": "cancelled"}


def _handed_on(answer: dict[str, Any], request: str | None) -> dict[str, Any]:
    """A large answer goes into a file beside the request: ansible_runner cuts events at 700,000 bytes."""
    text = json.dumps(answer)
    if request is None or len(text) < LARGE:
        return answer
    path = f"{os.path.dirname(request)}/answer-{secrets.token_hex(5)}.json"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return {key: answer[key] for key in SMALL if key in answer} | {"toft_answer": path}
